#include "os/elf_symtab.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/read_fully.h"

enum {
    CHUNK_SYMBOLS = 128,
    CHUNK_SECTIONS = 32,
    SYMBOL_BYTES_MAX = 64 * 1024 * 1024,
    SECTIONS_MAX = 4096
};

/* What is known of the file while it is read. */
struct symbol_file {
    int fd;
    ElfW(Shdr) symbols, names;
};

static int read_exactly(int fd, void *out, size_t size_bytes, uint64_t offset)
{
    const ssize_t got = vg_read_fully_at(fd, out, size_bytes, offset);
    return got == (ssize_t)size_bytes ? 0 : -EIO;
}

static int check_header(const ElfW(Ehdr) * header)
{
    const unsigned char wanted_class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != wanted_class || header->e_shentsize != sizeof(ElfW(Shdr)) ||
        header->e_shnum > SECTIONS_MAX)
        return -ENOEXEC;
    return header->e_shnum == 0 ? -ENODATA : 0;
}

/* Puts the first section that is a symbol table into `file`. Sections are many, so they are read
 * some at a time. */
static int find_symbols(struct symbol_file *file, const ElfW(Ehdr) * header)
{
    ElfW(Shdr) chunk[CHUNK_SECTIONS];
    for (unsigned first = 0; first < header->e_shnum; first += CHUNK_SECTIONS) {
        const unsigned left = header->e_shnum - first;
        const unsigned some = left < CHUNK_SECTIONS ? left : CHUNK_SECTIONS;
        const int error = read_exactly(file->fd, chunk, some * sizeof chunk[0],
                                       header->e_shoff + (uint64_t)first * sizeof chunk[0]);
        if (error)
            return error;
        for (unsigned i = 0; i < some; i++)
            if (chunk[i].sh_type == SHT_SYMTAB) {
                file->symbols = chunk[i];
                return 0;
            }
    }
    return -ENODATA;
}

/* Finds the symbol table and the table of its names. */
static int find_tables(struct symbol_file *file)
{
    ElfW(Ehdr) header;
    int error = read_exactly(file->fd, &header, sizeof header, 0);
    if (!error)
        error = check_header(&header);
    if (!error)
        error = find_symbols(file, &header);
    if (error)
        return error;
    if (file->symbols.sh_link >= header.e_shnum || file->symbols.sh_entsize != sizeof(ElfW(Sym)) ||
        file->symbols.sh_size > SYMBOL_BYTES_MAX)
        return -ENODATA;
    return read_exactly(file->fd, &file->names, sizeof file->names,
                        header.e_shoff + (uint64_t)file->symbols.sh_link * sizeof file->names);
}

static void read_name(const struct symbol_file *file, uint32_t offset, char *out)
{
    out[0] = '\0';
    if (offset >= file->names.sh_size)
        return;
    const uint64_t left = file->names.sh_size - offset;
    const size_t wanted = left < VG_SYMTAB_NAME_CAP - 1 ? (size_t)left : VG_SYMTAB_NAME_CAP - 1;
    if (read_exactly(file->fd, out, wanted, file->names.sh_offset + offset) == 0)
        out[wanted] = '\0'; /* a shorter name ends before */
    else
        out[0] = '\0';
}

static int is_function_at(const ElfW(Sym) * symbol, uint64_t value)
{
    /* The type is in the low four bits, for 32 and 64 bits alike. */
    return (symbol->st_info & 0xf) == STT_FUNC && symbol->st_shndx != SHN_UNDEF &&
           value >= symbol->st_value && value - symbol->st_value < symbol->st_size;
}

static int name_addresses(const struct symbol_file *file, struct vg_symtab_query *queries,
                          size_t count)
{
    ElfW(Sym) chunk[CHUNK_SYMBOLS];
    const uint64_t total = file->symbols.sh_size / sizeof chunk[0];
    for (uint64_t first = 0; first < total; first += CHUNK_SYMBOLS) {
        const size_t some = total - first < CHUNK_SYMBOLS ? (size_t)(total - first) : CHUNK_SYMBOLS;
        const int error = read_exactly(file->fd, chunk, some * sizeof chunk[0],
                                       file->symbols.sh_offset + first * sizeof chunk[0]);
        if (error)
            return error;
        for (size_t i = 0; i < some; i++)
            for (size_t k = 0; k < count; k++)
                if (!queries[k].name[0] && is_function_at(&chunk[i], queries[k].value))
                    read_name(file, chunk[i].st_name, queries[k].name);
    }
    return 0;
}

static int open_unchanged(const char *path, uint64_t changed_before_ns)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &status) == 0 ? 0 : -errno;
    if (!error && !S_ISREG(status.st_mode))
        error = -ENOEXEC;
    if (!error && (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec >
                      changed_before_ns)
        error = -ESTALE;
    if (!error)
        return fd;
    close(fd);
    return error;
}

int vg_elf_symtab_name(const char *path, uint64_t changed_before_ns,
                       struct vg_symtab_query *queries, size_t count)
{
    const int saved_errno = errno;
    struct symbol_file file = { .fd = open_unchanged(path, changed_before_ns) };
    int error = file.fd < 0 ? file.fd : 0;
    for (size_t k = 0; k < count; k++)
        queries[k].name[0] = '\0';
    if (!error) {
        error = find_tables(&file);
        if (!error)
            error = name_addresses(&file, queries, count);
        close(file.fd);
    }
    errno = saved_errno;
    return error;
}
