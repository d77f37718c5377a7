/* Linked into every unit program: VG_TEST_ONLY names the one test to run (* and ? as in a shell).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

__attribute__((constructor)) static void choose_tests(void)
{
    const char *const only = getenv("VG_TEST_ONLY");
    if (only)
        cmocka_set_test_filter(only);
}
