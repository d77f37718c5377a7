#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/every_process.h"
#include "base/signal_block.h"
#include "base/text.h"

enum { WRITE_TIMEOUT_MS = 2000, WRITE_CHUNK_BYTES = 4096 /* PIPE_BUF: poll vouches for no more */ };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until something can be written. A signal handler of the program interrupts poll, however
 * it was installed, so what is left of the time is waited again. Where nobody has read in all that
 * time, later calls do not wait again. */
static bool wait_writable(void)
{
    static atomic_bool given_up;
    const int64_t deadline = now_ms() + (atomic_load(&given_up) ? 0 : WRITE_TIMEOUT_MS);
    struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };
    for (;;) {
        const int64_t left_ms = deadline - now_ms();
        const int ready = poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready < 0 && errno == EINTR && left_ms > 0)
            continue;
        atomic_store(&given_up, ready <= 0);
        return ready > 0;
    }
}

static void write_bounded(const char *bytes, size_t length)
{
    while (length > 0) {
        if (!wait_writable())
            return;
        const size_t chunk = length < WRITE_CHUNK_BYTES ? length : WRITE_CHUNK_BYTES;
        const ssize_t written = write(STDERR_FILENO, bytes, chunk);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

/* A program that was started without a standard error may open a file of its own as descriptor 2.
 */
VG_EVERY_PROCESS_DATA static bool closed_at_start;

__attribute__((constructor)) static void look_at_start(void)
{
    const int saved_errno = errno;
    closed_at_start = fcntl(STDERR_FILENO, F_GETFD) < 0;
    errno = saved_errno;
}

void vg_log_write(const char *bytes, size_t length)
{
    struct vg_signal_block shield;
    if (closed_at_start)
        return;
    vg_cancellation_hold();
    if (vg_signal_block_begin(&shield))
        write_bounded(bytes, length);
    vg_signal_block_end(&shield);
    vg_cancellation_release();
}

static void write_line(const char *format, va_list arguments)
{
    char data[1024];
    struct vg_text text = vg_text_over(data, sizeof data - 1); /* one byte kept for the newline */
    vg_text_add(&text, "vramguard: ");
    vg_text_addv(&text, format, arguments);
    data[text.length] = '\n';
    vg_log_write(data, text.length + 1);
}

void vg_log_line(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(format, arguments);
    va_end(arguments);
}

void vg_warn_once(enum vg_fault fault, const char *format, ...)
{
    static atomic_bool told[VG_FAULT_COUNT];
    if (atomic_exchange(&told[fault], true))
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line(format, arguments);
    va_end(arguments);
}

bool vg_log_wants_color(void)
{
    const int saved_errno = errno;
    const char *no_color = secure_getenv("NO_COLOR");
    const bool wants = isatty(STDERR_FILENO) && (!no_color || !*no_color);
    errno = saved_errno;
    return wants;
}

unsigned vg_log_columns(void)
{
    struct winsize size;
    const int saved_errno = errno;
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    errno = saved_errno;
    return known ? size.ws_col : 0;
}
