/* Prints what a recorder file says, one "name value" a line, from format.h alone. */
#include "../unit/core_fixture.h"

static void count_types(uint32_t type, const void *payload, uint32_t size_bytes, void *argument)
{
    (void)payload, (void)size_bytes;
    ((long *)argument)[type < 16 ? type : 0]++;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Addresses that are recorded twice. */
static uint64_t count_twice(const struct record *record, uint64_t live)
{
    const struct vg_live_slot *const slots = (const void *)record->areas[VG_AREA_LIVE];
    const uint64_t count = record->area_bytes[VG_AREA_LIVE] / sizeof *slots;
    uint64_t *const addresses = malloc((live + 1) * sizeof *addresses);
    uint64_t used = 0, twice = 0;
    for (uint64_t i = 0; i < count; i++)
        if (slots[i].address)
            addresses[used++] = slots[i].address;
    qsort(addresses, used, sizeof *addresses, compare);
    for (uint64_t i = 1; i < used; i++)
        twice += addresses[i] == addresses[i - 1];
    free(addresses);
    return twice;
}

int main(int argc, char **argv)
{
    struct record record;
    uint64_t live_bytes;
    long types[16] = { 0 };
    if (argc != 2 || !read_record(argv[1], &record)) {
        fprintf(stderr, "not a recorder file\n");
        return 1;
    }
    const uint64_t live = count_live(&record, &live_bytes);
    printf("live %llu\nlive_bytes %llu\n", (unsigned long long)live,
           (unsigned long long)live_bytes);
    printf("twice %llu\n", (unsigned long long)count_twice(&record, live));
    printf("journal %ld\n", walk_journal(&record, count_types, types));
    printf("failures %ld\n", types[VG_JOURNAL_FAILURE] + types[VG_JOURNAL_FAILURE_PARTS]);
    printf("stacks %ld\n", types[VG_JOURNAL_STACK]);
    printf("failure_count %u\n", record.header->failure_count);
    printf("memory_only %u\n", record.header->memory_only);
    printf("ended %d\n", record.header->end == VG_END_EXIT);
    printf("exit_status %d\n", record.header->exit_status);
    printf("pid %d\n", record.header->pid);
    free_record(&record);
    return 0;
}
