#include "oom/census_threads.h"

#include "analyze/frame.h"
#include "oom/census_python.h"
#include "unwind/python_stack.h"

enum { FRAMES_MAX = 64 };

/* The list of threads begins with the newest; the main thread was the first. */
static uintptr_t main_thread(const struct vg_census_python *python)
{
    void *last = NULL;
    for (void *thread = python->first_thread(python->main_interpreter()); thread;
         thread = python->next_thread(thread))
        last = thread;
    return (uintptr_t)last;
}

void vg_census_main_line(struct vg_program_line *out)
{
    const struct vg_census_python *const python = vg_census_python();
    struct vg_python_running frames[FRAMES_MAX];
    out->line = 0;
    const uintptr_t thread = python ? main_thread(python) : 0;
    const uint32_t count = thread ? vg_python_running_frames(thread, frames, FRAMES_MAX) : 0;
    for (uint32_t i = 0; i < count; i++) {
        const uintptr_t code = frames[i].code;
        vg_census_str_write(python, vg_python_word(code + (uintptr_t)python->layout->file),
                            out->path, sizeof out->path);
        if (frames[i].line <= 0 || vg_frame_is_library_path(out->path))
            continue;
        vg_census_str_write(python, vg_python_word(code + (uintptr_t)python->layout->name),
                            out->function, sizeof out->function);
        out->line = (uint32_t)frames[i].line;
        return;
    }
}
