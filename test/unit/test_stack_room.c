/* Room on the stack: what a thread has left, and a stack of our own where that is too little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <alloca.h>
#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "core_fixture.h"
#include "os/stack_room.h"

enum { KIB = 1024, FRAMES = 32, LITTLE_BYTES = 24 * 1024 };

static void run_in_thread(size_t stack_bytes, void *(*work)(void *unused))
{
    pthread_attr_t attributes;
    pthread_t thread;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, stack_bytes), 0);
    assert_int_equal(pthread_create(&thread, &attributes, work, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *(*work_with_little)(void *unused);

static __attribute__((noinline)) void *spend_the_rest(void *unused)
{
    const uintptr_t left_bytes = (uintptr_t)__builtin_frame_address(0) - vg_stack_lowest();
    volatile char *const spent = alloca(left_bytes > LITTLE_BYTES ? left_bytes - LITTLE_BYTES : 1);
    spent[0] = 1;
    return work_with_little(unused);
}

/* In a thread that has little left of its stack; of aarch64's smallest one most is spent. */
static void run_with_little(void *(*work)(void *unused))
{
    const long smallest_bytes = sysconf(_SC_THREAD_STACK_MIN);
    work_with_little = work;
    run_in_thread(smallest_bytes > 32 * KIB ? (size_t)smallest_bytes : 32 * KIB, spend_the_rest);
}

static void *measure(void *unused)
{
    const uintptr_t lowest = vg_stack_lowest();
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    assert_true(lowest != 0 && lowest < here && here - lowest < 512 * KIB);
    assert_true(vg_stack_has_room(lowest, here - lowest));
    assert_false(vg_stack_has_room(lowest, here - lowest + KIB));
    return unused;
}

static void test_what_is_left(void **state)
{
    (void)state;
    run_in_thread(512 * KIB, measure);
    assert_int_equal(vg_stack_lowest(), 0);
    assert_true(vg_stack_has_room(0, 512 * KIB));
}

static void note_stack(void *out)
{
    char *const stack = __builtin_frame_address(0);
    *(uintptr_t *)out = (uintptr_t)stack;
    assert_int_equal((uintptr_t)stack % 16, 0);
    memset(stack - 200 * KIB, 1, 190 * KIB); /* all of this is there */
    errno = 77;
}

static void note_inner(void *out)
{
    ((uintptr_t *)out)[1] = (uintptr_t)__builtin_frame_address(0);
    assert_true(vg_stack_room_is_in_use());
    vg_stack_room_call(UINTPTR_MAX - KIB, note_stack, out);
}

static void *call_with_little(void *unused)
{
    uintptr_t stacks[2] = { 0 };
    const uintptr_t lowest = vg_stack_lowest();
    vg_stack_room_call(lowest, note_inner, stacks);
    assert_int_equal(errno, 77);
    assert_true(stacks[0] - lowest > 32 * KIB); /* a stack of its own */
    assert_true(stacks[1] - stacks[0] + 4 * KIB < 8 * KIB && "a call within stays there");
    assert_false(vg_stack_room_is_in_use());
    return unused;
}

static void test_little_room(void **state)
{
    (void)state;
    run_with_little(call_with_little);
}

static void note_here(void *out)
{
    *(uintptr_t *)out = (uintptr_t)__builtin_frame_address(0);
}

static void *call_with_much(void *unused)
{
    uintptr_t stack;
    vg_stack_room_call(vg_stack_lowest(), note_here, &stack);
    assert_true((uintptr_t)__builtin_frame_address(0) - stack < 4 * KIB);
    return unused;
}

static void test_much_room(void **state)
{
    (void)state;
    run_in_thread(512 * KIB, call_with_much);
}

static void *frames[FRAMES];

static void capture(void *count)
{
    *(int *)count = backtrace(frames, FRAMES);
}

static __attribute__((noinline)) void *call_capture(void *unused)
{
    int count = 0;
    vg_stack_room_call(vg_stack_lowest(), capture, &count);
    for (int i = 0; i < count; i++)
        if ((uintptr_t)frames[i] - (uintptr_t)&call_capture < 256)
            return unused;
    fail_msg("the caller is not among %d frames", count);
    return NULL;
}

static void test_unwinders_see_the_callers(void **state)
{
    (void)state;
    void *warm[1];
    backtrace(warm, 1); /* opens its library */
    run_with_little(call_capture);
}

static jmp_buf back;

static void leave(void *unused)
{
    (void)unused;
    longjmp(back, 1);
}

static void *leave_twice(void *unused)
{
    const uintptr_t lowest = vg_stack_lowest();
    uintptr_t stack = 0;
    if (setjmp(back) == 0)
        vg_stack_room_call(lowest, leave, NULL);
    assert_false(vg_stack_room_is_in_use());
    /* Might it be a handler's, on the alternate signal stack? The other one may be in use. */
    vg_stack_room_call(lowest, note_here, &stack);
    assert_true(stack - lowest < 32 * KIB);
    vg_stack_room_reset();
    vg_stack_room_call(lowest, note_here, &stack);
    assert_true(stack - lowest > 32 * KIB);
    return unused;
}

static void test_left_by_a_jump(void **state)
{
    (void)state;
    run_with_little(leave_twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_left),   cmocka_unit_test(test_little_room),
        cmocka_unit_test(test_much_room),      cmocka_unit_test(test_unwinders_see_the_callers),
        cmocka_unit_test(test_left_by_a_jump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
