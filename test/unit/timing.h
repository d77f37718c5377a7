/* How long something may take. A busy machine breaks every such promise, so only `make
 * check-timing`, which runs one test at a time, looks at it (VG_TEST_TIMING=1); elsewhere only that
 * it took at least its time. */
#ifndef VG_TEST_TIMING_H
#define VG_TEST_TIMING_H

#include <cmocka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline bool timing_is_tested(void)
{
    const char *const value = getenv("VG_TEST_TIMING");
    return value && strcmp(value, "1") == 0;
}

/* That a time, in whatever unit, is at least `least`, and at most `most` where that is looked at.
 */
#define assert_took_between(took, least, most)                                                     \
    assert_in_range(took, least, timing_is_tested() ? (uint64_t)(most) : UINT64_MAX)

#endif
