#include "cli/symbols.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/libdw.h"
#include "unwind/symbol_name.h"

enum { FUNCTION_CAP = 96 };

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

static Dwfl *begin_session(void)
{
    static Dwfl_Callbacks callbacks;
    callbacks.find_elf = dwfl_build_id_find_elf;
    callbacks.find_debuginfo = dwfl_standard_find_debuginfo;
    callbacks.debuginfo_path = &debuginfo_path;
    return dwfl_begin(&callbacks);
}

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
    Dwfl *const session = begin_session();
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

/* ---- one address ---- */

static const char *symbol_text(struct vg_region *region, const char *name)
{
    char text[FUNCTION_CAP];
    vg_symbol_name(text, sizeof text, name);
    return vg_region_string(region, text);
}

/* "$x" and "$d" tell code from data on aarch64 and are no functions; elfutils 0.183 (Debian 11)
 * takes them for such. */
static bool is_mapping_symbol(const char *name, const GElf_Sym *symbol)
{
    return name[0] == '$' && GELF_ST_TYPE(symbol->st_info) == STT_NOTYPE;
}

/* The function that starts last before `at`. */
static const char *find_function(Dwfl_Module *module, uint64_t at, GElf_Sym *out)
{
    const char *best = NULL;
    const int count = dwfl_module_getsymtab(module);
    for (int i = 0; i < count; i++) {
        GElf_Sym symbol;
        const char *const name = dwfl_module_getsym(module, i, &symbol, NULL);
        if (!name || GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
            symbol.st_value > at || (best && symbol.st_value < out->st_value))
            continue;
        best = name;
        *out = symbol;
    }
    return best;
}

static void add_function(Dwfl_Module *module, uint64_t at, struct vg_region *region,
                         struct vg_run_frame *out)
{
    GElf_Off offset;
    GElf_Sym symbol;
    const char *name = dwfl_module_addrinfo(module, at, &offset, &symbol, NULL, NULL, NULL);
    if (name && is_mapping_symbol(name, &symbol)) {
        name = find_function(module, at, &symbol);
        offset = at - symbol.st_value;
    }
    /* A symbol with a size that ends before the address is only the nearest, not the right one. */
    if (name && (symbol.st_size == 0 || offset < symbol.st_size))
        out->function = symbol_text(region, name);
}

static void add_location(Dwfl_Module *module, uint64_t at, struct vg_region *region,
                         struct vg_run_frame *out)
{
    int line_number = 0;
    Dwfl_Line *const line = dwfl_module_getsrc(module, at);
    const char *const file =
        line ? dwfl_lineinfo(line, NULL, &line_number, NULL, NULL, NULL) : NULL;
    if (!file || line_number <= 0)
        return;
    out->file = vg_region_string(region, file);
    out->line = (uint32_t)line_number;
}

/* The number that a DIE has as `attribute`, 0 for none. */
static uint32_t number_of(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute found;
    Dwarf_Word value;
    return dwarf_attr_integrate(die, attribute, &found) && dwarf_formudata(&found, &value) == 0 &&
                   value < UINT32_MAX
               ? (uint32_t)value
               : 0;
}

/* The file from which an inlined function was called. */
static const char *call_file(Dwarf_Die *unit, Dwarf_Die *inlined)
{
    Dwarf_Files *files;
    size_t count;
    const uint32_t number = number_of(inlined, DW_AT_call_file);
    if (number == 0 || dwarf_getsrcfiles(unit, &files, &count) != 0 || number >= count)
        return NULL;
    return dwarf_filesrc(files, number, NULL, NULL);
}

/* Where the compiler has put functions into the one at `at`, the frame is the innermost of them,
 * and what they were put into follows. Returns how many frames `out` has. */
static uint32_t add_inlined(Dwfl_Module *module, uint64_t at, struct vg_region *region,
                            struct vg_run_frame *out, uint32_t cap)
{
    Dwarf_Addr bias;
    Dwarf_Die *scopes = NULL;
    uint32_t used = 1;
    Dwarf_Die *const unit = dwfl_module_addrdie(module, at, &bias);
    const int count = unit ? dwarf_getscopes(unit, at - bias, &scopes) : 0;
    for (int i = 0; i < count && used < cap; i++) {
        if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
            continue;
        const char *const name = dwarf_diename(&scopes[i]), *const file =
                                                                call_file(unit, &scopes[i]);
        struct vg_run_frame *const inner = &out[used - 1];
        out[used] = *inner; /* the function around it, called from where it was put */
        out[used].file = file ? vg_region_string(region, file) : "";
        out[used].line = number_of(&scopes[i], DW_AT_call_line);
        if (name)
            inner->function = symbol_text(region, name);
        inner->flags |= VG_FRAME_INLINED;
        used++;
    }
    free(scopes);
    return used;
}

static uint32_t name_address(void *context, uint64_t address, struct vg_region *region,
                             struct vg_run_frame *out, uint32_t cap)
{
    struct vg_symbols *const symbols = context;
    const struct vg_reader *const reader = symbols->reader;
    const uint64_t call = address - 1;
    vg_file_source_module(reader, region, address, out);
    const size_t index = vg_reader_module_index(reader, call);
    if (index == reader->module_count)
        return 1;
    const struct vg_journal_module *const recorded = reader->modules[index];
    struct symbol_module *const module = &symbols->modules[index];
    if (!module->tried && vg_libdw_open()) /* else names are those that were recorded */
        open_module(reader, recorded, module);
    if (!module->session)
        return 1;
    add_function(module->module, call - recorded->bias, region, out);
    add_location(module->module, call - recorded->bias, region, out);
    return add_inlined(module->module, call - recorded->bias, region, out, cap);
}

struct vg_address_names vg_symbols_names(struct vg_symbols *symbols)
{
    return (struct vg_address_names){ .name = name_address, .context = symbols };
}
