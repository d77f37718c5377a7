/* For unit tests of what a run file says of events: a recorder, and the run as it is read again. */
#ifndef VRAMGUARD_TEST_EVENT_FIXTURE_H
#define VRAMGUARD_TEST_EVENT_FIXTURE_H

#include <stdlib.h>

#include "analyze/event_records.h"
#include "analyze/file_source.h"
#include "core_fixture.h"
#include "sample_failure.h"

static struct vg_recorder *recorder;
static struct vg_reader reader;
static struct vg_file_source source;
static struct vg_region region;
static struct vg_run run;
static struct vg_run_failure s;
static char buffer[VG_EVENT_RECORD_CAP] __attribute__((aligned(8)));

static int open_recorder(void **state)
{
    if (make_scratch(state) != 0)
        return -1;
    recorder = calloc(1, sizeof *recorder);
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    return recorder ? vg_recorder_open(recorder, &config) : -1;
}

static int close_recorder(void **state)
{
    free(recorder);
    return remove_scratch(state);
}

static const struct vg_run *read_back(void)
{
    char why[160];
    const char *const path = in_scratch("run");
    assert_int_equal(vg_reader_open(&reader, path, why, sizeof why), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    vg_file_source_init(&source, &reader, path, NULL);
    vg_file_source_build(&source, &region, &run);
    return &run;
}

static void release(void)
{
    vg_region_release(&region);
    vg_reader_close(&reader);
}

#define EVENT_TEST(name) cmocka_unit_test_setup_teardown(name, open_recorder, close_recorder)

#endif
