/* The blocks of PyTorch's allocator and the counters of sites, against a model that remembers all:
 * contents, totals, what each site held at the peak, little memory, many threads, a killed process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>

#include "base/hashing.h"
#include "child.h"
#include "core_fixture.h"
#include "heap/blocks.h"
#include "record/reader.h"
#include "site_model.h"

enum { STACKS = 40, ADDRESSES = 900, DEVICES = 3, ROUNDS = 60000 };

static struct vg_recorder recorder;
static struct vg_blocks blocks;

static int open_tables(void)
{
    memset(&recorder, 0, sizeof recorder);
    memset(&blocks, 0, sizeof blocks);
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    if (vg_recorder_open(&recorder, &config) != 0)
        return -1;
    vg_blocks_init(&blocks, &recorder);
    return 0;
}

static int setup(void **state)
{
    return make_scratch(state) == 0 ? open_tables() : -1;
}

static struct vg_block_origin origin_of(uint16_t device, uint32_t stack_id)
{
    struct vg_block_origin origin;
    const uint64_t hash = vg_hash_u64(stack_id + 1);
    if (vg_blocks_find_origin(&blocks, device, hash, &origin))
        return origin;
    return vg_blocks_add_origin(&blocks, device, hash, stack_id);
}

static enum vg_block_maker maker; /* of what is put */

static void put(uint16_t device, uint64_t address, uint64_t bytes, uint32_t stack_id)
{
    const struct vg_block_origin origin = origin_of(device, stack_id);
    const struct vg_block block = { .address = address,
                                    .bytes = bytes,
                                    .monotonic_ns = address * 3,
                                    .stack_id = origin.stack_id,
                                    .site = origin.site,
                                    .thread_id = 77,
                                    .device = device,
                                    .maker = (uint16_t)maker };
    const struct vg_block_sums told = { .allocated_bytes = bytes, .reserved_bytes = 2 * bytes };
    vg_blocks_put(&blocks, &block, &told);
}

static struct vg_block_found find(uint64_t address)
{
    struct vg_block_found found = { 0 };
    assert_true(vg_blocks_find(&blocks, 0, address, &found));
    return found;
}

static uint64_t put_next(enum vg_block_maker by)
{
    static uint64_t address = 0x900000;
    maker = by;
    put(0, address += 512, 512, 1 + by);
    maker = VG_MADE_BY_OTHER;
    return address;
}

/* A pass begins where the engine's thread allocates, and ends where the main thread does again. */
static void backward_passes_are_told_by_who_allocates(void **state)
{
    (void)state;
    uint64_t kept[3], seed = 0;
    for (int i = 0; i < 3; i++) {
        kept[i] = put_next(VG_MADE_BY_MAIN);
        seed = put_next(VG_MADE_BY_BACKWARD);
        put_next(VG_MADE_BY_OTHER); /* a thread that has nothing to do with it */
        put_next(VG_MADE_BY_BACKWARD);
    }
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(find(kept[i]).passes, i);
    assert_int_equal(find(seed).passes, 3);
    assert_true(find(seed).is_of_backward);
    assert_false(find(kept[2]).is_of_backward);
    assert_int_equal(find(kept[2]).number, 3); /* of three that its stack made */
    assert_int_equal(find(kept[2]).site_count, 3);
    assert_int_equal(find(kept[2]).device_number, 9);
}

static void passes_from_long_ago_are_forgotten(void **state)
{
    (void)state;
    const uint64_t first = put_next(VG_MADE_BY_MAIN);
    for (int i = 0; i < VG_PASSES_KEPT + 10; i++) {
        put_next(VG_MADE_BY_BACKWARD);
        put_next(VG_MADE_BY_MAIN);
    }
    assert_int_equal(find(first).passes, 10);
    assert_int_equal(find(put_next(VG_MADE_BY_MAIN)).passes, VG_PASSES_KEPT + 10);
}

static void take(uint16_t device, uint64_t address)
{
    const struct vg_block_sums told = { .allocated_bytes = 5, .reserved_bytes = 6 };
    vg_blocks_take(&blocks, device, address, &told);
}

/* ---- the model ---- */

static struct model {
    struct {
        uint64_t bytes; /* 0 not live */
        uint32_t stack_id;
        uint64_t number;
    } live[ADDRESSES];
    struct site_model sites[STACKS];
    uint64_t allocated_bytes, peak_bytes;
} models[DEVICES];

/* Remembers all sites each time the peak rises: what the counters know without it. */
static void model_put(struct model *model, int at, uint64_t bytes, uint32_t stack_id)
{
    struct site_model *const site = &model->sites[stack_id];
    model->live[at].bytes = bytes;
    model->live[at].stack_id = stack_id;
    model->live[at].number = ++site->allocations;
    site->live_bytes += bytes;
    site->allocated_bytes += bytes;
    model->allocated_bytes += bytes;
    if (model->allocated_bytes <= model->peak_bytes)
        return;
    model->peak_bytes = model->allocated_bytes;
    note_peak(model->sites, STACKS);
}

static void model_take(struct model *model, int at)
{
    struct site_model *const site = &model->sites[model->live[at].stack_id];
    site->frees++;
    site->live_bytes -= model->live[at].bytes;
    model->allocated_bytes -= model->live[at].bytes;
    model->live[at].bytes = 0;
}

static uint64_t address_of(int at)
{
    return 0x7f0000000000 + (uint64_t)at * 512;
}

/* One step of chance: all of them live now and then, and few in between. */
static void step(int round)
{
    const int device = rand() % DEVICES, at = rand() % ADDRESSES;
    struct model *const model = &models[device];
    const bool filling = round / 4000 % 2 == 0;
    if (model->live[at].bytes && (!filling || rand() % 8 == 0)) {
        take((uint16_t)device, address_of(at));
        model_take(model, at);
    } else if (!model->live[at].bytes && (filling || rand() % 8 == 0)) {
        const uint64_t bytes = 512 * (1 + (uint64_t)(rand() % 5000));
        const uint32_t stack_id = (uint32_t)(rand() % STACKS);
        put((uint16_t)device, address_of(at), bytes, stack_id);
        model_put(model, at, bytes, stack_id);
    }
}

/* ---- comparing ---- */

static int seen_blocks;

static void check_block(const struct vg_block *block, void *argument)
{
    (void)argument;
    const struct model *const model = &models[block->device];
    const uint64_t at = (block->address - address_of(0)) / 512;
    assert_true(at < ADDRESSES);
    assert_int_equal(block->bytes, model->live[at].bytes);
    assert_int_equal(block->stack_id, model->live[at].stack_id);
    assert_int_equal(block->number, model->live[at].number);
    assert_int_equal(block->monotonic_ns, block->address * 3);
    assert_int_equal(block->thread_id, 77);
    seen_blocks++;
}

static struct site_model sums[DEVICES][STACKS];

static void add_site(const struct vg_site_slot *slot, uint64_t epoch, void *argument)
{
    (void)argument;
    assert_int_equal(slot->level, VG_SITE_BLOCK);
    add_counters(&sums[slot->device][slot->stack_id], slot, epoch);
}

static void check_all(void)
{
    int live = 0;
    seen_blocks = 0;
    memset(sums, 0, sizeof sums);
    vg_blocks_each(&blocks, check_block, NULL);
    vg_site_counters_each(&recorder, add_site, NULL);
    for (int device = 0; device < DEVICES; device++) {
        const struct model *const model = &models[device];
        const struct vg_file_blocks totals = vg_blocks_totals(&blocks, (uint16_t)device);
        assert_int_equal(totals.allocated_bytes, model->allocated_bytes);
        assert_int_equal(totals.peak_bytes, model->peak_bytes);
        assert_int_equal(totals.lost_count, 0);
        assert_memory_equal(sums[device], model->sites, sizeof model->sites);
        for (int i = 0; i < ADDRESSES; i++)
            live += model->live[i].bytes != 0;
    }
    assert_int_equal(seen_blocks, live);
}

static void counts_are_those_of_a_model_that_remembers_all(void **state)
{
    (void)state;
    memset(models, 0, sizeof models);
    srand(11);
    for (int round = 0; round < ROUNDS; round++) {
        step(round);
        if (round % 997 == 0)
            check_all();
    }
    check_all();
    assert_true(models[0].peak_bytes > models[0].allocated_bytes);
}

/* ---- odd calls ---- */

static void a_block_whose_end_was_not_seen_is_dropped(void **state)
{
    (void)state;
    put(0, 4096, 1000, 1);
    put(0, 4096, 50, 2);
    const struct vg_file_blocks totals = vg_blocks_totals(&blocks, 0);
    assert_int_equal(totals.allocated_bytes, 50);
    assert_int_equal(totals.allocations, 2);
    assert_int_equal(totals.frees, 1);
    assert_int_equal(totals.told_allocated_bytes, 50);
    assert_int_equal(totals.told_reserved_bytes, 100);
}

static void unknown_ends_are_ignored_and_the_sums_noted(void **state)
{
    (void)state;
    take(1, 4096); /* before any block */
    put(1, 512, 10, 1);
    take(1, 4096);
    take(0, 512); /* of another device */
    const struct vg_file_blocks totals = vg_blocks_totals(&blocks, 1);
    assert_int_equal(totals.allocated_bytes, 10);
    assert_int_equal(totals.frees, 0);
    assert_int_equal(totals.told_reserved_bytes, 6);
    vg_blocks_note_refused(&blocks, 1, &(struct vg_block_sums){ 7, 8 });
    assert_int_equal(vg_blocks_totals(&blocks, 1).refused_count, 1);
    assert_int_equal(vg_blocks_totals(&blocks, 1).told_reserved_bytes, 8);
}

static void without_memory_blocks_are_counted_as_lost(void **state)
{
    (void)state;
    recorder.block_area.reserved_bytes = 64 * 1024;
    for (uint64_t i = 1; i <= 2000; i++)
        put(0, i * 512, 100, 1);
    struct vg_file_blocks totals = vg_blocks_totals(&blocks, 0);
    assert_int_equal(totals.allocations + totals.lost_count, 2000);
    assert_int_equal(totals.allocations, 1024);
    assert_int_equal(totals.lost_bytes, totals.lost_count * 100);
    for (uint64_t i = 1; i <= 2000; i++)
        take(0, i * 512);
    totals = vg_blocks_totals(&blocks, 0);
    assert_int_equal(totals.allocated_bytes, 0);
    assert_int_equal(totals.frees, 1024);
}

static void sites_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    recorder.site_area.reserved_bytes = 64 * 1024;
    for (uint32_t i = 1; i <= 1500; i++)
        put(0, i * 512, 100, i);
    memset(sums, 0, sizeof sums);
    assert_int_equal(recorder.header->site_overflow_count, 1500 - 1024);
    assert_int_equal(vg_blocks_totals(&blocks, 0).allocated_bytes, 150000);
    for (uint32_t i = 1; i <= 1500; i++)
        take(0, i * 512);
    assert_int_equal(vg_blocks_totals(&blocks, 0).allocated_bytes, 0);
}

/* More stacks than the cache holds, in turns: each still has its own site. */
static void more_stacks_than_the_cache_holds(void **state)
{
    (void)state;
    enum { MANY = 3 * VG_BLOCK_CACHE_SETS * VG_BLOCK_CACHE_WAYS };
    for (int turn = 0; turn < 2; turn++)
        for (uint32_t i = 1; i <= MANY; i++) {
            const struct vg_block_origin origin = origin_of(0, i);
            assert_int_equal(origin.stack_id, i);
            assert_int_equal(recorder.sites[origin.site - 1].stack_id, i);
        }
    assert_int_equal(recorder.header->site_slots, MANY);
}

/* ---- threads ---- */

enum { THREAD_ROUNDS = 20000 };

static void *work(void *argument)
{
    const uint64_t number = (uintptr_t)argument;
    for (uint64_t i = 0; i < THREAD_ROUNDS; i++) {
        const uint64_t address = (number << 32) + i % 500 * 512;
        if (i >= 500)
            take((uint16_t)(number % 2), address);
        put((uint16_t)(number % 2), address, number + 1, (uint32_t)(i % 7));
    }
    return NULL;
}

static void threads_on_the_same_devices(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(vg_blocks_totals(&blocks, 0).allocated_bytes, 500 * (1 + 3));
    assert_int_equal(vg_blocks_totals(&blocks, 1).allocated_bytes, 500 * (2 + 4));
    assert_int_equal(vg_blocks_totals(&blocks, 1).allocations, 2 * THREAD_ROUNDS);
    assert_int_equal(recorder.header->site_slots, 2 * 7);
}

/* ---- after a SIGKILL ---- */

/* ---- the same address, again and again ---- */

static atomic_bool is_done;

static void *reuse(void *argument)
{
    (void)argument;
    for (uint64_t i = 1; i <= 300000; i++) {
        put(0, 4096, i % STACKS + 1, (uint32_t)(i % STACKS)); /* its bytes are its stack + 1 */
        take(0, 4096);
    }
    atomic_store(&is_done, true);
    return NULL;
}

static void check_whole(const struct vg_block *block, void *argument)
{
    int *const torn = argument;
    *torn += block->bytes != block->stack_id + 1u;
}

static void *read_again_and_again(void *argument)
{
    while (!atomic_load(&is_done))
        vg_blocks_each(&blocks, check_whole, argument);
    return NULL;
}

/* More readers than processors: they are interrupted in the middle of a slot. */
static void no_block_is_half_of_the_next(void **state)
{
    (void)state;
    enum { READERS = 8 };
    pthread_t writer, readers[READERS];
    int torn[READERS] = { 0 };
    atomic_store(&is_done, false);
    put(0, 4096, 1, 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_again_and_again, &torn[i]), 0);
    assert_int_equal(pthread_create(&writer, NULL, reuse, NULL), 0);
    pthread_join(writer, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(torn[i], 0);
}

static void die(void *argument)
{
    (void)argument;
    if (open_tables() != 0)
        _exit(3);
    put(0, 4096, 1000, 1);
    put(0, 8192, 5000, 2);
    take(0, 8192);
    put(2, 512, 77, 1);
    kill(getpid(), SIGKILL);
}

struct read_back {
    uint64_t bytes[DEVICES];
    int blocks, sites;
};

static int read_block(const struct vg_block_slot *slot, void *argument)
{
    struct read_back *const back = argument;
    back->bytes[slot->device] += slot->bytes;
    back->blocks++;
    return 0;
}

static int read_site(const struct vg_site_slot *slot, void *argument)
{
    struct read_back *const back = argument;
    uint64_t bytes, count;
    vg_site_at_peak(slot, slot->device == 0 ? 2 : 1, &bytes, &count);
    assert_int_equal(bytes, slot->device == 2 ? 77 : slot->stack_id == 1 ? 1000 : 5000);
    assert_int_equal(count, 1);
    back->sites++;
    return 0;
}

static void all_of_it_is_there_after_a_kill(void **state)
{
    (void)state;
    struct vg_reader reader;
    struct read_back back = { 0 };
    char why[128], damage[128];
    assert_int_equal(run_child(die, NULL, attempt, sizeof attempt), SIGKILL);
    assert_int_equal(vg_reader_open(&reader, in_scratch("run"), why, sizeof why), 0);
    assert_int_equal(vg_reader_each_block(&reader, read_block, &back), 0);
    assert_int_equal(vg_reader_each_site(&reader, read_site, &back), 0);
    assert_int_equal(back.blocks, 2);
    assert_int_equal(back.sites, 3);
    assert_int_equal(back.bytes[0], 1000);
    assert_int_equal(back.bytes[2], 77);
    assert_int_equal(reader.header->blocks[0].peak_bytes, 6000);
    assert_int_equal(reader.header->blocks[0].peak_epoch, 2);
    assert_int_equal(vg_reader_each_live(&reader, NULL, NULL), 0); /* none of it is a live slot */
    assert_false(vg_reader_describe_damage(&reader, damage, sizeof damage));
    vg_reader_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_are_those_of_a_model_that_remembers_all, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(backward_passes_are_told_by_who_allocates, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(passes_from_long_ago_are_forgotten, setup, remove_scratch),
        cmocka_unit_test_setup_teardown(a_block_whose_end_was_not_seen_is_dropped, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(unknown_ends_are_ignored_and_the_sums_noted, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(without_memory_blocks_are_counted_as_lost, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(sites_that_do_not_fit_are_counted, setup, remove_scratch),
        cmocka_unit_test_setup_teardown(more_stacks_than_the_cache_holds, setup, remove_scratch),
        cmocka_unit_test_setup_teardown(no_block_is_half_of_the_next, setup, remove_scratch),
        cmocka_unit_test_setup_teardown(threads_on_the_same_devices, setup, remove_scratch),
        cmocka_unit_test_setup_teardown(all_of_it_is_there_after_a_kill, make_scratch,
                                        remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
