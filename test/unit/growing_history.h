/* Blocks of a variable that came one by one with each step, up to now. */
#ifndef VG_TEST_GROWING_HISTORY_H
#define VG_TEST_GROWING_HISTORY_H

#include "analyze/census.h"

static const struct vg_census_history growing_history = { .blocks = 72,
                                                          .oldest_count = 720,
                                                          .newest_count = 5,
                                                          .since_ns = 1000000,
                                                          .pauses = 71,
                                                          .made = { 9, 9, 9, 9, 9, 9, 9, 9 } };

#endif
