/* Prints the stack of every live allocation in a recorder file, one a line:
 *
 *   ADDRESS TRUNCATED FRAME|FRAME|...
 *
 * in hexadecimal, 0 or 1, and innermost first: "file:line:qualified name" of Python code, "*" of
 * native code. Read with the tool's own reader. */
#include <stdio.h>

#include "record/reader.h"
#include "record/stack_merge.h"

static int show(const struct vg_live_slot *slot, void *argument)
{
    const struct vg_reader *const reader = argument;
    const struct vg_journal_stack *const stack = vg_reader_stack(reader, slot->stack_id);
    struct vg_stack_cursor cursor = { 0 };
    struct vg_stack_item item;
    printf("%llx %u ", (unsigned long long)slot->address, stack ? stack->truncated : 0);
    const char *separator = "";
    while (stack && vg_stack_next(stack, &cursor, &item)) {
        const struct vg_journal_code *const code =
            item.python ? vg_reader_code(reader, item.python->code_id) : NULL;
        if (!item.python)
            printf("%s*", separator);
        else if (code)
            printf("%s%s:%u:%s", separator, code->texts, item.python->line,
                   vg_journal_code_name(code));
        else
            printf("%sunknown", separator);
        separator = "|";
    }
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    static struct vg_reader reader;
    char why[160] = "usage: show_stacks FILE";
    if (argc != 2 || vg_reader_open(&reader, argv[1], why, sizeof why) != 0) {
        fprintf(stderr, "show_stacks: %s\n", why);
        return 1;
    }
    if (vg_reader_load(&reader) != 0 || vg_reader_each_live(&reader, show, &reader) != 0 ||
        vg_reader_describe_damage(&reader, why, sizeof why)) {
        fprintf(stderr, "show_stacks: damaged: %s\n", why);
        return 1;
    }
    vg_reader_close(&reader);
    return 0;
}
