/* Newcomers: who is held back until its turn, and what its second try keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/process.h"
#include "wait/admission_request.h"

static struct vg_queue queue;
static _Atomic uint64_t held_bytes;
static const struct vg_registration registration = { .held_bytes = &held_bytes, .queue = &queue };

enum { WAIT_MS = 150 };

/* Somebody stands in line, for an hour. */
static void let_another_wait(void)
{
    struct vg_queue_slot place;
    const uint64_t now_ns = vg_clock_monotonic_ns();
    const struct vg_wait_request request = { .owner = vg_process_owner_self(),
                                             .thread = (uint32_t)gettid(),
                                             .wanted_bytes = 1,
                                             .now_ns = now_ns,
                                             .deadline_ns = now_ns + UINT64_C(3600000000000),
                                             .priority = 50 };
    memset(&queue, 0, sizeof queue);
    assert_int_equal(vg_queue_enter(&queue, &request, &place), 0);
}

static struct vg_admission_request newcomer(uint64_t since_ns)
{
    return (struct vg_admission_request){ .device = 0,
                                          .uuid = "GPU-x",
                                          .registration = &registration,
                                          .bytes = 1 << 20,
                                          .wait_ms = WAIT_MS,
                                          .since_ns = since_ns,
                                          .priority = 50 };
}

static void who_comes_later_is_held_back(void **state)
{
    (void)state;
    struct vg_held_ticket ticket;
    let_another_wait();
    const struct vg_admission_request coming = newcomer(0);
    assert_true(vg_newcomer_concerns(&registration));
    assert_false(vg_newcomer_hold_back(&coming, &ticket));
    assert_null(ticket.queue);
}

/* A caller that was told no at its turn, empties its own cache and asks again: it was there first.
 */
static void the_second_try_keeps_its_place(void **state)
{
    (void)state;
    struct vg_held_ticket ticket;
    let_another_wait();
    const uint64_t since_ns = vg_clock_monotonic_ns() - UINT64_C(5000000000);
    const struct vg_admission_request coming = newcomer(since_ns);
    assert_true(vg_newcomer_hold_back(&coming, &ticket));
    assert_int_equal(ticket.since_ns, since_ns);
    assert_ptr_equal(ticket.queue, &queue);
    vg_held_ticket_release(&ticket);
}

static void nobody_in_line_concerns_nobody(void **state)
{
    (void)state;
    memset(&queue, 0, sizeof queue);
    assert_false(vg_newcomer_concerns(&registration));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_later_is_held_back),
        cmocka_unit_test(the_second_try_keeps_its_place),
        cmocka_unit_test(nobody_in_line_concerns_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
