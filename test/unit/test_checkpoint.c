/* Headers of .safetensors files: what they tell, and that no content of theirs does harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "analyze/checkpoint.h"
#include "os/maps.h"
#include "os/process.h"

static struct vg_run_checkpoint found;
static struct vg_region region;

static const char good[] =
    "{\"__metadata__\":{\"format\":\"pt\",\"odd\":\"\\\"}{\"},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
    "\"c\": {\"data_offsets\": [32, 36], \"shape\": [], \"dtype\": \"F16\", \"new\": [{\"x\":1}]},"
    "\"d}\\\"\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[36,44]},"
    "\"e\":{\"dtype\":\"F8_E4M3\",\"shape\":[0],\"data_offsets\":[44,44]}}   ";

static int parse(const char *text, uint64_t data_bytes)
{
    memset(&found, 0, sizeof found);
    return vg_checkpoint_parse(text, strlen(text), data_bytes, &found);
}

static void types_are_added_up(void **state)
{
    (void)state;
    assert_int_equal(parse(good, 44), 0);
    assert_int_equal(found.f32_bytes, 24);
    assert_int_equal(found.half_bytes, 12);
    assert_int_equal(found.other_bytes, 8);
    assert_int_equal(vg_checkpoint_parse(good, strlen(good), 44, &found), 0);
    assert_int_equal(found.f32_bytes, 48);
    assert_int_equal(parse("{}", 0), 0);
    assert_int_equal(parse("{\"__metadata__\":{}}", 0), 0);
}

static void what_is_no_header_adds_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"a\"}",
        "{\"a\":{}}",
        "{\"a\":1}",
        "{\"a\":{\"dtype\":\"F32\"}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[-4,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[8,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,101]}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,18446744073709551617]}}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}",
        "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,60]},"
        "\"b\":{\"dtype\":\"F32\",\"data_offsets\":[0,60]}}",
        "{\"__metadata__\":{\"x\":[[[[[[",
        "{\"__metadata__\":\"\\",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (parse(texts[i], 100) != -EBADMSG)
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(found.f32_bytes + found.half_bytes + found.other_bytes, 0);
    }
}

/* Cut anywhere, changed anywhere: an answer, within the buffer (whose end a page guards) and never
 * more than the file has. */
static void any_bytes_are_harmless(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), length = sizeof good - 1;
    char *const memory =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    srand(7);
    unsigned taken = 0;
    for (int round = 0; round < 200000; round++) {
        const size_t cut = round % 2 ? length : (size_t)rand() % (length + 1);
        char *const text = memory + page - cut;
        memcpy(text, good, cut);
        for (int changes = rand() % 4; changes > 0 && cut > 0; changes--)
            text[(size_t)rand() % cut] = rand() % 2 ? "{}[],:\"\\ 019"[rand() % 12] : (char)rand();
        memset(&found, 0, sizeof found);
        taken += vg_checkpoint_parse(text, cut, 44, &found) == 0;
        assert_true(found.f32_bytes + found.half_bytes + found.other_bytes <= 44);
    }
    assert_true(taken > 1000); /* unchanged ones, and those changed in a name */
    munmap(memory, 2 * page);
}

/* ---- mapped files ---- */

static char folder[] = "/tmp/vg-checkpoint-XXXXXX";

static void *map_file(const char *name, const char *header, uint64_t length_told, size_t data_bytes,
                      size_t *out_bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "w+");
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        fputc((int)(length_told >> (8 * i) & 0xff), file);
    fwrite(header, 1, strlen(header), file);
    *out_bytes = 8 + strlen(header) + data_bytes;
    fflush(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)*out_bytes), 0);
    void *const mapped = mmap(NULL, *out_bytes, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    assert_true(mapped != MAP_FAILED);
    fclose(file);
    return mapped;
}

static void expect_found(uint64_t f32_bytes, uint32_t files, uint32_t unread, const char *name)
{
    memset(&found, 0xff, sizeof found);
    vg_checkpoint_find(&region, &found);
    assert_int_equal(found.f32_bytes, f32_bytes);
    assert_int_equal(found.file_count, files);
    assert_int_equal(found.unread, unread);
    assert_string_equal(found.name, name);
}

static void mapped_files_are_read(void **state)
{
    (void)state;
    size_t sizes[6];
    expect_found(0, 0, 0, "");
    void *const one = map_file("one.safetensors", good, strlen(good), 44, &sizes[0]);
    expect_found(24, 1, 0, "one.safetensors");
    /* A part with other rights is one more mapping of the same file. */
    assert_int_equal(mprotect(one, 1, PROT_NONE), 0);
    expect_found(24, 1, 0, "one.safetensors");
    static const char two[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[25],\"data_offsets\":[0,100]}}";
    void *const second = map_file("two.safetensors", two, sizeof two - 1, 100, &sizes[1]);
    expect_found(124, 2, 0, "two.safetensors");
    /* Of another name, with a length beyond the file, and beyond what is read. */
    void *const other = map_file("other.bin", two, sizeof two - 1, 100, &sizes[2]);
    void *const cut = map_file("cut.safetensors", two, sizeof two + 100, 100, &sizes[3]);
    void *const large = map_file("large.safetensors", two, UINT64_MAX - 3, 100, &sizes[4]);
    expect_found(124, 2, 2, "two.safetensors");
    /* Gone, or something else by now. */
    char path[256];
    snprintf(path, sizeof path, "%s/two.safetensors", folder);
    unlink(path);
    expect_found(24, 1, 2, "one.safetensors");
    snprintf(path, sizeof path, "%s/one.safetensors", folder);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_found(0, 0, 2, "");
    munmap(one, sizes[0]);
    munmap(second, sizes[1]);
    munmap(other, sizes[2]);
    munmap(cut, sizes[3]);
    munmap(large, sizes[4]);
    expect_found(0, 0, 0, "");
}

/* The hub's cache holds files under the name of their hash. */
static void a_model_of_the_hub_is_named(void **state)
{
    (void)state;
    char path[256];
    size_t bytes[2];
    snprintf(path, sizeof path, "%s/models--google-bert--bert-large", folder);
    mkdir(path, 0700);
    strcat(path, "/blobs");
    mkdir(path, 0700);
    void *const blob =
        map_file("models--google-bert--bert-large/blobs/8a7f", good, strlen(good), 44, &bytes[0]);
    void *const vocabulary = map_file("models--google-bert--bert-large/blobs/11ee", "word\n",
                                      UINT64_C(0x646f0a64726f7701), 44, &bytes[1]);
    expect_found(24, 1, 0, "google-bert/bert-large");
    munmap(blob, bytes[0]);
    munmap(vocabulary, bytes[1]);
}

/* ---- what /proc tells ---- */

static unsigned visited;
static char last_path[64];

static bool note(const struct vg_mapping *mapping, void *argument)
{
    struct vg_mapped_file identity;
    if (!vg_maps_identify(mapping, &identity))
        return true;
    visited++;
    snprintf(last_path, sizeof last_path, "%.60s", mapping->path);
    return !argument || visited < *(unsigned *)argument;
}

static void odd_lines_are_left_out(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/self", folder);
    mkdir(path, 0700);
    strcat(path, "/maps");
    FILE *const file = fopen(path, "w");
    fputs("00400000-00452000 r-xp 00000000 08:02 173521    /usr/bin/a b\n", file);
    fputs("7f00-7f01 rw-p 00000000 00:00 0 \n7f00-7f01 rw-p 00000000 00:00 0    [heap]\n", file);
    fputs("\n7f00-7f01 rw-s 0 00:01 0   /memfd:x (deleted)\n/ / / / / /\n", file);
    for (int i = 0; i < 6000; i++)
        fputc('/', file);
    fputs(" x\n7f00-7f01 rw-p 00000000 fd:1f 77    /last\n7f00-7f01 rw-p 0 fd:1f 78  /torn", file);
    fclose(file);
    const char *const root = vg_process_proc_root;
    vg_process_proc_root = folder;
    assert_int_equal(vg_maps_each(0, note, NULL), 0);
    assert_int_equal(visited, 2);
    assert_string_equal(last_path, "/last");
    unsigned most = 1;
    visited = 0;
    assert_int_equal(vg_maps_each(0, note, &most), 0);
    assert_int_equal(visited, 1);
    assert_string_equal(last_path, "/usr/bin/a b");
    assert_int_equal(vg_maps_each(77, note, NULL), -ENOENT);
    vg_process_proc_root = root;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_added_up),
        cmocka_unit_test(what_is_no_header_adds_nothing),
        cmocka_unit_test(any_bytes_are_harmless),
        cmocka_unit_test(mapped_files_are_read),
        cmocka_unit_test(a_model_of_the_hub_is_named),
        cmocka_unit_test(odd_lines_are_left_out),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
