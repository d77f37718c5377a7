/* Files and pipes read to the end, whatever pieces they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/read_fully.h"
#include "core_fixture.h"

static void write_text(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void note(int number)
{
    (void)number;
}

static pthread_t reader;

/* Two pieces, with a signal in the reader after each. */
static void *write_pieces(void *argument)
{
    const int fd = *(int *)argument;
    for (int i = 0; i < 2; i++) {
        usleep(100000);
        pthread_kill(reader, SIGUSR1);
        usleep(100000);
        write_text(fd, i ? "world" : "hello ");
    }
    close(fd);
    return NULL;
}

static void pieces_of_a_pipe_are_joined(void **state)
{
    (void)state;
    const struct sigaction action = { .sa_handler = note }; /* without SA_RESTART */
    char text[32] = "";
    int ends[2];
    pthread_t writer;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pipe(ends), 0);
    reader = pthread_self();
    assert_int_equal(pthread_create(&writer, NULL, write_pieces, &ends[1]), 0);
    assert_int_equal(vg_read_fully(ends[0], text, sizeof text), 11);
    pthread_join(writer, NULL);
    close(ends[0]);
    assert_string_equal(text, "hello world");
}

static void no_more_than_fits_is_read(void **state)
{
    (void)state;
    char text[8] = "";
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    write_text(ends[1], "0123456789");
    assert_int_equal(vg_read_fully(ends[0], text, 4), 4);
    assert_string_equal(text, "0123");
    close(ends[0]);
    close(ends[1]);
}

static void errors_are_told(void **state)
{
    (void)state;
    char text[8];
    errno = 0;
    assert_int_equal(vg_read_fully(-1, text, sizeof text), -EBADF);
    assert_int_equal(vg_read_fully_at(-1, text, sizeof text, 0), -EBADF);
}

/* A kernel file that hands out a piece at a time: its pieces lie one behind the other. */
static void places_of_a_file_follow(void **state)
{
    (void)state;
    enum { BYTES = 65536, PAGES = 200, PAGE_BYTES = 4096 };
    static char whole[BYTES], again[BYTES];
    /* Neighbours differ, so that each has a line in the file. */
    char *const pages =
        mmap(NULL, PAGES * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    for (int i = 0; i < PAGES; i += 2)
        assert_int_equal(mprotect(pages + i * PAGE_BYTES, PAGE_BYTES, PROT_READ), 0);
    const int fd = open("/proc/self/maps", O_RDONLY);
    assert_true(fd >= 0);
    const ssize_t length = vg_read_fully(fd, whole, sizeof whole);
    assert_true(length > 4096); /* more than a piece */
    assert_int_equal(vg_read_fully_at(fd, again, (size_t)length, 0), length);
    assert_memory_equal(again, whole, (size_t)length);
    close(fd);
    munmap(pages, PAGES * PAGE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_a_pipe_are_joined),
        cmocka_unit_test(no_more_than_fits_is_read),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(places_of_a_file_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
