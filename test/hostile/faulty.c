/* libfaulty.so: makes one call of the preload library fail, or take long, or be the moment of a
 * cancellation or of a SIGKILL. It is preloaded behind libvramguard.so.
 *
 * What that imports from the C library is reached through its own table of addresses (System V
 * gABI, "Relocation"), and what it takes of the driver and of NVML by their tables of symbols. Both
 * are made to lead here first, before the library's constructors run; nobody else's calls do,
 * except that what calls the driver is told by where it returns to.
 *
 * FAULTY_FILE names a file of struct plan, which whoever runs this has made. A call is known by
 * where in the library it returns to, its site, and which time it is there. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THUNKS = 1536, SITES = 4096, SLOW_MS = 30 };
enum how { HOW_LIST, HOW_FAIL, HOW_INTERRUPT, HOW_SLOW, HOW_CANCEL, HOW_KILL };
enum kind { KIND_C = 1, KIND_DRIVER, KIND_NVML };

/* In the file, read and written by test_faults_one_by_one.py, too. */
struct plan {
    uint32_t how, site, time, error; /* which call; what the driver or NVML is to answer */
    _Atomic uint32_t times;          /* that the site has been come to */
    _Atomic uint32_t hits;           /* faults made: one at most */
    _Atomic uint32_t site_count;
    uint32_t reserved;
    struct {
        _Atomic uint32_t site; /* of HOW_LIST; 0: free */
        _Atomic uint32_t times;
        uint32_t kind;
        char name[36];
    } sites[SITES];
};

/* How a call says that it failed: by `value`, and with `error` in errno. `is_real`: it is made
 * nevertheless. */
struct failure {
    const char *name;
    long value;
    int error;
    bool can_be_interrupted, is_real;
};

static const struct failure failures[] = {
    { "access", -1, EACCES, false, false },
    { "clone", -1, EAGAIN, false, false },
    { "close", -1, EIO, false, true },
    { "close_range", -1, ENOSYS, false, false },
    { "closedir", -1, EIO, false, true },
    { "dirfd", -1, EINVAL, false, false },
    { "dladdr1", 0, 0, false, false },
    { "dlinfo", -1, 0, false, false },
    { "dlopen", 0, ENOENT, false, false },
    { "dup2", -1, EMFILE, true, false },
    { "execvpe", -1, ENOENT, false, false },
    { "fcntl", -1, EINVAL, true, false },
    { "fdopendir", 0, ENOMEM, false, false },
    { "flock", -1, ENOLCK, true, false },
    { "fstat", -1, EIO, false, false },
    { "fstatat", -1, ENOENT, false, false },
    { "getcwd", 0, ENOENT, false, false },
    { "gethostname", -1, ENAMETOOLONG, false, false },
    { "getrlimit", -1, EPERM, false, false },
    { "ioctl", -1, ENOTTY, true, false },
    { "isatty", 0, ENOTTY, false, false },
    { "kill", -1, EPERM, false, false },
    { "linkat", -1, EPERM, false, false },
    { "lstat", -1, ENOENT, false, false },
    { "madvise", -1, EINVAL, false, false },
    { "mincore", -1, ENOSYS, false, false },
    { "mkdir", -1, EROFS, false, false },
    { "mmap", -1, ENOMEM, false, false },
    { "mprotect", -1, ENOMEM, false, false },
    { "mremap", -1, ENOMEM, false, false },
    { "munmap", -1, ENOMEM, false, false },
    { "nanosleep", -1, EINTR, true, false },
    { "on_exit", -1, ENOMEM, false, false },
    { "open", -1, EMFILE, true, false },
    { "openat", -1, EMFILE, true, false },
    { "opendir", 0, EMFILE, true, false },
    { "poll", -1, ENOMEM, true, false },
    { "posix_fallocate", ENOSPC, 0, false, false },
    { "prctl", -1, EPERM, false, false },
    { "pread", -1, EIO, true, false },
    { "pthread_attr_init", ENOMEM, 0, false, false },
    { "pthread_attr_setsigmask_np", ENOMEM, 0, false, false },
    { "pthread_attr_setstacksize", EINVAL, 0, false, false },
    { "pthread_create", EAGAIN, 0, false, false },
    { "pthread_getattr_np", ENOMEM, 0, false, false },
    { "pthread_setname_np", ENOENT, 0, false, false },
    { "pwrite", -1, ENOSPC, true, false },
    { "read", -1, EIO, true, false },
    { "readdir", 0, EIO, false, false },
    { "readlink", -1, EACCES, false, false },
    { "__register_atfork", ENOMEM, 0, false, false },
    { "rename", -1, EXDEV, false, false },
    { "setpgid", -1, EPERM, false, false },
    { "shmat", -1, ENOMEM, false, false },
    { "shmctl", -1, EPERM, false, false },
    { "shmdt", -1, EINVAL, false, false },
    { "shmget", -1, ENOSPC, false, false },
    { "sigaction", -1, EINVAL, false, false },
    { "sigaltstack", -1, EPERM, false, false },
    { "sigtimedwait", -1, EAGAIN, true, false },
    { "stat", -1, ENOENT, false, false },
    { "syscall", -1, ENOSYS, true, false },
    { "sysconf", -1, EINVAL, false, false },
    { "unlink", -1, EACCES, false, false },
    { "unlinkat", -1, EACCES, false, false },
    { "waitpid", -1, ECHILD, true, false },
    { "write", -1, EIO, true, false },
};

static struct plan *plan;
static uintptr_t library_base, library_start, library_end;
static void *thunk_real[THUNKS] __attribute__((used));
static struct {
    const char *name;
    const struct failure *failure; /* NULL: of the driver's or NVML's */
    enum kind kind;
} thunks[THUNKS];
static unsigned thunk_count;

struct verdict {
    long is_made; /* the call, by the thunk */
    long value;
};
struct verdict faulty_decide(long number, uintptr_t returns_to, const long *arguments)
    __attribute__((used));

#ifdef __x86_64__
/* A thunk pushes its number; what follows keeps all that a call passes in registers. */
__asm__(
    ".text\n"
    ".globl faulty_thunks\n.hidden faulty_thunks\n.hidden faulty_decide\n"
    "faulty_thunks:\n"
    ".set number, 0\n"
    ".rept 1536\n"
    "  .balign 16\n"
    "  endbr64\n"
    "  pushq $number\n"
    "  jmp faulty_common\n"
    "  .set number, number + 1\n"
    ".endr\n"
    "  .balign 16\n"
    "faulty_common:\n"
    "  pushq %rax\n  pushq %r9\n  pushq %r8\n  pushq %rcx\n"
    "  pushq %rdx\n  pushq %rsi\n  pushq %rdi\n"
    "  subq $8, %rsp\n"
    "  movq 64(%rsp), %rdi\n" /* the number */
    "  movq 72(%rsp), %rsi\n" /* where the call returns to */
    "  leaq 8(%rsp), %rdx\n"
    "  call faulty_decide\n"
    "  testq %rax, %rax\n"
    "  jz 1f\n"
    "  movq 64(%rsp), %rax\n"
    "  leaq thunk_real(%rip), %r11\n"
    "  movq (%r11,%rax,8), %r11\n"
    "  addq $8, %rsp\n"
    "  popq %rdi\n  popq %rsi\n  popq %rdx\n  popq %rcx\n"
    "  popq %r8\n  popq %r9\n  popq %rax\n"
    "  addq $8, %rsp\n"
    "  jmp *%r11\n"
    "1: movq %rdx, %rax\n"
    "  addq $72, %rsp\n"
    "  ret\n");
enum { THUNK_BYTES = 16 };
#else
#error "the thunks are written for x86-64"
#endif
extern char faulty_thunks[] __attribute__((visibility("hidden")));

/* ---- what is done at a call ---- */

static void note_site(uint32_t site, const char *name, enum kind kind)
{
    for (uint32_t i = 0, at = site * 2654435761u % SITES; i < SITES; i++, at = (at + 1) % SITES) {
        uint32_t seen = 0;
        if (atomic_compare_exchange_strong(&plan->sites[at].site, &seen, site)) {
            plan->sites[at].kind = kind;
            strncpy(plan->sites[at].name, name, sizeof plan->sites[at].name - 1);
            atomic_fetch_add(&plan->site_count, 1);
        } else if (seen != site) {
            continue;
        }
        atomic_fetch_add(&plan->sites[at].times, 1);
        return;
    }
}

static void be_slow(void)
{
    const struct timespec pause = { .tv_nsec = SLOW_MS * 1000000L };
    syscall(SYS_nanosleep, &pause, NULL);
}

static struct verdict fail(long number, const long *arguments)
{
    const struct failure *const failure = thunks[number].failure;
    if (!failure)
        return (struct verdict){ 0, plan->error };
    if (failure->is_real) {
        long (*real)(long);
        *(void **)&real = thunk_real[number];
        real(arguments[0]);
    }
    if (failure->error)
        errno = plan->how == HOW_INTERRUPT ? EINTR : failure->error;
    return (struct verdict){ 0, failure->value };
}

static bool can_fail(long number, const long *arguments)
{
    const struct failure *const failure = thunks[number].failure;
    /* The kernel never refuses this one. */
    if (failure && strcmp(failure->name, "syscall") == 0 && arguments[0] == SYS_gettid)
        return false;
    return plan->how != HOW_INTERRUPT || (failure && failure->can_be_interrupted);
}

/* The program's own calls, which an exported wrapper makes for it, are none of the library's. */
static bool is_of_library(uintptr_t returns_to, enum kind kind)
{
    Dl_info info;
    if (returns_to < library_start || returns_to >= library_end)
        return false;
    return kind == KIND_C || !dladdr((void *)returns_to, &info) || !info.dli_sname;
}

struct verdict faulty_decide(long number, uintptr_t returns_to, const long *arguments)
{
    const int saved_errno = errno;
    const struct verdict made = { 1, 0 };
    const uint32_t site = (uint32_t)(returns_to - library_base);
    if (!plan || (plan->how != HOW_LIST && plan->site != site) ||
        !is_of_library(returns_to, thunks[number].kind) || !can_fail(number, arguments))
        return made;
    if (plan->how == HOW_LIST)
        note_site(site, thunks[number].name, thunks[number].kind);
    else if (atomic_fetch_add(&plan->times, 1) + 1 == plan->time) {
        atomic_fetch_add(&plan->hits, 1);
        switch ((enum how)plan->how) {
        case HOW_FAIL:
        case HOW_INTERRUPT: return fail(number, arguments);
        case HOW_SLOW: be_slow(); break;
        case HOW_CANCEL: pthread_cancel(pthread_self()); break;
        case HOW_KILL: kill(getpid(), SIGKILL); break;
        case HOW_LIST: break;
        }
    }
    errno = saved_errno;
    return made;
}

/* ---- getting there ---- */

static void *make_thunk(void *real, const char *name, const struct failure *failure, enum kind kind)
{
    if (thunk_count == THUNKS)
        return real;
    thunks[thunk_count].name = name;
    thunks[thunk_count].failure = failure;
    thunks[thunk_count].kind = kind;
    thunk_real[thunk_count] = real;
    return faulty_thunks + THUNK_BYTES * thunk_count++;
}

static void write_word(void *at, uintptr_t value)
{
    const uintptr_t page = (uintptr_t)at & ~(uintptr_t)4095;
    mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
    *(uintptr_t *)at = value;
}

static uintptr_t dynamic_value(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_ptr;
    return 0;
}

static void replace_import(const struct link_map *map, const ElfW(Rela) * relocation)
{
    const ElfW(Sym) *const symbols = (const void *)dynamic_value(map, DT_SYMTAB);
    const char *const strings = (const void *)dynamic_value(map, DT_STRTAB);
    const unsigned type = ELF64_R_TYPE(relocation->r_info);
    const char *const name = strings + symbols[ELF64_R_SYM(relocation->r_info)].st_name;
    if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
        return;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (strcmp(failures[i].name, name) == 0) {
            void *const real = dlsym(RTLD_NEXT, name);
            if (real)
                write_word((void *)(map->l_addr + relocation->r_offset),
                           (uintptr_t)make_thunk(real, failures[i].name, &failures[i], KIND_C));
        }
}

static void replace_imports(const struct link_map *map)
{
    const ElfW(Sxword) tables[][2] = { { DT_JMPREL, DT_PLTRELSZ }, { DT_RELA, DT_RELASZ } };
    for (int i = 0; i < 2; i++) {
        const ElfW(Rela) *const table = (const void *)dynamic_value(map, tables[i][0]);
        const size_t count = dynamic_value(map, tables[i][1]) / sizeof *table;
        for (size_t at = 0; table && at < count; at++)
            replace_import(map, &table[at]);
    }
}

/* All functions that begin with `prefix`, except those whose address the guard has to know. */
static void replace_symbols(const struct link_map *map, const char *prefix, enum kind kind)
{
    ElfW(Sym) *const symbols = (void *)dynamic_value(map, DT_SYMTAB);
    const char *const strings = (const void *)dynamic_value(map, DT_STRTAB);
    const uint32_t *const hash = (const void *)dynamic_value(map, DT_HASH);
    const size_t count = hash ? hash[1] : (const ElfW(Sym) *)strings - symbols;
    for (size_t i = 0; i < count; i++)
        if (symbols[i].st_value && ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC &&
            strncmp(strings + symbols[i].st_name, prefix, strlen(prefix)) == 0) {
            void *const real = (void *)(map->l_addr + symbols[i].st_value);
            void *const thunk = make_thunk(real, strings + symbols[i].st_name, NULL, kind);
            write_word(&symbols[i].st_value, (uintptr_t)thunk - map->l_addr);
        }
}

static void find_bounds(const struct link_map *map)
{
    const ElfW(Ehdr) *const header = (const void *)map->l_addr;
    const ElfW(Phdr) *const segments = (const void *)(map->l_addr + header->e_phoff);
    library_base = library_start = map->l_addr;
    for (int i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD)
            library_end = map->l_addr + segments[i].p_vaddr + segments[i].p_memsz;
}

__attribute__((visibility("default"))) void faulty_stop(void);

void faulty_stop(void)
{
    plan = NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *const path = getenv("FAULTY_FILE");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    struct plan *const mapped =
        mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    /* The guard opens NVML when a call fails; it is the same library then. */
    dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
        if (strstr(map->l_name, "/libvramguard.so")) {
            find_bounds(map);
            replace_imports(map);
        } else if (strstr(map->l_name, "/libcuda.so")) {
            replace_symbols(map, "cu", KIND_DRIVER);
        } else if (strstr(map->l_name, "/libnvidia-ml.so")) {
            replace_symbols(map, "nvml", KIND_NVML);
        }
    }
    if (mapped != MAP_FAILED && library_end)
        plan = mapped;
}
