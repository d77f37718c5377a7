#include "cli/symbols.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyze/label.h"
#include "analyze/python_frame.h"
#include "analyze/validate.h"
#include "base/text.h"
#include "record/stack_merge.h"
#include "unwind/symbol_name.h"

/* One recorded module: opened at the first question about it. */
struct symbol_module {
    bool tried;
    Dwfl *session; /* NULL: no file that can be trusted */
    Dwfl_Module *module;
};

struct vg_symbols {
    const struct vg_reader *reader;
    struct symbol_module *modules; /* as reader->modules */
};

static char *debuginfo_path; /* NULL: libdwfl's default, /usr/lib/debug */

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &debuginfo_path,
};

struct vg_symbols *vg_symbols_open(const struct vg_reader *reader)
{
    struct vg_symbols *const symbols = calloc(1, sizeof *symbols);
    if (!symbols)
        return NULL;
    /* libdwfl would ask the servers named there about each library, which takes minutes. */
    unsetenv("DEBUGINFOD_URLS");
    symbols->reader = reader;
    symbols->modules = calloc(reader->module_count + 1, sizeof *symbols->modules);
    if (!symbols->modules) {
        free(symbols);
        return NULL;
    }
    return symbols;
}

void vg_symbols_close(struct vg_symbols *symbols)
{
    if (!symbols)
        return;
    for (size_t i = 0; i < symbols->reader->module_count; i++)
        if (symbols->modules[i].session)
            dwfl_end(symbols->modules[i].session);
    free(symbols->modules);
    free(symbols);
}

/* ---- one module ---- */

/* Opens a regular file, and only that: the path comes from a file that may be hostile. */
static int open_regular(const char *path, struct stat *out_status)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, out_status) != 0 || !S_ISREG(out_status->st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool is_same_file(const struct vg_reader *reader, const struct vg_journal_module *recorded,
                         Dwfl_Module *module, const struct stat *status)
{
    const unsigned char *id;
    GElf_Addr bias, address;
    if (!dwfl_module_getelf(module, &bias))
        return false;
    const int length = dwfl_module_build_id(module, &id, &address);
    if (recorded->build_id_bytes > 0)
        return length == (int)recorded->build_id_bytes &&
               memcmp(id, recorded->build_id, (size_t)length) == 0;
    const uint64_t changed_ns = (uint64_t)status->st_mtim.tv_sec * 1000000000;
    return length <= 0 && changed_ns < reader->header->start_realtime_ns;
}

static void open_module(const struct vg_reader *reader, const struct vg_journal_module *recorded,
                        struct symbol_module *out)
{
    struct stat status;
    out->tried = true;
    const int fd = open_regular(recorded->path, &status);
    if (fd < 0)
        return;
    Dwfl *const session = dwfl_begin(&callbacks);
    if (session) {
        dwfl_report_begin(session);
        /* In the file's own numbering: based at 0. */
        Dwfl_Module *const module =
            dwfl_report_elf(session, recorded->path, recorded->path, fd, 0, true);
        if (module && dwfl_report_end(session, NULL, NULL) == 0 &&
            is_same_file(reader, recorded, module, &status)) {
            out->session = session;
            out->module = module;
            return; /* libdwfl owns the descriptor */
        }
        dwfl_end(session);
        if (module)
            return;
    }
    close(fd);
}

static void add_function(Dwfl_Module *module, uint64_t at, struct vg_oom_frame *out)
{
    GElf_Off offset;
    GElf_Sym symbol;
    const char *const name = dwfl_module_addrinfo(module, at, &offset, &symbol, NULL, NULL, NULL);
    /* A symbol with a size that ends before the address is only the nearest, not the right one. */
    if (name && (symbol.st_size == 0 || offset < symbol.st_size)) {
        vg_symbol_name(out->function, sizeof out->function, name);
        vg_text_repair(out->function, sizeof out->function);
    }
}

static void add_location(Dwfl_Module *module, uint64_t at, struct vg_oom_frame *out)
{
    int line_number = 0;
    Dwfl_Line *const line = dwfl_module_getsrc(module, at);
    const char *const file =
        line ? dwfl_lineinfo(line, NULL, &line_number, NULL, NULL, NULL) : NULL;
    if (!file || line_number <= 0)
        return;
    snprintf(out->location, sizeof out->location, "%.32s:%d", vg_text_base_name(file), line_number);
    vg_text_repair(out->location, sizeof out->location);
}

void vg_symbols_name(struct vg_symbols *symbols, uint64_t address, struct vg_oom_frame *out)
{
    const struct vg_reader *const reader = symbols->reader;
    const uint64_t call = address - 1;
    *out = (struct vg_oom_frame){ .address = address, .module_offset = address };
    const size_t index = vg_reader_module_index(reader, call);
    if (index == reader->module_count)
        return;
    const struct vg_journal_module *const recorded = reader->modules[index];
    out->module_offset = address - recorded->bias;
    snprintf(out->module, sizeof out->module, "%s", vg_text_base_name(recorded->path));
    vg_text_repair(out->module, sizeof out->module);
    struct symbol_module *const module = &symbols->modules[index];
    if (!module->tried)
        open_module(reader, recorded, module);
    if (!module->session)
        return;
    add_function(module->module, call - recorded->bias, out);
    add_location(module->module, call - recorded->bias, out);
}

void vg_symbols_label(struct vg_symbols *symbols, uint32_t stack_id, char *out, size_t cap)
{
    static struct vg_oom_frame frames[VG_OOM_FRAMES];
    const struct vg_journal_stack *const stack = vg_reader_stack(symbols->reader, stack_id);
    struct vg_stack_cursor cursor = { 0 };
    struct vg_stack_item item;
    uint32_t count = 0;
    while (stack && count < VG_OOM_FRAMES && vg_stack_next(stack, &cursor, &item)) {
        if (item.python) {
            vg_python_frame_describe(vg_reader_code(symbols->reader, item.python->code_id),
                                     item.python->line, &frames[count]);
            vg_text_repair(frames[count].function, sizeof frames[count].function);
            vg_text_repair(frames[count].location, sizeof frames[count].location);
        } else {
            vg_symbols_name(symbols, item.address, &frames[count]);
        }
        count++;
    }
    vg_label_from_frames(frames, count, out, cap);
}
