/* Mapped files that are cut short: the access goes on, and nothing else of SIGBUS changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_fixture.h"
#include "os/shrunk_file.h"

enum { PAGE = 4096, PAGES = 4 };

static volatile sig_atomic_t told, passed_on;
static void *passed_address;

static void tell(void)
{
    told++;
}

/* Two pages of a file are left of four. */
static char *cut_short(const char *name)
{
    const int fd = open(in_scratch(name), O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, PAGES * PAGE) == 0);
    char *const pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(pages != MAP_FAILED);
    memset(pages, 7, PAGES * PAGE);
    CHECK(ftruncate(fd, 2 * PAGE) == 0);
    close(fd);
    return pages;
}

static void go_on_child(void *argument)
{
    (void)argument;
    char *const pages = cut_short("file");
    CHECK(vg_shrunk_file_watch(pages, PAGES * PAGE, tell) == 0);
    CHECK(vg_shrunk_file_losses() == 0);
    errno = 77;
    CHECK(pages[2 * PAGE + 5] == 0);
    __asm__ volatile("" ::: "memory"); /* the compiler does not see that it may change */
    CHECK(errno == 77 && told == 1 && vg_shrunk_file_losses() == 1);
    pages[3 * PAGE] = 9;
    CHECK(pages[3 * PAGE] == 9 && pages[3 * PAGE + 1] == 0 && told == 2);
    CHECK(pages[0] == 7 && pages[2 * PAGE - 1] == 7); /* what is left is the file's */
    const pid_t pid = fork();
    if (pid == 0) { /* a child has the same */
        char *const more = cut_short("other");
        CHECK(vg_shrunk_file_watch(more, PAGES * PAGE, tell) == 0);
        _exit(more[2 * PAGE] == 0 && told == 3 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void an_access_goes_on(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(run_child(go_on_child, NULL, text, sizeof text), 0);
}

static bool is_blocked_now(void)
{
    sigset_t blocked;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    return sigismember(&blocked, SIGBUS);
}

static void blocked_child(void *argument)
{
    sigset_t bus_error;
    (void)argument;
    signal(SIGBUS, SIG_DFL); /* cmocka has a handler */
    char *const pages = cut_short("file");
    CHECK(vg_shrunk_file_watch(pages, PAGES * PAGE, tell) == 0);
    CHECK(!vg_shrunk_file_is_blocked() && !vg_shrunk_file_admit() && !is_blocked_now());
    sigemptyset(&bus_error);
    sigaddset(&bus_error, SIGBUS);
    CHECK(sigprocmask(SIG_BLOCK, &bus_error, NULL) == 0);
    CHECK(vg_shrunk_file_is_blocked() && vg_shrunk_file_admit() && !is_blocked_now());
    CHECK(pages[2 * PAGE] == 0 && told == 1);
    vg_shrunk_file_block();
    CHECK(is_blocked_now());
    CHECK(raise(SIGBUS) == 0); /* it waits for the program to want it */
    CHECK(!vg_shrunk_file_admit() && is_blocked_now());
}

static void who_blocks_it_can_admit_it(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(run_child(blocked_child, NULL, text, sizeof text), 0);
}

static void program_handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    passed_on++;
    passed_address = info->si_addr;
    if (info->si_code > 0)
        mmap(info->si_addr, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0);
}

static void handler_child(void *argument)
{
    (void)argument;
    const struct sigaction action = { .sa_sigaction = program_handler, .sa_flags = SA_SIGINFO };
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
    char *const ours = cut_short("ours"), *const theirs = cut_short("theirs");
    CHECK(vg_shrunk_file_watch(ours, PAGES * PAGE, tell) == 0);
    CHECK(ours[2 * PAGE] == 0 && passed_on == 0);
    CHECK(theirs[2 * PAGE] == 0 && passed_on == 1 && passed_address == theirs + 2 * PAGE);
    CHECK(told == 1);
    char *const part = cut_short("part"); /* of which the last page is not ours */
    CHECK(vg_shrunk_file_watch(part, 3 * PAGE, tell) == 0);
    CHECK(part[2 * PAGE] == 0 && told == 2 && passed_on == 1);
    CHECK(part[3 * PAGE] == 0 && told == 2 && passed_on == 2);
    CHECK(raise(SIGBUS) == 0 && passed_on == 3);
}

static void the_programs_handler_gets_what_is_not_ours(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(run_child(handler_child, NULL, text, sizeof text), 0);
}

static void other_access_child(void *argument)
{
    signal(SIGBUS, SIG_DFL); /* cmocka has a handler */
    char *const ours = cut_short("ours"), *const theirs = cut_short("theirs");
    CHECK(vg_shrunk_file_watch(ours, PAGES * PAGE, tell) == 0);
    if (argument)
        raise(SIGBUS);
    else
        theirs[3 * PAGE] = 1;
}

static void ignored_child(void *argument)
{
    signal(SIGBUS, SIG_IGN);
    char *const ours = cut_short("ours"), *const theirs = cut_short("theirs");
    CHECK(vg_shrunk_file_watch(ours, PAGES * PAGE, tell) == 0);
    raise(SIGBUS);
    CHECK(ours[2 * PAGE] == 0);
    if (argument)
        theirs[3 * PAGE] = 1; /* the kernel does not let that be ignored */
}

static void all_else_ends_the_program_as_ever(void **state)
{
    (void)state;
    char text[512], yes = 'y';
    assert_int_equal(WTERMSIG(run_child(other_access_child, NULL, text, sizeof text)), SIGBUS);
    assert_int_equal(WTERMSIG(run_child(other_access_child, &yes, text, sizeof text)), SIGBUS);
    assert_int_equal(run_child(ignored_child, NULL, text, sizeof text), 0);
    assert_int_equal(WTERMSIG(run_child(ignored_child, &yes, text, sizeof text)), SIGBUS);
}

#define SHRUNK_TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHRUNK_TEST(an_access_goes_on),
        SHRUNK_TEST(who_blocks_it_can_admit_it),
        SHRUNK_TEST(the_programs_handler_gets_what_is_not_ours),
        SHRUNK_TEST(all_else_ends_the_program_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
