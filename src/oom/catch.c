/* An exception is raised in two phases ("Itanium C++ ABI: Exception Handling", section 1.3): first
 * the frames are searched for one that handles it, then they are unwound up to it. Each frame is
 * asked by its personality routine. The frame of `call_with_personality` below has one that handles
 * everything. When the second phase arrives there, all frames under it have been cleaned up, and
 * instead of the landing pad that a compiler would have made, we jump back to vg_catch_call: so
 * neither libgcc's functions nor a table of ours is needed. */
#include "oom/catch.h"

#include <setjmp.h>
#include <stdint.h>

/* struct _Unwind_Exception as far as it is needed here (the same section, 1.4.1). */
struct exception {
    uint64_t class;
    void (*cleanup)(int reason, struct exception *exception);
};

enum { SEARCH_PHASE = 1, FORCE_UNWIND = 8 };                            /* _Unwind_Action */
enum { FOREIGN_EXCEPTION_CAUGHT = 1, HANDLER_FOUND = 6, CONTINUE = 8 }; /* _Unwind_Reason_Code */

struct place {
    jmp_buf back;
    struct exception *thrown;
};

static _Thread_local struct place *place;

/* The personality routine of `call_with_personality`. Forced unwinding is pthread_exit and
 * cancellation: nobody may stop it. */
int vg_catch_personality(int version, int actions, uint64_t class, struct exception *thrown,
                         void *context);

__attribute__((used)) int vg_catch_personality(int version, int actions, uint64_t class,
                                               struct exception *thrown, void *context)
{
    (void)version, (void)class, (void)context;
    if (actions & FORCE_UNWIND)
        return CONTINUE;
    if (actions & SEARCH_PHASE)
        return HANDLER_FOUND;
    place->thrown = thrown;
    _longjmp(place->back, 1);
}

static __attribute__((noinline)) void call_with_personality(void (*run)(void *argument),
                                                            void *argument)
{
    /* 0x1b: relative to the place, 4 bytes, signed (DW_EH_PE_pcrel | DW_EH_PE_sdata4, Linux
     * Standard Base, section DWARF Exception Header Encoding). */
    __asm__ volatile(".cfi_personality 0x1b, vg_catch_personality");
    run(argument);
    __asm__ volatile("" : : : "memory"); /* no tail call: the frame has to be there */
}

bool vg_catch_call(void (*run)(void *argument), void *argument)
{
    struct place here;
    place = &here;
    if (_setjmp(here.back) == 0) {
        call_with_personality(run, argument);
        return true;
    }
    struct exception *const thrown = place->thrown;
    if (thrown->cleanup)
        thrown->cleanup(FOREIGN_EXCEPTION_CAUGHT, thrown);
    return false;
}
