#include "unwind/libunwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include "base/plain_text.h"
#include "os/elf_import.h"
#include "os/elf_symbol.h"
#include "os/fork_gate.h"
#include "os/mapped.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

/* ---- what libunwind calls (src/x86_64/Ginit.c, src/aarch64/Ginit.c, src/mi/Gaddress_validator.c)
 * ---- */

/* Numbers that no descriptor has (the kernel's limit, sysctl_nr_open_max, is below 2^31 - 64). */
enum { NO_PIPE_READ = INT32_MAX - 1, NO_PIPE_WRITE = INT32_MAX };

static int no_pipe(int ends[2])
{
    ends[0] = NO_PIPE_READ;
    ends[1] = NO_PIPE_WRITE;
    return 0;
}

static int no_pipe_with_flags(int ends[2], int flags)
{
    (void)flags;
    return no_pipe(ends);
}

/* All that libunwind ever writes is the byte that it tries, whatever the pipe: one that the
 * program's own use of libunwind has opened before may not be its own any more. */
static ssize_t try_byte(int fd, const void *byte, size_t count)
{
    (void)fd;
    if (count == 0 || vg_is_readable(byte))
        return (ssize_t)count;
    errno = EFAULT;
    return -1;
}

/* It makes that call itself where write(2) may have been interposed. */
static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_write)
        return try_byte((int)a, (const void *)b, (size_t)c);
    return syscall(number, a, b, c, d, e, f);
}

/* Empties the pipe, a byte at a time; all else that is read are ELF files and /proc/self/maps, in
 * larger pieces. */
static ssize_t read_file(int fd, void *out, size_t count)
{
    if (count > 1 && fd != NO_PIPE_READ)
        return syscall(SYS_read, fd, out, count);
    errno = EAGAIN;
    return -1;
}

/* These are cancellation points in libc, and a stack is captured where there must be none. */
static int open_file(const char *path, int flags, unsigned mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int close_file(int fd)
{
    return fd == NO_PIPE_READ || fd == NO_PIPE_WRITE ? 0 : (int)syscall(SYS_close, fd);
}

static int fcntl_file(int fd, int command, long argument)
{
    return fd == NO_PIPE_READ || fd == NO_PIPE_WRITE ? 0 : fcntl(fd, command, argument);
}

/* Returns whether no call of libunwind's is left that could reach a descriptor of the program's. */
static bool keep_from_descriptors(const void *inside)
{
    static const struct {
        const char *symbol;
        void (*function)(void);
    } calls[] = {
        { "write", (void (*)(void))try_byte },           { "syscall", (void (*)(void))system_call },
        { "read", (void (*)(void))read_file },           { "open", (void (*)(void))open_file },
        { "open64", (void (*)(void))open_file },         { "close", (void (*)(void))close_file },
        { "pipe2", (void (*)(void))no_pipe_with_flags }, { "pipe", (void (*)(void))no_pipe },
        { "fcntl", (void (*)(void))fcntl_file },         { "fcntl64", (void (*)(void))fcntl_file },
    };
    bool kept = true;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        kept = vg_elf_replace_import(inside, calls[i].symbol,
                                     (void *)(uintptr_t)calls[i].function) >= 0 &&
               kept;
    return kept;
}

static bool find_thread_storage(const struct vg_elf_object *object, bool is_own, void *out)
{
    (void)is_own;
    if (vg_plain_starts_with(object->soname, "ld-linux"))
        *(void **)out = vg_elf_function(object, "__tls_get_addr");
    return *(void **)out != NULL;
}

/* TSan and MSan put themselves before the dynamic linker's function, to learn where libraries that
 * are opened later keep what is each thread's. They guess: at 16 modulo 4096 they take it for a
 * block of glibc 2.19 with its size before it, and clear that much (sanitizer_tls_get_addr.cpp).
 * One block in 256 lies there. */
static void keep_from_sanitizers(const void *inside)
{
    void *function = NULL;
    vg_elf_each_early(find_thread_storage, &function);
    if (function)
        vg_elf_replace_import(inside, "__tls_get_addr", function);
}

/* UNW_OBJ and UNW_ARCH_OBJ are how libunwind.h maps its names to the library's symbols. */
static vg_backtrace_function open_library(const char **out_why)
{
    void *const library = dlopen("libunwind.so.8", RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        dlerror(); /* ours, not the program's to find */
        *out_why = NULL;
        return NULL;
    }
    vg_backtrace_function capture;
    int (*set_caching_policy)(unw_addr_space_t, unw_caching_policy_t);
    unw_addr_space_t *local_space;
    *(void **)&capture = dlsym(library, "unw_backtrace");
    *(void **)&set_caching_policy = dlsym(library, STRINGIFY(UNW_OBJ(set_caching_policy)));
    *(void **)&local_space = dlsym(library, STRINGIFY(UNW_OBJ(local_addr_space)));
    if (!capture) {
        *out_why = dlerror();
        return NULL;
    }
    if (!keep_from_descriptors((const void *)(uintptr_t)capture)) {
        *out_why = "it cannot be kept from using descriptors of its own";
        return NULL;
    }
    keep_from_sanitizers((const void *)(uintptr_t)capture);
    /* A cache for each thread, some 270 KiB: the shared one is behind a lock that all take. */
    if (set_caching_policy && local_space)
        set_caching_policy(*local_space, UNW_CACHE_PER_THREAD);
    return capture;
}

vg_backtrace_function vg_libunwind_open(const char **out_why)
{
    vg_fork_gate_enter();
    const vg_backtrace_function capture = open_library(out_why);
    vg_fork_gate_leave();
    return capture;
}
