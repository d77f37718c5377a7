#include "image.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FATBIN_MAGIC         0xba55ed50u
#define FATBIN_WRAPPER_MAGIC 0x466243b1u
#define LINKED_MAGIC         0x4b4e494c /* "LINK" */
#define MAX_FILE_BYTES       (1l << 30)

struct image {
    bool opaque; /* a fat binary: nothing of it is kept */
    size_t bytes;
    char code[];
};

struct linked_header {
    uint32_t magic;
    uint32_t reserved;
    uint64_t bytes;
};

/* The end of the furthest section or table of the ELF file, which is its size. */
static size_t elf_bytes(const void *code)
{
    const Elf64_Ehdr *header = code;
    const Elf64_Shdr *sections = (const void *)((const char *)code + header->e_shoff);
    size_t end = header->e_shoff + (size_t)header->e_shnum * sizeof(*sections);
    size_t program_end = header->e_phoff + (size_t)header->e_phnum * header->e_phentsize;
    if (program_end > end)
        end = program_end;
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type != SHT_NOBITS && sections[i].sh_offset + sections[i].sh_size > end)
            end = sections[i].sh_offset + sections[i].sh_size;
    return end;
}

/* PTX is text that begins with comments and ".version". */
static bool is_ptx(const char *code)
{
    const char *version = strstr(code, ".version");
    return version != NULL && strstr(version, ".target") != NULL;
}

static CUresult make_image(const void *code, size_t bytes, bool opaque, struct image **image)
{
    *image = malloc(sizeof(**image) + bytes);
    if (*image == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    (*image)->opaque = opaque;
    (*image)->bytes = bytes;
    memcpy((*image)->code, code, bytes);
    return CUDA_SUCCESS;
}

CUresult image_copy(const void *code, struct image **image)
{
    uint32_t magic = 0;
    if (((const char *)code)[0] == '\0')
        return CUDA_ERROR_INVALID_IMAGE;
    memcpy(&magic, code, strnlen(code, sizeof(magic)));
    if (magic == FATBIN_MAGIC || magic == FATBIN_WRAPPER_MAGIC)
        return make_image(code, 0, true, image);
    if (magic == LINKED_MAGIC) {
        const struct linked_header *header = code;
        return make_image(header + 1, header->bytes, false, image);
    }
    if (memcmp(&magic, ELFMAG, SELFMAG) == 0)
        return make_image(code, elf_bytes(code), false, image);
    if (is_ptx(code))
        return make_image(code, strlen(code), false, image);
    return CUDA_ERROR_INVALID_IMAGE;
}

CUresult image_read(const char *path, struct image **image)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? CUDA_ERROR_FILE_NOT_FOUND : CUDA_ERROR_OPERATING_SYSTEM;
    long bytes = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *code = bytes >= 0 && bytes <= MAX_FILE_BYTES ? calloc(1, (size_t)bytes + 1) : NULL;
    rewind(file);
    CUresult result = CUDA_ERROR_OPERATING_SYSTEM;
    if (code != NULL && fread(code, 1, (size_t)bytes, file) == (size_t)bytes)
        result = image_copy(code, image);
    free(code);
    fclose(file);
    return result;
}

void image_free(struct image *image)
{
    free(image);
}

const char *image_code(const struct image *image, size_t *bytes)
{
    *bytes = image->bytes;
    return image->code;
}

bool image_is_opaque(const struct image *image)
{
    return image->opaque;
}

static bool is_name_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '$';
}

/* Looks for the name as a whole word: in PTX it stands between punctuation, in an ELF string table
 * between zero bytes or behind ".text.". */
bool image_has(const struct image *image, const char *name)
{
    if (image->opaque)
        return true;
    size_t length = strlen(name);
    const char *at = image->code, *end = image->code + image->bytes;
    while (length > 0 && (at = memmem(at, (size_t)(end - at), name, length)) != NULL) {
        bool begins = at == image->code || !is_name_character(at[-1]);
        bool ends = at + length == end || !is_name_character(at[length]);
        if (begins && ends)
            return true;
        at++;
    }
    return false;
}

void *image_link(const void *inputs, size_t bytes, size_t *image_bytes)
{
    struct linked_header *header = malloc(sizeof(*header) + bytes);
    if (header == NULL)
        return NULL;
    *header = (struct linked_header){ .magic = LINKED_MAGIC, .bytes = bytes };
    memcpy(header + 1, inputs, bytes);
    *image_bytes = sizeof(*header) + bytes;
    return header;
}
