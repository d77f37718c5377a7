/* Memory for tables: pieces that never overlap, large ones given back, errno kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/arena.h"

static void pieces_do_not_overlap(void **state)
{
    (void)state;
    enum { PIECES = 400 };
    static unsigned char *pieces[PIECES];
    struct vg_arena arena = { 0 };
    for (size_t i = 0; i < PIECES; i++) {
        const size_t bytes = 1 + i * 97; /* the larger ones have mappings of their own */
        pieces[i] = vg_arena_alloc(&arena, bytes);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t at = 0; at < bytes; at++)
            assert_int_equal(pieces[i][at], 0);
        memset(pieces[i], (int)(i % 255) + 1, bytes);
        assert_true(arena.next <= arena.end);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t at = 0; at < 1 + i * 97; at++)
            assert_int_equal(pieces[i][at], i % 255 + 1);
}

static void large_pieces_are_given_back(void **state)
{
    (void)state;
    struct vg_arena arena = { 0 };
    unsigned char resident;
    for (size_t bytes = 64 << 10; bytes <= 8 << 20; bytes *= 2) {
        void *const piece = vg_arena_alloc(&arena, bytes);
        assert_non_null(piece);
        errno = 4711;
        vg_arena_free(&arena, piece, bytes);
        assert_int_equal(errno, 4711);
        assert_int_equal(mincore(piece, 1, &resident), -1); /* not mapped */
    }
    void *const small = vg_arena_alloc(&arena, 100); /* stays, for others lie beside it */
    vg_arena_free(&arena, small, 100);
    memset(small, 1, 100);
}

static void no_memory_is_null(void **state)
{
    (void)state;
    struct vg_arena arena = { 0 };
    struct rlimit before;
    getrlimit(RLIMIT_AS, &before);
    const struct rlimit none = { .rlim_cur = 1 << 20, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_AS, &none);
    errno = 4711;
    void *const small = vg_arena_alloc(&arena, 16);
    void *const large = vg_arena_alloc(&arena, 1 << 22);
    const int error = errno;
    setrlimit(RLIMIT_AS, &before);
    assert_null(small);
    assert_null(large);
    assert_int_equal(error, 4711);
    assert_non_null(vg_arena_alloc(&arena, 16)); /* later there is some again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(large_pieces_are_given_back),
        cmocka_unit_test(no_memory_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
