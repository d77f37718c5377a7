/* Payloads of parts: what is written is read, by readers of other versions, too; garbage does no
 * harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core_fixture.h"
#include "record/parts.h"

enum { TAG_FIRST = 1, TAG_SECOND, TAG_ARRAY, TAG_TEXTS, BYTES = 512 };

struct entry {
    uint32_t number, text;
};

static _Alignas(8) char bytes[BYTES];

static void parts_come_back(void **state)
{
    (void)state;
    struct vg_part_writer writer = vg_part_write(bytes, sizeof bytes);
    const char first[5] = "abcd", second[9] = "12345678";
    vg_part_add(&writer, TAG_FIRST, first, sizeof first);
    struct entry *const entries = vg_part_add_array(&writer, TAG_ARRAY, sizeof *entries, 3);
    assert_non_null(entries);
    for (uint32_t i = 0; i < 3; i++)
        entries[i] = (struct entry){ .number = i, .text = vg_part_text(&writer, i ? "x" : "") };
    vg_part_add(&writer, TAG_SECOND, second, sizeof second);
    assert_null(vg_part_add_array(&writer, TAG_ARRAY, 8, 0));
    const uint32_t size = vg_part_finish(&writer, TAG_TEXTS);
    assert_false(writer.is_full);
    assert_int_equal(size % 8, 0);

    const struct vg_part_reader reader = vg_part_read(bytes, size, TAG_TEXTS);
    size_t there;
    char out[16];
    for (uint16_t tag = TAG_FIRST; tag <= TAG_TEXTS; tag++)
        assert_int_equal((uintptr_t)vg_part_find(&reader, tag, &there) % 8, 0);
    assert_null(vg_part_find(&reader, 99, &there));
    assert_true(vg_part_get(&reader, TAG_SECOND, out, sizeof second));
    assert_string_equal(out, "12345678");
    assert_int_equal(vg_part_count(&reader, TAG_ARRAY), 3);
    assert_int_equal(vg_part_count(&reader, 99), 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct entry entry;
        vg_part_get_entry(&reader, TAG_ARRAY, i, &entry, sizeof entry);
        assert_int_equal(entry.number, i);
        assert_string_equal(vg_part_text_at(&reader, entry.text), i ? "x" : "");
    }
}

/* A part that has grown since is cut, one that was shorter is filled with zeros. */
static void other_versions_are_read(void **state)
{
    (void)state;
    struct vg_part_writer writer = vg_part_write(bytes, sizeof bytes);
    const uint64_t part[2] = { 11, 12 };
    vg_part_add(&writer, TAG_FIRST, part, sizeof part);
    uint64_t *const entries = vg_part_add_array(&writer, TAG_ARRAY, sizeof part, 2);
    memcpy(entries, part, sizeof part);
    memcpy(entries + 2, part, sizeof part);
    const struct vg_part_reader reader =
        vg_part_read(bytes, vg_part_finish(&writer, TAG_TEXTS), TAG_TEXTS);
    uint64_t out[4];
    for (size_t count = 1; count <= 3; count++) {
        memset(out, 0xff, sizeof out);
        assert_true(vg_part_get(&reader, TAG_FIRST, out, count * sizeof out[0]));
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(out[i], i >= count ? UINT64_MAX : i < 2 ? part[i] : 0);
        memset(out, 0xff, sizeof out);
        vg_part_get_entry(&reader, TAG_ARRAY, 1, out, count * sizeof out[0]);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(out[i], i >= count ? UINT64_MAX : i < 2 ? part[i] : 0);
    }
    memset(out, 0xff, sizeof out);
    assert_false(vg_part_get(&reader, 99, out, 8));
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], UINT64_MAX);
}

static void what_does_not_fit_is_left_out(void **state)
{
    (void)state;
    memset(bytes, '#', sizeof bytes);
    struct vg_part_writer writer = vg_part_write(bytes, 256);
    char large[256] = { 0 };
    vg_part_add(&writer, TAG_FIRST, large, 100);
    assert_false(writer.is_full);
    vg_part_add(&writer, TAG_SECOND, large, 100);
    assert_true(writer.is_full);
    writer.is_full = false;
    assert_null(vg_part_add_array(&writer, TAG_ARRAY, 50, 2));
    assert_true(writer.is_full);
    const uint32_t size = vg_part_finish(&writer, TAG_TEXTS);
    const struct vg_part_reader reader = vg_part_read(bytes, size, TAG_TEXTS);
    size_t there;
    assert_non_null(vg_part_find(&reader, TAG_FIRST, &there));
    assert_null(vg_part_find(&reader, TAG_SECOND, &there));
    for (size_t i = 256; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], '#');
}

static void texts_are_cut_where_there_is_no_room(void **state)
{
    (void)state;
    for (size_t length = 1; length < 100; length++) {
        char text[128];
        memset(text, 'x', length);
        text[length] = '\0';
        struct vg_part_writer writer = vg_part_write(bytes, 256); /* 64 of them for texts */
        const uint32_t first = vg_part_text(&writer, text), second = vg_part_text(&writer, "last");
        const struct vg_part_reader reader =
            vg_part_read(bytes, vg_part_finish(&writer, TAG_TEXTS), TAG_TEXTS);
        const size_t kept = strlen(vg_part_text_at(&reader, first));
        assert_int_equal(kept, length < 62 ? length : 62);
        const size_t room = 62 - kept; /* of the rest, one byte is the text's end */
        const size_t of_last = room < 2 ? 0 : room - 1 < 4 ? room - 1 : 4;
        assert_int_equal(strlen(vg_part_text_at(&reader, second)), of_last);
        assert_int_equal(strncmp(vg_part_text_at(&reader, second), "last", of_last), 0);
    }
}

static void what_has_no_end_is_no_text(void **state)
{
    (void)state;
    struct vg_part_writer writer = vg_part_write(bytes, sizeof bytes);
    const uint32_t text = vg_part_text(&writer, "abcdefghijk");
    const uint32_t size = vg_part_finish(&writer, TAG_TEXTS);
    struct vg_part_reader reader = vg_part_read(bytes, size, TAG_TEXTS);
    assert_string_equal(vg_part_text_at(&reader, text), "abcdefghijk");
    assert_string_equal(vg_part_text_at(&reader, 0), "");
    assert_string_equal(vg_part_text_at(&reader, (uint32_t)reader.text_bytes), "");
    assert_string_equal(vg_part_text_at(&reader, UINT32_MAX), "");
    reader.text_bytes--; /* its end is outside */
    assert_string_equal(vg_part_text_at(&reader, text), "");
}

/* Sizes and counts that are more than there is. */
static void what_is_not_all_there_is_not_read(void **state)
{
    (void)state;
    struct vg_part_writer writer = vg_part_write(bytes, sizeof bytes);
    assert_non_null(vg_part_add_array(&writer, TAG_ARRAY, 8, 4));
    const uint32_t size = vg_part_finish(&writer, TAG_TEXTS);
    struct vg_part *const part = (void *)bytes;
    struct vg_part_array *const array = (void *)(part + 1);
    size_t there;
    struct vg_part_reader reader = vg_part_read(bytes, size, TAG_TEXTS);
    assert_int_equal(vg_part_count(&reader, TAG_ARRAY), 4);
    array->count = 5;
    assert_int_equal(vg_part_count(&reader, TAG_ARRAY), 0);
    array->count = UINT32_MAX;
    assert_int_equal(vg_part_count(&reader, TAG_ARRAY), 0);
    array->count = 4;
    array->entry_bytes = 0;
    assert_int_equal(vg_part_count(&reader, TAG_ARRAY), 0);
    for (uint32_t more = 1; more <= 16; more++) {
        part->size_bytes = size - (uint32_t)sizeof *part + more;
        assert_null(vg_part_find(&reader, TAG_ARRAY, &there));
    }
    part->size_bytes = size - (uint32_t)sizeof *part;
    assert_non_null(vg_part_find(&reader, TAG_ARRAY, &there));
    for (uint32_t cut = 0; cut < size; cut++) {
        reader = vg_part_read(bytes, cut, TAG_TEXTS);
        assert_null(vg_part_find(&reader, TAG_ARRAY, &there));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_back),
        cmocka_unit_test(other_versions_are_read),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(texts_are_cut_where_there_is_no_room),
        cmocka_unit_test(what_has_no_end_is_no_text),
        cmocka_unit_test(what_is_not_all_there_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
