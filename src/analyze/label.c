#include "analyze/label.h"

#include <stdbool.h>
#include <string.h>

#include "analyze/frame.h"
#include "base/text.h"
#include "unwind/symbol_name.h"

enum {
    SEPARATOR_LENGTH = sizeof VG_LABEL_SEPARATOR - 1,
    PART_CAP = 160,
    FUNCTION_CAP = 96,
    OUTER_PARTS = 8, /* parts kept of a very deep stack; any of them would not fit a label */
    INNER_PARTS = 16,
    OWN_PARTS = 4, /* the program's own innermost functions, where all do not fit */
    NATIVE_PARTS = 3,
    DRAFT_CAP = (OUTER_PARTS + INNER_PARTS + 1) * (PART_CAP + SEPARATOR_LENGTH),
};

static const char ellipsis[] = "...";
static const char omission[] = VG_LABEL_SEPARATOR "..." VG_LABEL_SEPARATOR;

static bool is_libc(const char *module)
{
    return vg_text_starts_with(module, "libc.so.") || vg_text_starts_with(module, "libpthread.so.");
}

/* Frames in which every stack of a program or a thread begins. */
static bool is_startup(const struct vg_run_frame *frame)
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

/* What Python's own threads and pools of threads begin with (threading.py,
 * concurrent/futures/thread.py), and programs under `python -m` (runpy.py, frozen from 3.11 on). */
static bool is_python_startup(const struct vg_run_frame *frame)
{
    static const char *const functions[] = { "_bootstrap", "_bootstrap_inner", "_worker", "run" };
    if (!vg_frame_is_library(frame))
        return false;
    if (strcmp(frame->file, "<frozen runpy>") == 0 || vg_text_ends_with(frame->file, "/runpy.py"))
        return true;
    if (!vg_text_ends_with(frame->file, "/threading.py") &&
        !vg_text_ends_with(frame->file, "/futures/thread.py"))
        return false;
    const char *const name = vg_frame_short_name(frame->function);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (vg_text_ends_with(name, functions[i]))
            return true;
    return false;
}

static bool is_dropped(const struct vg_run_frame *frame)
{
    return is_startup(frame) || is_python_startup(frame) ||
           vg_text_starts_with(frame->module, "libcuda.so") ||
           vg_text_starts_with(frame->module, "libvramguard.so");
}

/* An interpreter's insides say nothing, however much is known about them. */
static bool is_machinery(const struct vg_run_frame *frame)
{
    return vg_frame_is_interpreter(frame) || vg_text_starts_with(frame->module, "libffi.");
}

static bool is_runtime(const struct vg_run_frame *frame)
{
    return vg_text_starts_with(frame->module, "libcudart.so");
}

/* Is `inner`, called from `outer` in the same module, the better of the two? */
static bool tells_more(const struct vg_run_frame *inner, const struct vg_run_frame *outer)
{
    if (is_runtime(inner) && vg_text_starts_with(outer->function, "cuda"))
        return vg_text_starts_with(inner->function, "cuda");
    return inner->function[0] != '\0' || outer->function[0] == '\0';
}

static bool has_location(const struct vg_run_frame *frame)
{
    return frame->file[0] != '\0' && frame->line > 0;
}

static bool has_own_part(const struct vg_run_frame *frame)
{
    return has_location(frame) && frame->function[0] != '\0' && !is_runtime(frame) &&
           !is_machinery(frame);
}

static bool same_module(const struct vg_run_frame *a, const struct vg_run_frame *b)
{
    return strcmp(a->module, b->module) == 0;
}

/* Has no function of the program a name? Then offsets must tell places apart. */
static bool is_nameless(const struct vg_run_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (frames[i].function[0] != '\0' && !is_dropped(&frames[i]) && !is_runtime(&frames[i]))
            return false;
    return true;
}

static bool is_torch_allocator(const struct vg_run_frame *frame)
{
    return vg_text_starts_with(frame->module, "libc10_cuda.so");
}

/* The name of a function of PyTorch's in `out`, "" of any other frame's. */
static const char *torch_function(char *out, size_t cap, const struct vg_run_frame *frame)
{
    out[0] = '\0';
    if (vg_text_starts_with(frame->module, "libtorch"))
        vg_symbol_name(out, cap, frame->function);
    return out;
}

/* PyTorch's engine, which goes through a backward pass in threads of its own. */
static bool is_engine(const struct vg_run_frame *frame)
{
    char function[FUNCTION_CAP];
    torch_function(function, sizeof function, frame);
    return vg_text_starts_with(function, "torch::autograd::Engine::") ||
           vg_text_starts_with(function, "torch::autograd::python::PythonEngine::");
}

/* What the engine calls for an operation: "torch::autograd::generated::SinBackward0::apply". Writes
 * the operation's name to `out`. */
static bool is_backward_node(const struct vg_run_frame *frame, char *out, size_t cap)
{
    static const char before[] = "torch::autograd::generated::", behind[] = "::apply";
    char function[FUNCTION_CAP];
    torch_function(function, sizeof function, frame);
    if (!vg_text_starts_with(function, before) || !vg_text_ends_with(function, behind))
        return false;
    const size_t length = strlen(function) - (sizeof before - 1) - (sizeof behind - 1);
    struct vg_text name = vg_text_over(out, cap);
    vg_text_add_bytes(&name, function + sizeof before - 1, length);
    return true;
}

/* A backward pass, which mostly runs in a thread without Python frames. */
struct backward {
    size_t engine; /* the outermost frame of it; the number of frames when there is none */
    size_t part;   /* the one that stands for it */
};

static struct backward find_backward(const struct vg_run_frame *frames, size_t count)
{
    char name[FUNCTION_CAP];
    struct backward found = { count, count };
    for (size_t i = 0; i < count; i++)
        if (is_engine(&frames[i]))
            found = (struct backward){ i, i };
    for (size_t i = 0; found.engine < count && i < found.engine; i++)
        if (is_backward_node(&frames[i], name, sizeof name))
            found.part = i;
    return found;
}

/* The engine's own frames, and what its threads begin with. */
static bool is_around_backward(const struct vg_run_frame *frame, size_t index,
                               const struct backward *backward)
{
    if (is_engine(frame) && index != backward->part)
        return true;
    return index > backward->part && !vg_frame_is_python(frame) &&
           (index <= backward->engine || vg_text_starts_with(frame->module, "libstdc++.so") ||
            vg_text_starts_with(frame->module, "libtorch"));
}

/* Native frames below the innermost Python frame, or a backward pass, that end in PyTorch's
 * allocator tell nothing but that: of those before `end` the one at the returned index stands for
 * all. `count` when there are none. */
static size_t find_torch_allocator(const struct vg_run_frame *frames, size_t count, size_t end)
{
    for (size_t i = end < count ? end : 0; i-- > 0;)
        if (is_torch_allocator(&frames[i]))
            return i;
    return count;
}

/* `count` when there is none. */
static size_t innermost_python(const struct vg_run_frame *frames, size_t count)
{
    size_t python = 0;
    while (python < count && !vg_frame_is_python(&frames[python]))
        python++;
    return python;
}

/* Folds frames (innermost first) into parts (outermost first), as indices. Returns their number. */
static size_t fold_frames(const struct vg_run_frame *frames, size_t count, bool nameless,
                          unsigned char *parts)
{
    const size_t innermost = innermost_python(frames, count);
    const bool python = innermost < count;
    const struct backward backward = find_backward(frames, count);
    const size_t end = python ? innermost : backward.part;
    const size_t allocator = find_torch_allocator(frames, count, end);
    size_t used = 0;
    bool joinable = false; /* the last part stands for a run that may go on */
    for (size_t i = count; i-- > 0;) {
        const struct vg_run_frame *const frame = &frames[i];
        if (is_dropped(frame) || (python && vg_frame_is_interpreter(frame)) ||
            (allocator < count && i < end && i != allocator) ||
            is_around_backward(frame, i, &backward))
            continue;
        if (vg_frame_is_python(frame) || has_own_part(frame) || i == backward.part) {
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

/* Is `inner`, called from `outer`, the same Python function, as in a walk over a tree? */
static bool is_recursion(const struct vg_run_frame *inner, const struct vg_run_frame *outer)
{
    return vg_frame_is_python(inner) && vg_frame_is_python(outer) &&
           strcmp(inner->function, outer->function) == 0 && strcmp(inner->file, outer->file) == 0;
}

/* Of a Python function that calls itself one part stays, the innermost. Returns the new number. */
static size_t fold_recursion(const struct vg_run_frame *frames, unsigned char *parts, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (used > 0 && is_recursion(&frames[parts[i]], &frames[parts[used - 1]]))
            used--;
        parts[used++] = parts[i];
    }
    return used;
}

/* Thins a stack in which the program's own Python code calls other code, of packages or native: the
 * reader knows its own functions, the one it called, and where it ended. Writes 1 to `kept[i]` for
 * each part that stays. Returns whether there is such code at all. */
static bool thin_parts(const struct vg_run_frame *frames, const unsigned char *parts, size_t count,
                       unsigned char *kept)
{
    size_t own_count = 0, last_own = 0, last_python = 0, own_seen = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vg_run_frame *const frame = &frames[parts[i]];
        const bool own = vg_frame_is_own(frame);
        own_count += own;
        last_own = own ? i : last_own;
        last_python = vg_frame_is_python(frame) ? i : last_python;
    }
    if (own_count == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct vg_run_frame *const frame = &frames[parts[i]];
        const bool own = vg_frame_is_own(frame);
        own_seen += own;
        kept[i] = (own && (own_seen == 1 || own_count - own_seen < OWN_PARTS)) ||
                  i == last_own + 1 || i == last_python || count - i <= NATIVE_PARTS;
    }
    return true;
}

/* Of the native code that Python code has called, what it called first and where it ended tells.
 * Returns whether anything goes. */
static bool thin_native(const struct vg_run_frame *frames, const unsigned char *parts, size_t count,
                        unsigned char *kept)
{
    size_t native = count; /* where it begins */
    while (native > 0 && !vg_frame_is_python(&frames[parts[native - 1]]))
        native--;
    if (native == 0 || native + 1 + NATIVE_PARTS >= count)
        return false;
    memset(kept + native + 1, 0, count - NATIVE_PARTS - (native + 1));
    return true;
}

static void add_part(struct vg_text *out, const struct vg_run_frame *frame, bool nameless)
{
    char data[PART_CAP], function[FUNCTION_CAP], location[VG_FRAME_LOCATION_CAP];
    struct vg_text part = vg_text_over(data, sizeof data);
    vg_symbol_name(function, sizeof function, frame->function);
    if (vg_frame_is_python(frame))
        vg_text_addf(&part, "%s %s", vg_frame_location(location, frame),
                     vg_frame_short_name(frame->function));
    else if (is_backward_node(frame, function, sizeof function))
        vg_text_addf(&part, VG_LABEL_BACKWARD " (%s)", function);
    else if (is_engine(frame))
        vg_text_add(&part, VG_LABEL_BACKWARD);
    else if (!nameless && is_torch_allocator(frame))
        vg_text_add(&part, VG_LABEL_TORCH);
    else if (has_own_part(frame))
        vg_text_addf(&part, "%s (%s)", function, vg_frame_location(location, frame));
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

/* The parts that are kept, and one ellipsis for each run of those that are not. */
static void add_parts(struct vg_text *out, const struct vg_run_frame *frames,
                      const unsigned char *parts, const unsigned char *kept, size_t count,
                      bool nameless)
{
    for (size_t i = 0; i < count; i++) {
        if (kept[i]) {
            add_part(out, &frames[parts[i]], nameless);
        } else if (i == 0 || kept[i - 1]) {
            if (out->length > 0)
                vg_text_add(out, VG_LABEL_SEPARATOR);
            vg_text_add(out, ellipsis);
        }
    }
}

void vg_label_from_frames(const struct vg_run_frame *frames, size_t count, char *out, size_t cap)
{
    unsigned char parts[VG_LABEL_FRAMES], kept[VG_LABEL_FRAMES];
    char draft[DRAFT_CAP];
    struct vg_text text = vg_text_over(draft, sizeof draft);
    if (count > VG_LABEL_FRAMES)
        count = VG_LABEL_FRAMES;
    const bool nameless = is_nameless(frames, count);
    const size_t used = fold_recursion(frames, parts, fold_frames(frames, count, nameless, parts));
    memset(kept, 1, sizeof kept);
    if (used > OUTER_PARTS + INNER_PARTS)
        memset(kept + OUTER_PARTS, 0, used - OUTER_PARTS - INNER_PARTS);
    add_parts(&text, frames, parts, kept, used, nameless);
    const bool fits = text.length < cap && used <= OUTER_PARTS + INNER_PARTS;
    if (fits ? thin_native(frames, parts, used, kept) : thin_parts(frames, parts, used, kept)) {
        text = vg_text_over(draft, sizeof draft);
        add_parts(&text, frames, parts, kept, used, nameless);
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

/* The length of the Python code that the label begins with, where further on something was left
 * out; else 0. */
static size_t python_head(const char *label)
{
    const char *const end = strstr(label, omission);
    size_t length = 0;
    for (size_t part = 0; end && part < (size_t)(end - label); part = length + SEPARATOR_LENGTH) {
        const size_t next = next_separator(label, part);
        const char *const python = strstr(label + part, ".py:");
        if (!python || python >= label + next)
            break;
        length = next;
    }
    return length;
}

/* Is there room for one more part at the head? */
static bool fits_head(const char *label, size_t head, size_t tail, size_t gap, size_t width)
{
    const size_t new_head = next_separator(label, head + SEPARATOR_LENGTH);
    return new_head < tail && new_head + gap + (strlen(label) - tail - SEPARATOR_LENGTH) <= width;
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
     * place, then the head. The head first where something was left out behind it because it tells
     * more: the Python functions of the program itself. */
    const size_t own = python_head(label);
    const size_t gap = 2 * SEPARATOR_LENGTH + sizeof ellipsis - 1;
    size_t head = 0, tail = length;
    for (bool grew = true; grew;) {
        grew = false;
        const size_t new_tail = previous_separator(label, tail);
        const bool head_first = head > 0 && head < own && fits_head(label, head, tail, gap, width);
        if (!head_first && new_tail > head &&
            head + gap + (length - new_tail - SEPARATOR_LENGTH) <= width) {
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
    /* One ellipsis is enough. */
    if (vg_text_starts_with(label + tail, omission))
        tail += SEPARATOR_LENGTH + sizeof ellipsis - 1;
    if (head > SEPARATOR_LENGTH + sizeof ellipsis - 1 &&
        vg_text_starts_with(label + head - (SEPARATOR_LENGTH + sizeof ellipsis - 1), omission))
        head -= SEPARATOR_LENGTH + sizeof ellipsis - 1;
    if (head > 0) {
        vg_text_add_bytes(&text, label, head);
        vg_text_add(&text, VG_LABEL_SEPARATOR);
    }
    vg_text_add(&text, ellipsis);
    vg_text_add_bytes(&text, label + tail, length - tail);
}
