#include "report/label.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "report/python_frame.h"
#include "report/symbol_name.h"

enum {
    SEPARATOR_LENGTH = sizeof VG_LABEL_SEPARATOR - 1,
    PART_CAP = 160,
    OUTER_PARTS = 8, /* parts kept of a very deep stack; any of them would not fit a label */
    INNER_PARTS = 16,
    DRAFT_CAP = (OUTER_PARTS + INNER_PARTS + 1) * (PART_CAP + SEPARATOR_LENGTH),
};

static const char ellipsis[] = "...";

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_libc(const char *module)
{
    return starts_with(module, "libc.so.") || starts_with(module, "libpthread.so.");
}

/* Frames in which every stack of a program or a thread begins. */
static bool is_startup(const struct vg_snapshot_frame *frame)
{
    static const char *const names[] = { "_start",
                                         "__libc_start_main",
                                         "__libc_start_main_impl",
                                         "start_thread",
                                         "clone",
                                         "__libc_start_call_main",
                                         "__clone",
                                         "clone3",
                                         "__clone3" };
    if (is_libc(frame->module) && frame->function[0] == '\0')
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(frame->function, names[i]) == 0)
            return true;
    return false;
}

static bool has_python(const struct vg_snapshot_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (frames[i].is_python)
            return true;
    return false;
}

static bool is_dropped(const struct vg_snapshot_frame *frame)
{
    return is_startup(frame) || starts_with(frame->module, "libcuda.so") ||
           starts_with(frame->module, "libvramguard.so");
}

/* An interpreter's insides say nothing, however much is known about them. */
static bool is_machinery(const struct vg_snapshot_frame *frame)
{
    return vg_python_frame_hides(frame) || starts_with(frame->module, "libffi.");
}

static bool is_runtime(const struct vg_snapshot_frame *frame)
{
    return starts_with(frame->module, "libcudart.so");
}

/* Is `inner`, called from `outer` in the same module, the better of the two? */
static bool tells_more(const struct vg_snapshot_frame *inner, const struct vg_snapshot_frame *outer)
{
    if (is_runtime(inner) && starts_with(outer->function, "cuda"))
        return starts_with(inner->function, "cuda");
    return inner->function[0] != '\0' || outer->function[0] == '\0';
}

static bool has_own_part(const struct vg_snapshot_frame *frame)
{
    return frame->location[0] != '\0' && frame->function[0] != '\0' && !is_runtime(frame) &&
           !is_machinery(frame);
}

static bool same_module(const struct vg_snapshot_frame *a, const struct vg_snapshot_frame *b)
{
    return strncmp(a->module, b->module, sizeof a->module) == 0;
}

/* Has no function of the program a name? Then offsets must tell places apart. */
static bool is_nameless(const struct vg_snapshot_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (frames[i].function[0] != '\0' && !is_dropped(&frames[i]) && !is_runtime(&frames[i]))
            return false;
    return true;
}

/* Folds frames (innermost first) into parts (outermost first), as indices. Returns their number. */
static size_t fold(const struct vg_snapshot_frame *frames, size_t count, bool nameless,
                   unsigned char *parts)
{
    const bool python = has_python(frames, count);
    size_t used = 0;
    bool joinable = false; /* the last part stands for a run that may go on */
    for (size_t i = count; i-- > 0;) {
        const struct vg_snapshot_frame *const frame = &frames[i];
        if (is_dropped(frame) || (python && vg_python_frame_hides(frame)))
            continue;
        if (frame->is_python || has_own_part(frame)) {
            parts[used++] = (unsigned char)i;
            joinable = false;
        } else if (joinable && same_module(frame, &frames[parts[used - 1]])) {
            if (tells_more(frame, &frames[parts[used - 1]]))
                parts[used - 1] = (unsigned char)i;
        } else {
            parts[used++] = (unsigned char)i;
            joinable = !nameless || is_runtime(frame) || frame->module[0] == '\0';
        }
    }
    return used;
}

static void add_part(struct vg_text *out, const struct vg_snapshot_frame *frame, bool nameless)
{
    char data[PART_CAP], function[sizeof frame->function];
    struct vg_text part = vg_text_over(data, sizeof data);
    vg_symbol_name(function, sizeof function, frame->function);
    if (frame->is_python)
        vg_text_addf(&part, "%s %s", frame->location, vg_python_frame_short_name(frame));
    else if (has_own_part(frame))
        vg_text_addf(&part, "%s (%s)", function, frame->location);
    else if (function[0] != '\0' && frame->module[0] != '\0')
        vg_text_addf(&part, "%s %s", frame->module, function);
    else if (function[0] != '\0')
        vg_text_add(&part, function);
    else if (frame->module[0] == '\0')
        vg_text_add(&part, "code in no file");
    else if (nameless && !is_runtime(frame))
        vg_text_addf(&part, "%s+0x%llx", frame->module, (unsigned long long)frame->module_offset);
    else
        vg_text_add(&part, frame->module);
    if (out->length > 0)
        vg_text_add(out, VG_LABEL_SEPARATOR);
    vg_text_add_bytes(out, part.data, part.length);
}

void vg_label_from_frames(const struct vg_snapshot_frame *frames, size_t count, char *out,
                          size_t cap)
{
    unsigned char parts[VG_SNAPSHOT_FRAMES];
    char draft[DRAFT_CAP];
    struct vg_text text = vg_text_over(draft, sizeof draft);
    if (count > VG_SNAPSHOT_FRAMES)
        count = VG_SNAPSHOT_FRAMES;
    const bool nameless = is_nameless(frames, count);
    const size_t used = fold(frames, count, nameless, parts);
    for (size_t i = 0; i < used; i++) {
        if (i == OUTER_PARTS && used > OUTER_PARTS + INNER_PARTS) {
            vg_text_add(&text, VG_LABEL_SEPARATOR);
            vg_text_add(&text, ellipsis);
            i = used - INNER_PARTS;
        }
        add_part(&text, &frames[parts[i]], nameless);
    }
    vg_label_fit(out, cap, draft, cap - 1);
}

/* The part boundary at or after `at`: offset of a separator, or the label's length. */
static size_t next_separator(const char *label, size_t at)
{
    const char *const found = strstr(label + at, VG_LABEL_SEPARATOR);
    return found ? (size_t)(found - label) : strlen(label);
}

/* The offset of the last separator before `end`, or 0. */
static size_t previous_separator(const char *label, size_t end)
{
    while (end > 0) {
        end--;
        if (strncmp(label + end, VG_LABEL_SEPARATOR, SEPARATOR_LENGTH) == 0)
            return end;
    }
    return 0;
}

static void fit_one_part(struct vg_text *text, const char *label, size_t width)
{
    const size_t length = strlen(label);
    const size_t mark = width >= sizeof ellipsis - 1 ? sizeof ellipsis - 1 : 0;
    const char *tail = label + length - (width - mark);
    while (((unsigned char)*tail & 0xc0) == 0x80) /* not into the middle of a letter */
        tail++;
    vg_text_add_bytes(text, ellipsis, mark);
    vg_text_add(text, tail);
}

void vg_label_fit(char *out, size_t cap, const char *label, size_t width)
{
    struct vg_text text = vg_text_over(out, cap);
    const size_t length = strlen(label);
    if (width > cap - 1)
        width = cap - 1;
    if (length <= width) {
        vg_text_add_bytes(&text, label, length);
        return;
    }
    /* Grow a head [0, head) and a tail [tail, length) by whole parts while "head > ... > tail"
     * fits: the innermost function and the outermost, then the tail, which tells most about the
     * place, then the head. */
    const size_t gap = 2 * SEPARATOR_LENGTH + sizeof ellipsis - 1;
    size_t head = 0, tail = length;
    for (bool grew = true; grew;) {
        grew = false;
        const size_t new_tail = previous_separator(label, tail);
        if (new_tail > head && head + gap + (length - new_tail - SEPARATOR_LENGTH) <= width) {
            tail = new_tail;
            grew = true;
        }
        if (grew && head > 0)
            continue;
        const size_t new_head = next_separator(label, head ? head + SEPARATOR_LENGTH : 0);
        if (tail < length && new_head > head && new_head < tail &&
            new_head + gap + (length - tail - SEPARATOR_LENGTH) <= width) {
            head = new_head;
            grew = true;
        }
    }
    if (tail == length) {
        fit_one_part(&text, label, width);
        return;
    }
    if (head > 0) {
        vg_text_add_bytes(&text, label, head);
        vg_text_add(&text, VG_LABEL_SEPARATOR);
    }
    vg_text_add(&text, ellipsis);
    vg_text_add_bytes(&text, label + tail, length - tail);
}
