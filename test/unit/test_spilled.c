/* The table of spilled memory: contents against a plain list, amounts to the byte, many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "heap/spilled.h"

enum { PAGE = 4096 };

static struct vg_spilled spilled;

static const struct vg_spilled_room plenty = { .cap_bytes = UINT64_C(1) << 40,
                                               .host_bytes = UINT64_C(1) << 40 };

static int reset(void **state)
{
    (void)state;
    memset(&spilled, 0, sizeof spilled);
    spilled.lock.rank = VG_LOCK_HANDLES;
    vg_spilled_entries = 0;
    return 0;
}

static void put(uint64_t address, uint64_t bytes, uint64_t context)
{
    const struct vg_spilled_range range = { .address = address,
                                            .bytes = bytes,
                                            .context = context,
                                            .device = (int32_t)(address / PAGE % 7),
                                            .what = VG_SPILLED_LINEAR };
    assert_int_equal(vg_spilled_reserve(&spilled, bytes, &plenty), 0);
    assert_int_equal(vg_spilled_put(&spilled, &range), 0);
}

static void end(uint64_t address)
{
    struct vg_spilled_node *const node = vg_spilled_take(&spilled, address);
    assert_non_null(node);
    vg_spilled_forget(&spilled, node);
}

static bool knows(uint64_t address)
{
    struct vg_spilled_range range;
    return vg_spilled_find(&spilled, address, &range);
}

/* The end of the older one was not seen: the newer stands for it, and is all that is charged. */
static void a_newer_entry_takes_the_place_of_an_older(void **state)
{
    (void)state;
    put(10 * PAGE, 100, 1);
    put(10 * PAGE, 50, 1);
    assert_int_equal(spilled.bytes, 50);
    assert_int_equal(vg_spilled_entries, 1);
    assert_false(knows(10 * PAGE + 50));
    end(10 * PAGE);
    assert_int_equal(spilled.bytes, 0);
    assert_false(knows(10 * PAGE));
}

static void finds_by_any_address_inside(void **state)
{
    (void)state;
    struct vg_spilled_range range;
    assert_false(knows(0));
    put(10 * PAGE, 100, 1);
    put(20 * PAGE, 2 * PAGE, 1);
    assert_true(vg_spilled_find(&spilled, 10 * PAGE + 99, &range));
    assert_int_equal(range.address, 10 * PAGE);
    assert_int_equal(range.bytes, 100);
    assert_false(knows(10 * PAGE + 100));
    assert_false(knows(10 * PAGE - 1));
    assert_false(knows(UINT64_MAX));
    assert_true(vg_spilled_find(&spilled, 22 * PAGE - 1, &range));
    assert_int_equal(range.address, 20 * PAGE);
    assert_null(vg_spilled_take(&spilled, 20 * PAGE + 1)); /* only the first names it */
    assert_int_equal(vg_spilled_entries, 2);
    end(20 * PAGE);
    assert_false(knows(20 * PAGE));
    assert_int_equal(spilled.bytes, 100);
    assert_int_equal(spilled.peak_bytes, 100 + 2 * PAGE);
    end(10 * PAGE);
    assert_int_equal(vg_spilled_entries, 0);
    assert_int_equal(spilled.bytes, 0);
}

/* Random puts, takes and context ends on 512 places; a bool for each is the model. */
static void behaves_as_a_plain_list(void **state)
{
    enum { PLACES = 512, STEPS = 200000 };
    static uint64_t contexts[PLACES]; /* 0: free */
    (void)state;
    uint64_t live = 0;
    srand(5);
    memset(contexts, 0, sizeof contexts);
    for (int step = 0; step < STEPS; step++) {
        const int place = rand() % PLACES;
        const uint64_t address = (uint64_t)(place + 1) * PAGE;
        if (rand() % 1000 == 0) {
            const uint64_t gone = 1 + (uint64_t)rand() % 5;
            vg_spilled_drop_context(&spilled, gone);
            for (int i = 0; i < PLACES; i++) {
                live -= contexts[i] == gone;
                contexts[i] = contexts[i] == gone ? 0 : contexts[i];
            }
        } else if (contexts[place]) {
            struct vg_spilled_node *const node = vg_spilled_take(&spilled, address);
            assert_non_null(node);
            assert_false(knows(address + 5));
            if (rand() % 2) {
                vg_spilled_restore(&spilled, node);
            } else {
                vg_spilled_forget(&spilled, node);
                contexts[place] = 0;
                live--;
            }
        } else {
            assert_null(vg_spilled_take(&spilled, address));
            contexts[place] = 1 + (uint64_t)rand() % 5;
            put(address, PAGE, contexts[place]);
            live++;
        }
        const int other = rand() % PLACES;
        assert_int_equal(knows((uint64_t)(other + 1) * PAGE + (uint64_t)rand() % PAGE),
                         contexts[other] != 0);
        assert_int_equal(spilled.bytes, live * PAGE);
        assert_int_equal(vg_spilled_entries, live);
    }
    assert_int_equal(spilled.reserved_bytes, 0);
}

/* A million of them in falling order: what a search tree without balance would not survive. */
static void order_of_addresses_does_not_matter(void **state)
{
    enum { MANY = 1000000 };
    (void)state;
    for (uint64_t i = MANY; i > 0; i--)
        put(i * PAGE, PAGE, 1);
    assert_true(knows(MANY / 3 * PAGE + 7));
    for (uint64_t i = 1; i <= MANY; i++)
        end(i * PAGE);
    assert_int_equal(spilled.bytes, 0);
}

static void bounds_count_what_others_have_reserved_or_taken(void **state)
{
    (void)state;
    struct vg_spilled_room room = { .cap_bytes = 1000, .host_bytes = 600 };
    assert_int_equal(vg_spilled_reserve(&spilled, 1001, &room), -EDQUOT);
    assert_int_equal(vg_spilled_reserve(&spilled, 601, &room), -ENOMEM);
    assert_int_equal(vg_spilled_reserve(&spilled, 400, &room), 0);
    assert_int_equal(vg_spilled_reserve(&spilled, 201, &room), -ENOMEM);
    const struct vg_spilled_range range = { .address = PAGE, .bytes = 400 };
    assert_int_equal(vg_spilled_put(&spilled, &range), 0);
    assert_int_equal(vg_spilled_reserve(&spilled, 201, &room), -ENOMEM); /* measured before */
    room.settled_bytes = vg_spilled_settled(&spilled);
    assert_int_equal(vg_spilled_reserve(&spilled, 601, &room), -EDQUOT);
    assert_int_equal(vg_spilled_reserve(&spilled, 600, &room), 0);
    assert_int_equal(vg_spilled_reserve(&spilled, 1, &room), -EDQUOT);
    vg_spilled_cancel(&spilled, 600);
    room.host_bytes = 600; /* nothing of it is reserved any more */
    assert_int_equal(vg_spilled_reserve(&spilled, 600, &room), 0);
    vg_spilled_cancel(&spilled, 600);
    assert_int_equal(spilled.bytes, 400);
    assert_int_equal(spilled.peak_bytes, 400);
    room.cap_bytes = 300; /* whatever comes */
    assert_int_equal(vg_spilled_reserve(&spilled, 1, &room), -EDQUOT);
    assert_int_equal(vg_spilled_reserve(&spilled, UINT64_MAX, &room), -EDQUOT);
}

static void deferred_memory_is_counted_and_not_known(void **state)
{
    (void)state;
    int first, second;
    void *event;
    uint64_t address;
    put(PAGE, 100, 1);
    put(2 * PAGE, 200, 2);
    vg_spilled_defer(&spilled, vg_spilled_take(&spilled, PAGE), &first);
    vg_spilled_defer(&spilled, vg_spilled_take(&spilled, 2 * PAGE), &second);
    assert_false(knows(PAGE));
    assert_int_equal(spilled.bytes, 300);
    assert_int_equal(vg_spilled_entries, 2);
    struct vg_spilled_node *node = vg_spilled_next_deferred(&spilled, &event, &address);
    assert_ptr_equal(event, &first);
    assert_int_equal(address, PAGE);
    vg_spilled_defer(&spilled, node, event); /* behind the other */
    node = vg_spilled_next_deferred(&spilled, &event, &address);
    assert_ptr_equal(event, &second);
    vg_spilled_forget(&spilled, node);
    assert_int_equal(spilled.bytes, 100);
    vg_spilled_drop_context(&spilled, 2);
    assert_int_equal(spilled.deferred_count, 1);
    vg_spilled_drop_context(&spilled, 1);
    assert_int_equal(spilled.deferred_count, 0);
    assert_int_equal(spilled.bytes, 0);
    assert_null(vg_spilled_next_deferred(&spilled, &event, &address));
}

static void the_queue_survives_the_end_of_a_context(void **state)
{
    (void)state;
    int some;
    void *event;
    uint64_t address;
    for (uint64_t i = 1; i <= 3; i++) {
        put(i * PAGE, PAGE, i);
        vg_spilled_defer(&spilled, vg_spilled_take(&spilled, i * PAGE), &some);
    }
    vg_spilled_drop_context(&spilled, 3); /* the last one */
    put(4 * PAGE, PAGE, 4);
    put(5 * PAGE, PAGE, 5); /* in the place of the dropped entry */
    vg_spilled_defer(&spilled, vg_spilled_take(&spilled, 4 * PAGE), &some);
    vg_spilled_drop_context(&spilled, 2); /* one in between */
    assert_int_equal(spilled.deferred_count, 2);
    vg_spilled_forget(&spilled, vg_spilled_next_deferred(&spilled, &event, &address));
    assert_int_equal(address, PAGE);
    vg_spilled_forget(&spilled, vg_spilled_next_deferred(&spilled, &event, &address));
    assert_int_equal(address, 4 * PAGE);
    assert_int_equal(spilled.bytes, PAGE);
}

static void mappings_are_known_and_cost_nothing(void **state)
{
    (void)state;
    const uint64_t key = UINT64_C(1) << 63 | 5, base = UINT64_C(64) << 30;
    struct vg_spilled_range range;
    vg_spilled_map(&spilled, base, PAGE, key); /* of memory that is not ours */
    assert_false(knows(base));
    assert_int_equal(vg_spilled_reserve(&spilled, 2 * PAGE, &plenty), 0);
    const struct vg_spilled_range physical = {
        .address = key, .bytes = 2 * PAGE, .device = 3, .what = VG_SPILLED_PHYSICAL
    };
    assert_int_equal(vg_spilled_put(&spilled, &physical), 0);
    vg_spilled_map(&spilled, base, 2 * PAGE, key);
    vg_spilled_map(&spilled, base + 2 * PAGE, PAGE, key);
    vg_spilled_map(&spilled, base + 9 * PAGE, PAGE, key);
    assert_int_equal(spilled.bytes, 2 * PAGE);
    assert_true(vg_spilled_find(&spilled, base + 3 * PAGE - 1, &range));
    assert_int_equal(range.what, VG_SPILLED_MAPPING);
    assert_int_equal(range.device, 3);
    assert_null(vg_spilled_take(&spilled, base)); /* is unmapped, not freed */
    assert_false(knows(key + 1));
    vg_spilled_end_unmap(&spilled, vg_spilled_begin_unmap(&spilled, base, 3 * PAGE), false);
    assert_true(knows(base));
    assert_true(knows(base + 2 * PAGE));
    vg_spilled_end_unmap(&spilled, vg_spilled_begin_unmap(&spilled, base, 3 * PAGE), true);
    assert_false(knows(base));
    assert_false(knows(base + 2 * PAGE));
    assert_true(knows(base + 9 * PAGE));
    assert_int_equal(spilled.bytes, 2 * PAGE);
    end(key);
    assert_int_equal(spilled.bytes, 0);
}

/* ---- threads ---- */

#ifdef __SANITIZE_THREAD__
enum { THREADS = 8, ROUNDS = 2000 };
#else
enum { THREADS = 8, ROUNDS = 50000 };
#endif

enum { CAP = 20 * 1000 }; /* of the 12,000 that one thread holds on average */
static _Atomic uint64_t really_taken;
static _Atomic int exceeded, refused;

static bool try_to_spill(uint64_t address, uint64_t bytes)
{
    const struct vg_spilled_room room = { .cap_bytes = CAP,
                                          .host_bytes = UINT64_MAX / 2,
                                          .settled_bytes = vg_spilled_settled(&spilled) };
    const struct vg_spilled_range range = { .address = address, .bytes = bytes };
    if (vg_spilled_reserve(&spilled, bytes, &room) != 0)
        return false;
    exceeded += atomic_fetch_add(&really_taken, bytes) + bytes > CAP;
    return vg_spilled_put(&spilled, &range) == 0;
}

static void give_back(uint64_t address, uint64_t bytes)
{
    struct vg_spilled_node *const node = vg_spilled_take(&spilled, address);
    atomic_fetch_sub(&really_taken, bytes);
    vg_spilled_forget(&spilled, node);
}

/* Each thread holds up to three at a time. */
static void *spill_and_free(void *argument)
{
    const uint64_t own = ((uintptr_t)argument + 1) << 32;
    uint64_t held_bytes[3] = { 0 };
    unsigned seed = (unsigned)(own >> 32);
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t address = own + (uint64_t)(i % 3) * 2 * PAGE;
        if (held_bytes[i % 3])
            give_back(address, held_bytes[i % 3]);
        held_bytes[i % 3] = 1 + (uint64_t)(rand_r(&seed) % 8000);
        if (!try_to_spill(address, held_bytes[i % 3])) {
            held_bytes[i % 3] = 0;
            refused++;
        }
    }
    for (uint64_t k = 0; k < 3; k++)
        if (held_bytes[k])
            give_back(own + k * 2 * PAGE, held_bytes[k]);
    return NULL;
}

static void threads_never_exceed_the_cap(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, spill_and_free, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(exceeded, 0);
    assert_int_equal(spilled.bytes, 0);
    assert_int_equal(spilled.reserved_bytes, 0);
    assert_int_equal(vg_spilled_entries, 0);
    assert_true(spilled.peak_bytes <= CAP);
    assert_in_range(refused, 1, THREADS * ROUNDS - 1);
    assert_int_equal(spilled.count + (uint64_t)refused, THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_by_any_address_inside, reset),
        cmocka_unit_test_setup(behaves_as_a_plain_list, reset),
        cmocka_unit_test_setup(order_of_addresses_does_not_matter, reset),
        cmocka_unit_test_setup(bounds_count_what_others_have_reserved_or_taken, reset),
        cmocka_unit_test_setup(deferred_memory_is_counted_and_not_known, reset),
        cmocka_unit_test_setup(the_queue_survives_the_end_of_a_context, reset),
        cmocka_unit_test_setup(mappings_are_known_and_cost_nothing, reset),
        cmocka_unit_test_setup(threads_never_exceed_the_cap, reset),
        cmocka_unit_test_setup(a_newer_entry_takes_the_place_of_an_older, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
