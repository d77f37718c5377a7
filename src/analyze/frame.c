#include "analyze/frame.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { FILE_NAME_BYTES = 35 };

/* A program that has been packed into one (PyInstaller) knows its own modules, those of packages
 * and those of Python's library by relative names alike: "torch/nn/modules/linear.py",
 * "threading.py". Only names that no program is likely to use for its own. */
static bool is_packed_library(const char *path)
{
    static const char *const names[] = {
        "torch/",       "torchvision/", "torchaudio/",   "transformers/", "accelerate/",
        "peft/",        "diffusers/",   "safetensors/",  "bitsandbytes/", "pytorch_lightning/",
        "vllm/",        "jax/",         "jaxlib/",       "flax/",         "tensorflow/",
        "keras/",       "cupy/",        "numba/",        "numpy/",        "concurrent/futures/",
        "threading.py", "functools.py", "contextlib.py", "asyncio/",      "multiprocessing/",
        "importlib/",   "ctypes/",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (vg_text_starts_with(path, names[i]))
            return true;
    return false;
}

bool vg_frame_is_library_path(const char *path)
{
    static const char *const places[] = { "/site-packages/", "/dist-packages/", "/lib/python3." };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strstr(path, places[i]))
            return true;
    return vg_text_starts_with(path, "<frozen ") || is_packed_library(path);
}

/* With the name that Python gives such modules of its own, and a folder before it, by which
 * packages are recognised. */
static const char *name_packed(struct vg_region *region, const char *path)
{
    static const char before[] = "<frozen >/";
    const size_t length = strlen(path);
    char *const out = vg_region_array(region, sizeof before + length, 1);
    if (!out)
        return path;
    memcpy(out, before, sizeof before - 1);
    memcpy(out + sizeof before - 1, path, length + 1);
    return out;
}

struct vg_run_frame vg_frame_of_address(uint64_t address)
{
    return (struct vg_run_frame){
        .address = address, .module_offset = address, .module = "", .function = "", .file = ""
    };
}

struct vg_run_frame vg_frame_of_python(struct vg_region *region, const struct vg_journal_code *code,
                                       uint32_t line)
{
    struct vg_run_frame frame = {
        .module = "", .function = "unknown", .file = "unknown file", .line = line
    };
    frame.flags = VG_FRAME_PYTHON;
    if (!code)
        return frame;
    frame.file = vg_region_safe_text(region, code->texts);
    frame.function = vg_region_safe_text(region, vg_journal_code_name(code));
    if (vg_frame_is_library_path(frame.file))
        frame.flags |= VG_FRAME_LIBRARY;
    if (is_packed_library(frame.file))
        frame.file = name_packed(region, frame.file);
    return frame;
}

/* The end of a text tells more than its beginning. */
static const char *end_of_text(const char *text, size_t most_bytes)
{
    const size_t length = strlen(text);
    const char *end = length > most_bytes ? text + length - most_bytes : text;
    while (((unsigned char)*end & 0xc0) == 0x80) /* not into the middle of a letter */
        end++;
    return end;
}

const char *vg_frame_path_end(const char *path, uint32_t directories)
{
    const char *start = path + strlen(path);
    for (directories++; start > path && directories > 0;) {
        while (start > path && start[-1] != '/')
            start--;
        if (--directories > 0 && start > path)
            start--;
    }
    return start;
}

const char *vg_frame_location(char *out, const struct vg_run_frame *frame)
{
    const char *const file = end_of_text(
        vg_frame_path_end(frame->file, frame->flags / VG_FRAME_DIRECTORY), FILE_NAME_BYTES);
    if (frame->line > 0 && file[0])
        snprintf(out, VG_FRAME_LOCATION_CAP, "%s:%u", file, frame->line);
    else
        snprintf(out, VG_FRAME_LOCATION_CAP, "%s", file);
    return out;
}

const char *vg_frame_short_name(const char *function)
{
    const char *const dot = strrchr(function, '.');
    return dot && dot[1] ? dot + 1 : function;
}

bool vg_frame_is_interpreter(const struct vg_run_frame *frame)
{
    static const char *const prefixes[] = { "python", "libpython", "_ctypes." };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (vg_text_starts_with(frame->module, prefixes[i]))
            return !vg_frame_is_python(frame);
    return false;
}
