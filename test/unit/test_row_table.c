/* Tables of amounts: sorted, in line, within their room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/size.h"
#include "view/row_table.h"

static struct vg_row_table table;

static void rows_stand_below_their_title(void **state)
{
    (void)state;
    char data[512];
    struct vg_text out = vg_text_over(data, sizeof data);
    table = (struct vg_row_table){ .title = "What they are" };
    vg_row_table_print(&out, &table, 80, VG_GIB);
    assert_string_equal(data, ""); /* without rows there is none */
    vg_row_table_add(&table, VG_MIB, 7, "small");
    vg_row_table_add(&table, 2 * VG_GIB, 1, "large");
    vg_row_table_add(&table, VG_GIB, 3, "medium");
    vg_row_table_sort(&table);
    vg_row_table_print(&out, &table, 80, 4 * VG_GIB);
    assert_string_equal(data,
                        "  What they are\n"
                        "    2.00 GiB        1x  large\n"
                        "    1.00 GiB        3x  medium\n"
                        "    1.00 MiB        7x  small\n");
    assert_int_equal(vg_row_table_width(&table, 80, 4 * VG_GIB), 30);
    assert_int_equal(vg_row_table_width(&table, 20, 4 * VG_GIB), 20);
}

static void notes_line_up(void **state)
{
    (void)state;
    char line[2][VG_ROW_TEXT_CAP];
    table = (struct vg_row_table){ .title = "" };
    const char *const labels[] = { "a.py:1 short", "gr\303\274n.py:2 a_longer_function" };
    for (int i = 0; i < 2; i++) {
        struct vg_row *const row = vg_row_table_next(&table, VG_GIB, 1);
        strcpy(row->label, labels[i]);
        strcpy(row->note, "x = f(y)");
    }
    for (size_t i = 0; i < 2; i++)
        vg_row_table_lay_out(&table, 1 + i, 80, line[i], VG_GIB);
    assert_string_equal(line[0], "    1.00 GiB        1x  a.py:1 short                 x = f(y)");
    assert_string_equal(line[1],
                        "    1.00 GiB        1x  gr\303\274n.py:2 a_longer_function  x = f(y)");
    vg_row_table_lay_out(&table, 3, 80, line[0], VG_GIB);
    assert_string_equal(line[0], ""); /* behind the last */
}

static void there_is_room_for_so_many(void **state)
{
    (void)state;
    table = (struct vg_row_table){ .title = "" };
    for (int i = 0; i < VG_ROW_TABLE_ROWS; i++)
        assert_non_null(vg_row_table_next(&table, 1, 1));
    assert_null(vg_row_table_next(&table, 1, 1));
    vg_row_table_add(&table, 1, 1, "one more");
    assert_int_equal(table.count, VG_ROW_TABLE_ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stand_below_their_title),
        cmocka_unit_test(notes_line_up),
        cmocka_unit_test(there_is_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
