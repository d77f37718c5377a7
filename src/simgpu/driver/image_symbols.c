/* What a module's code declares: variables with their sizes, and the names of kernels. PTX is read
 * as statements, a cubin through its symbol table; what fat binaries hold is not known. */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

/* A statement of PTX: up to a semicolon or brace, without comments cut out, which compilers write
 * on lines of their own. */
struct statement {
    const char *text;
    size_t bytes;
};

static bool next_statement(const char **at, const char *end, struct statement *statement)
{
    const char *start = *at;
    while (start < end && (isspace((unsigned char)*start) || strchr(";{}", *start) != NULL))
        start++; /* strchr finds the zero bytes between linked inputs, too */
    const char *stop = start;
    while (stop < end && *stop != '\0' && strchr(";{}", *stop) == NULL)
        stop++;
    statement->text = start;
    statement->bytes = (size_t)(stop - start);
    *at = stop;
    return start < end;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '.' || c == '%';
}

/* The next word of a statement at or behind `at`; its length, or 0 at the end. */
static size_t next_word(const struct statement *statement, const char **at)
{
    const char *end = statement->text + statement->bytes;
    while (*at < end && !is_word(**at))
        (*at)++;
    const char *stop = *at;
    while (stop < end && is_word(*stop))
        stop++;
    return (size_t)(stop - *at);
}

/* Bytes of ".u32" and the like; 0 if the word is no type. */
static size_t type_bytes(const char *word, size_t length)
{
    if (length < 3 || length > 5 || word[0] != '.' || strchr("busf", word[1]) == NULL)
        return 0;
    unsigned long bits = strtoul(word + 2, NULL, 10);
    return isdigit((unsigned char)word[2]) ? bits / 8 : 0;
}

/* Reads "[3][4]" behind a name: the number of elements. */
static size_t count_elements(const struct statement *statement, const char *at)
{
    const char *end = statement->text + statement->bytes;
    size_t count = 1;
    while (at < end && *at == '[') {
        count *= strtoul(at + 1, NULL, 10);
        while (at < end && *at != ']')
            at++;
        at++;
        while (at < end && isspace((unsigned char)*at))
            at++;
    }
    return count;
}

/* If the statement declares the variable, its size; else 0. */
static size_t declared_bytes(const struct statement *statement, const char *name)
{
    const char *at = statement->text;
    bool in_memory = false;
    size_t unit = 0, length;
    while ((length = next_word(statement, &at)) > 0) {
        if ((length == 7 && memcmp(at, ".global", 7) == 0) ||
            (length == 6 && memcmp(at, ".const", 6) == 0))
            in_memory = true;
        else if (type_bytes(at, length) > 0)
            unit = type_bytes(at, length);
        else if (in_memory && unit > 0 && length == strlen(name) && memcmp(at, name, length) == 0)
            return unit * count_elements(statement, at + length);
        if (*at == '=')
            return 0;
        at += length;
    }
    return 0;
}

/* If the statement begins a kernel, its name. */
static const char *kernel_name(const struct statement *statement, size_t *length)
{
    const char *at = statement->text;
    bool entry = false;
    while ((*length = next_word(statement, &at)) > 0) {
        if (entry)
            return at;
        entry = *length == 6 && memcmp(at, ".entry", 6) == 0;
        at += *length;
    }
    return NULL;
}

static const Elf64_Shdr *sections_of(const char *code, int *count)
{
    const Elf64_Ehdr *header = (const void *)code;
    *count = header->e_shnum;
    return (const void *)(code + header->e_shoff);
}

/* Calls `look` for each symbol of the cubin until it returns true. */
static bool find_symbol(const char *code,
                        bool (*look)(const char *name, const Elf64_Sym *symbol, void *argument),
                        void *argument)
{
    int count;
    const Elf64_Shdr *sections = sections_of(code, &count);
    for (int i = 0; i < count; i++) {
        if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= (unsigned)count)
            continue;
        const Elf64_Sym *symbols = (const void *)(code + sections[i].sh_offset);
        const char *names = code + sections[sections[i].sh_link].sh_offset;
        for (size_t s = 0; s < sections[i].sh_size / sizeof(*symbols); s++)
            if (look(names + symbols[s].st_name, &symbols[s], argument))
                return true;
    }
    return false;
}

struct wanted {
    const char *name; /* of a variable; or NULL for kernels, of which */
    size_t index;     /* this one */
    size_t bytes;
    const char *found;
};

static bool look_at_symbol(const char *name, const Elf64_Sym *symbol, void *argument)
{
    struct wanted *wanted = argument;
    unsigned char type = ELF64_ST_TYPE(symbol->st_info);
    if (wanted->name != NULL) {
        wanted->bytes = symbol->st_size;
        return type == STT_OBJECT && strcmp(name, wanted->name) == 0;
    }
    wanted->found = name;
    return type == STT_FUNC && ELF64_ST_BIND(symbol->st_info) == STB_GLOBAL && wanted->index-- == 0;
}

static bool is_elf(const char *code, size_t bytes)
{
    return bytes > sizeof(Elf64_Ehdr) && memcmp(code, ELFMAG, SELFMAG) == 0;
}

int image_variable(const struct image *image, const char *name, size_t *bytes)
{
    size_t code_bytes;
    const char *code = image_code(image, &code_bytes);
    if (is_elf(code, code_bytes)) {
        struct wanted wanted = { .name = name };
        if (!find_symbol(code, look_at_symbol, &wanted))
            return -ENOENT;
        *bytes = wanted.bytes;
        return 0;
    }
    struct statement statement;
    for (const char *at = code; next_statement(&at, code + code_bytes, &statement);) {
        *bytes = declared_bytes(&statement, name);
        if (*bytes > 0)
            return 0;
    }
    return -ENOENT;
}

char *image_kernel(const struct image *image, size_t index)
{
    size_t code_bytes, length;
    const char *code = image_code(image, &code_bytes);
    if (is_elf(code, code_bytes)) {
        struct wanted wanted = { .index = index };
        return find_symbol(code, look_at_symbol, &wanted) ? strdup(wanted.found) : NULL;
    }
    struct statement statement;
    for (const char *at = code; next_statement(&at, code + code_bytes, &statement);) {
        const char *name = kernel_name(&statement, &length);
        if (name != NULL && index-- == 0)
            return strndup(name, length);
    }
    return NULL;
}
