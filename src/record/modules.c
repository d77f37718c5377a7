#include "record/modules.h"

#include <link.h>
#include <string.h>
#include <unistd.h>

#define VG_HASH_ARENA (&modules->arena)
#include "base/hashing.h"
#include "os/elf_symbol.h"
#include "os/loader.h"
#include "record/recorder.h"

struct vg_module_seen {
    uint64_t key; /* of load address and path: an address can be reused after dlclose */
    UT_hash_handle hh;
};

enum { PATH_CAP = 1024 };

/* A MODULE payload under construction: the fixed part, then the path. */
union module_record {
    struct vg_journal_module module;
    char bytes[sizeof(struct vg_journal_module) + PATH_CAP];
};

/* Finds the GNU build id among the object's mapped notes (elf(5), ElfN_Nhdr). */
static void read_build_id(const struct dl_phdr_info *info, struct vg_journal_module *out)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[i];
        if (header->p_type != PT_NOTE)
            continue;
        const char *p = (const char *)(info->dlpi_addr + header->p_vaddr);
        const char *const end = p + header->p_memsz;
        while (p + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *const note = (const void *)p;
            const char *const name = p + sizeof *note;
            const char *const description = name + ((note->n_namesz + 3) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
                memcmp(name, "GNU", 4) == 0 && note->n_descsz <= sizeof out->build_id) {
                out->build_id_bytes = note->n_descsz;
                memcpy(out->build_id, description, note->n_descsz);
                return;
            }
            p = description + ((note->n_descsz + 3) & ~3u);
        }
    }
}

static void read_path(const struct dl_phdr_info *info, char *out)
{
    out[0] = '\0';
    if (info->dlpi_name && info->dlpi_name[0]) {
        strncat(out, info->dlpi_name, PATH_CAP - 1);
    } else if (info->dlpi_addr || info->dlpi_phnum > 1) { /* the main program has no name */
        const ssize_t length = readlink("/proc/self/exe", out, PATH_CAP - 1);
        out[length > 0 ? length : 0] = '\0';
    }
}

static bool describe_module(const struct dl_phdr_info *info, union module_record *record)
{
    memset(record, 0, sizeof *record);
    uintptr_t start, end;
    vg_elf_span(info, &start, &end);
    record->module.start = start;
    record->module.end = end;
    record->module.bias = info->dlpi_addr;
    read_path(info, record->module.path);
    read_build_id(info, &record->module);
    return record->module.start < record->module.end;
}

/* Returns whether the key is new. */
static bool note_seen(struct vg_modules *modules, uint64_t key)
{
    struct vg_module_seen *entry = NULL;
    vg_lock_take(&modules->lock);
    HASH_FIND(hh, modules->seen, &key, sizeof key, entry);
    const bool is_new = !entry;
    if (is_new && (entry = vg_arena_alloc(&modules->arena, sizeof *entry))) {
        entry->key = key;
        HASH_ADD(hh, modules->seen, key, sizeof entry->key, entry);
    }
    vg_lock_release(&modules->lock);
    return is_new;
}

static int record_module(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct vg_recorder *const recorder = argument;
    union module_record record;
    (void)size;
    if (!describe_module(info, &record))
        return 0;
    const size_t path_bytes = strlen(record.module.path) + 1;
    const uint64_t words[] = { record.module.start, record.module.bias,
                               vg_hash_fnv1a(record.module.path, path_bytes) };
    if (note_seen(&recorder->modules, vg_hash_words(words, 3)))
        vg_recorder_append(recorder, VG_JOURNAL_MODULE, &record,
                           (uint32_t)(sizeof record.module + path_bytes), NULL);
    return 0;
}

static int read_generation(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    *(unsigned long long *)argument = info->dlpi_adds;
    return 1;
}

void vg_modules_record(struct vg_recorder *recorder)
{
    unsigned long long generation = 0;
    vg_loader_each_object(read_generation, &generation);
    if (generation == recorder->modules.generation)
        return;
    recorder->modules.generation = generation;
    vg_loader_each_object(record_module, recorder);
}
