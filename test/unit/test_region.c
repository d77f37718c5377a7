/* Memory that is given back at once, and the sorting that needs none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/region.h"
#include "base/sort.h"

static void pieces_do_not_overlap(void **state)
{
    (void)state;
    enum { PIECES = 3000 };
    static unsigned char *pieces[PIECES];
    struct vg_region region = vg_region_over(NULL, 0);
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = vg_region_alloc(&region, 1 + (size_t)i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (int at = 0; at <= i; at++)
            assert_int_equal(pieces[i][at], 0);
        memset(pieces[i], i % 256, 1 + (size_t)i);
    }
    for (int i = 0; i < PIECES; i++)
        for (int at = 0; at <= i; at++)
            assert_int_equal(pieces[i][at], i % 256);
    unsigned char *const large = vg_region_alloc(&region, 20 << 20);
    assert_non_null(large);
    large[(20 << 20) - 1] = 1;
    assert_true(region.next <= region.end);
    assert_false(region.exhausted);
    vg_region_release(&region);
    assert_null(region.chunks);
}

/* Pages of address space that this process has (proc(5), statm). */
static long pages_mapped(void)
{
    long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages;
}

static void all_of_it_is_given_back(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    const long before = pages_mapped();
    for (int round = 0; round < ROUNDS; round++) {
        struct vg_region region = vg_region_over(NULL, 0);
        for (int i = 0; i < 10; i++) /* a chunk and more each time */
            assert_non_null(vg_region_alloc(&region, 1 << 20));
        vg_region_release(&region);
    }
    assert_true(pages_mapped() - before < ROUNDS);
}

static void the_first_memory_is_used_again_and_zeroed(void **state)
{
    (void)state;
    static char first[4096] __attribute__((aligned(16)));
    struct vg_region region = vg_region_over(first, sizeof first);
    for (int round = 0; round < 3; round++) {
        char *const a = vg_region_alloc(&region, 4000);
        assert_ptr_equal(a, first);
        for (int i = 0; i < 4000; i++)
            assert_int_equal(a[i], 0);
        memset(a, 'x', 4000);
        assert_null(region.chunks);
        assert_non_null(vg_region_alloc(&region, 4000));
        assert_non_null(region.chunks);
        vg_region_release(&region);
    }
}

static void without_memory_the_first_one_serves(void **state)
{
    (void)state;
    static char first[1024] __attribute__((aligned(16)));
    struct vg_region region = vg_region_over(first, sizeof first);
    struct rlimit before, none;
    getrlimit(RLIMIT_AS, &before);
    none = (struct rlimit){ .rlim_cur = 1 << 20, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_AS, &none);
    void *const small = vg_region_alloc(&region, 512);
    void *const large = vg_region_alloc(&region, 1 << 22);
    const char *const text = vg_region_string(&region, "short");
    setrlimit(RLIMIT_AS, &before);
    assert_non_null(small);
    assert_null(large);
    assert_true(region.exhausted);
    assert_string_equal(text, "short");
    assert_null(vg_region_array(&region, SIZE_MAX / 4, 8));
    assert_null(vg_region_array(&region, SIZE_MAX / 8 + 2, 8)); /* the product is 8 */
    assert_null(vg_region_array(&region, 0, 8));
    vg_region_release(&region);
    assert_false(region.exhausted);
}

static void texts_are_safe(void **state)
{
    (void)state;
    struct vg_region region = vg_region_over(NULL, 0);
    assert_string_equal(vg_region_string(&region, NULL), "");
    const char *const whole = vg_region_string(&region, "0123456789abcdef");
    assert_string_equal(vg_region_string(&region, "next"), "next");
    assert_string_equal(whole, "0123456789abcdef"); /* its end is its own */
    assert_string_equal(vg_region_string(&region, "a\033[31m"), "a?[31m");
    assert_string_equal(vg_region_text(&region, "abcdef", 3), "abc");
    assert_string_equal(vg_region_text(&region, "gr\303", 3), "gr?");
    static const char clean[] = "gr\303\274n", dirty[] = "\x7f";
    assert_ptr_equal(vg_region_safe_text(&region, clean), clean);
    assert_string_equal(vg_region_safe_text(&region, dirty), "?");
    vg_region_release(&region);
}

static int by_number(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void sorts(void **state)
{
    (void)state;
    int numbers[257], sums = 0, expected = 0;
    srand(11);
    for (size_t count = 0; count <= 257; count++) {
        expected = sums = 0;
        for (size_t i = 0; i < count; i++)
            expected += numbers[i] = rand() % 100;
        vg_sort(numbers, count, sizeof numbers[0], by_number);
        for (size_t i = 0; i < count; i++) {
            sums += numbers[i];
            if (i > 0)
                assert_true(numbers[i - 1] <= numbers[i]);
        }
        assert_int_equal(sums, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(the_first_memory_is_used_again_and_zeroed),
        cmocka_unit_test(without_memory_the_first_one_serves),
        cmocka_unit_test(texts_are_safe),
        cmocka_unit_test(sorts),
        cmocka_unit_test(all_of_it_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
