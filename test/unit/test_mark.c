/* Marks in the recorder file: what was set is read again, and hostile records are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "core_fixture.h"
#include "record/reader.h"
#include "view/mark_record.h"

static struct vg_recorder *open_recorder(void)
{
    struct vg_recorder *const recorder = calloc(1, sizeof *recorder);
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    assert_non_null(recorder);
    assert_int_equal(vg_recorder_open(recorder, &config), 0);
    return recorder;
}

static void read_back(struct vg_reader *reader)
{
    char why[160];
    assert_int_equal(vg_reader_open(reader, in_scratch("run"), why, sizeof why), 0);
    assert_int_equal(vg_reader_load(reader), 0);
}

static void read_mark(const struct vg_reader *reader, size_t i, struct vg_mark_record *out)
{
    assert_true(i < reader->mark_count);
    assert_int_equal(vg_mark_record_read(reader->marks[i].bytes, reader->marks[i].size_bytes, out),
                     0);
}

static void marks_are_read_again(void **state)
{
    (void)state;
    char long_text[300], line[512];
    struct vg_reader reader;
    struct vg_mark_record mark;
    struct vg_recorder *const recorder = open_recorder();
    struct vg_file_device *const devices = recorder->header->devices;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(vg_mark_record_append(recorder, 4711, "before anything"), 0);
    devices[0].live_bytes = 100 << 20;
    devices[0].peak_bytes = 200 << 20;
    devices[VG_FILE_HOST].peak_bytes = 1 << 20;
    assert_int_equal(vg_mark_record_append(recorder, 4712, "epoch\t1 \x1b[31m"), 0);
    assert_int_equal(vg_mark_record_append(recorder, 4713, long_text), 0);
    read_back(&reader);
    assert_int_equal(reader.mark_count, 3);
    assert_int_equal(reader.header->mark_count, 3);
    read_mark(&reader, 0, &mark);
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_mark_record_render(&mark, &text);
    assert_string_equal(line, "before anything");
    assert_int_equal(mark.thread_id, 4711);
    read_mark(&reader, 1, &mark);
    text = vg_text_over(line, sizeof line);
    vg_mark_record_render(&mark, &text);
    assert_string_equal(line,
                        "epoch?1 ?[31m: 100 MiB live on GPU 0, peak 200 MiB; 0 B live of "
                        "pinned host memory, peak 1.00 MiB");
    read_mark(&reader, 2, &mark);
    assert_int_equal(strlen(mark.text), VG_MARK_TEXT_CAP - 1);
    assert_string_equal(mark.text + VG_MARK_TEXT_CAP - 6, "xx...");
    vg_reader_close(&reader);
    free(recorder);
}

static void marks_are_bounded(void **state)
{
    (void)state;
    struct vg_reader reader;
    struct vg_recorder *const recorder = open_recorder();
    for (int i = 0; i < VG_MARK_RECORDS_MAX; i++)
        assert_int_equal(vg_mark_record_append(recorder, 1, "step"), 0);
    assert_int_equal(vg_mark_record_append(recorder, 1, "step"), -ENOSPC);
    read_back(&reader);
    assert_int_equal(reader.mark_count, VG_MARK_RECORDS_MAX);
    assert_int_equal(reader.header->mark_count, VG_MARK_RECORDS_MAX + 1);
    vg_reader_close(&reader);
    free(recorder);
}

static void hostile_records_are_refused(void **state)
{
    (void)state;
    struct vg_mark_record mark = { .version = VG_MARK_RECORD_VERSION, .device_count = 1 }, out;
    const uint32_t one = offsetof(struct vg_mark_record, devices[1]);
    assert_int_equal(vg_mark_record_read(&mark, one, &out), 0);
    for (uint32_t size = 0; size <= sizeof mark; size++)
        assert_int_equal(vg_mark_record_read(&mark, size, &out), size == one ? 0 : -EBADMSG);
    mark.device_count = UINT32_MAX;
    assert_int_equal(vg_mark_record_read(&mark, one, &out), -EBADMSG);
    mark.device_count = 1;
    mark.version++;
    assert_int_equal(vg_mark_record_read(&mark, one, &out), -EBADMSG);
    mark.version--;
    memset(mark.text, '\x1b', sizeof mark.text);
    assert_int_equal(vg_mark_record_read(&mark, one, &out), 0);
    assert_int_equal(strlen(out.text), sizeof out.text - 1);
    assert_null(strchr(out.text, '\x1b'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(marks_are_read_again, make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(marks_are_bounded, make_scratch, remove_scratch),
        cmocka_unit_test(hostile_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
