/* A failure of PyTorch's with a census of its tensors, for the rows of advice that look at both. */
#ifndef VG_TEST_CENSUS_FIXTURE_H
#define VG_TEST_CENSUS_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "analyze/census.h"
#include "view/advice_blocks.h"

#define UNUSED __attribute__((unused))
#define MIB    (UINT64_C(1) << 20)

static UNUSED struct vg_census census;
static UNUSED struct vg_run_failure failure;
static UNUSED struct vg_run_site sites[2];
static UNUSED struct vg_run_frame frames[2];
static UNUSED struct vg_run_line lines[2];
static UNUSED char text_data[VG_ADVICE_TEXT_CAP];

/* 1000 MiB of tensors, 20 MiB asked, 8 MiB free; net.py:11 made 600 MiB of them. */
static UNUSED int prepare(void **state)
{
    (void)state;
    memset(&census, 0, sizeof census);
    memset(&failure, 0, sizeof failure);
    memset(sites, 0, sizeof sites);
    census.state = VG_CENSUS_COMPLETE;
    census.total = (struct vg_census_amount){ 1000 * MIB, 300 };
    sites[0].live_bytes = 600 * MIB;
    sites[0].live_count = 60;
    sites[0].own = (struct vg_run_line){
        .path = "/p/net.py", .file = "net.py", .line = 11, .function = "Mix.forward", .text = ""
    };
    sites[0].caller = (struct vg_run_line){ .path = "", .file = "", .function = "", .text = "" };
    sites[0].label = sites[0].called = "";
    frames[0] = (struct vg_run_frame){ .module = "",
                                       .function = "step",
                                       .file = "/p/train.py",
                                       .line = 25,
                                       .flags = VG_FRAME_PYTHON };
    frames[1] = (struct vg_run_frame){ .module = "",
                                       .function = "_init_group",
                                       .file = "/p/other.py",
                                       .flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY };
    failure.stack.frames = frames;
    failure.stack.frame_count = 2;
    failure.api = "cuMemAlloc_v2";
    failure.own = sites[0].own;
    failure.asked_bytes = 20 * MIB;
    failure.device.gpu.total_bytes = 1100 * MIB;
    failure.device.gpu.free_bytes = 8 * MIB;
    failure.device.live_bytes = 1020 * MIB;
    failure.device.self_bytes = failure.device.others_bytes = VG_BYTES_UNKNOWN;
    failure.device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .count = 1, .entries = sites, .is_known = true };
    failure.torch = (struct vg_run_torch){ .loaded = true,
                                           .settings = "",
                                           .tells_blocks = true,
                                           .allocated_bytes = 1000 * MIB,
                                           .reserved_bytes = 1020 * MIB,
                                           .block_count = 300 };
    lines[0] = sites[0].own;
    lines[1] = (struct vg_run_line){
        .path = "/p/net.py", .file = "net.py", .line = 12, .function = "Mix.forward", .text = ""
    };
    failure.census_lines = lines;
    failure.census = &census;
    failure.census_bytes = sizeof census;
    failure.census_format = VG_CENSUS_FORMAT;
    return 0;
}

static UNUSED const char *why_of(const struct vg_advice_row *row)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    row->cause(&failure, &text);
    return text_data;
}

static UNUSED const char *advice_of(const struct vg_advice_row *row)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    row->advice(&failure, &text);
    return text_data;
}

/* Of what it holds directly and of what by graphs, net.py:11 has made up to 600 MiB each. */
static UNUSED struct vg_census_variable *add_history(uint64_t direct_bytes, uint64_t graph_bytes)
{
    const uint64_t most = 600 * MIB;
    census.line_count = 2;
    census.lines[0].held[census.variable_count].direct_bytes =
        direct_bytes < most ? direct_bytes : most;
    census.lines[0].held[census.variable_count].graph_bytes =
        graph_bytes < most ? graph_bytes : most;
    struct vg_census_variable *const variable = &census.variables[census.variable_count++];
    snprintf(variable->path, sizeof variable->path, "history");
    snprintf(variable->function, sizeof variable->function, "main");
    snprintf(variable->file, sizeof variable->file, "/p/train.py");
    snprintf(variable->type, sizeof variable->type, "list");
    variable->place = VG_CENSUS_LOCAL;
    variable->length = 70;
    variable->line = 38;
    variable->direct.bytes = direct_bytes;
    variable->graph.bytes = graph_bytes;
    return variable;
}

#endif
