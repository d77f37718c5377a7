#include "view/memory_read_text.h"

#include <string.h>

#include "base/amount.h"
#include "base/command_name.h"
#include "machine/machine.h"

enum { COMMAND_COLUMNS = 48 };

static void add_holder(const struct vg_file_holder *holder, struct vg_text *out)
{
    char command[sizeof holder->command], name[sizeof holder->command];
    const size_t length = strnlen(holder->command, sizeof holder->command);
    vg_text_sanitize(command, sizeof command, holder->command, length);
    vg_command_short(name, sizeof name, command);
    if (holder->invisible)
        vg_text_add(out, VG_MACHINE_ELSEWHERE ", not visible here,");
    else if (name[0])
        vg_text_addf(out, "pid %d (%.*s)", holder->pid, COMMAND_COLUMNS, name);
    else
        vg_text_addf(out, "pid %d", holder->pid);
    vg_text_addf(out, " %s", VG_AMOUNT(holder->bytes));
}

static void add_holders(const struct vg_file_memory_read *read, struct vg_text *out)
{
    unsigned listed = 0;
    for (unsigned i = 0; i < VG_FILE_HOLDERS && read->holders[i].pid != 0; i++) {
        vg_text_add(out, listed++ == 0 ? ": " : ", ");
        add_holder(&read->holders[i], out);
    }
    if (read->holder_count > listed && listed > 0)
        vg_text_addf(out, " and %u more", read->holder_count - listed);
    vg_text_add(out, ".");
}

/* " 0.4 s after its start"; nothing where the two clocks do not fit. */
static void add_moment(uint64_t realtime_ns, uint64_t start_realtime_ns, struct vg_text *out)
{
    if (realtime_ns < start_realtime_ns)
        return;
    vg_text_add(out, " ");
    vg_amount_add_duration(out, realtime_ns - start_realtime_ns);
    vg_text_add(out, " after its start");
}

bool vg_memory_read_render(const struct vg_file_memory_read *read, int ordinal,
                           uint64_t start_realtime_ns, struct vg_text *out)
{
    if (read->realtime_ns == 0 || read->low_realtime_ns == 0 ||
        !vg_amount_known(read->total_bytes) || !vg_amount_known(read->free_bytes))
        return false;
    vg_text_addf(out, "The program asked how much of GPU %d is free. ", ordinal);
    if (vg_amount_known(read->low_others_bytes)) {
        vg_text_addf(out, "Other processes held %s of %s", VG_AMOUNT(read->low_others_bytes),
                     VG_AMOUNT(read->total_bytes));
        add_moment(read->low_realtime_ns, start_realtime_ns, out);
        add_holders(read, out);
    } else {
        vg_text_add(out, "Who held the rest is not known, without NVML.");
    }
    vg_text_addf(out, " When it asked last, %s of %s were free, and it held %s itself.",
                 VG_AMOUNT(read->free_bytes), VG_AMOUNT(read->total_bytes),
                 VG_AMOUNT(read->own_bytes));
    return true;
}
