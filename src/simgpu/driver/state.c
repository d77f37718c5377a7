/* Initialisation: options, shared state, visible devices; and the end of it all in a forked child.
 */
#include "state.h"

#include <stdlib.h>

#include "call_rules.h"
#include "function_table.h"
#include "options.h"
#include "shared.h"
#include "visible.h"

enum phase { PHASE_NEW, PHASE_READY, PHASE_FORKED };

pthread_mutex_t sim_lock = PTHREAD_MUTEX_INITIALIZER;
int sim_cancel_state;
atomic_bool sim_gate_open;
_Thread_local bool sim_per_thread;
int sim_device_count;
int sim_devices[MAX_DEVICES];

static pthread_once_t options_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int phase;
static bool options_bad;
static _Bool have_rules;

static void read_options(void)
{
    options_bad = options_read() != 0;
    if (call_rules_read(&have_rules) != 0)
        options_bad = true;
}

/* A CUDA context does not survive fork: documented for the real driver, whose calls in the child
 * fail from then on. A child of a process that has not called cuInit may do so itself. */
static void on_fork_in_child(void)
{
    if (atomic_load(&phase) != PHASE_READY)
        return;
    atomic_store(&phase, PHASE_FORKED);
    atomic_store(&sim_gate_open, false);
    init_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; /* its holder may not exist here */
    shared_after_fork();
}

CUresult sim_enter_slowly(int id, bool needs_init)
{
    pthread_once(&options_once, read_options);
    if (have_rules) {
        CUresult scripted = call_rules_apply(id);
        if (scripted != CUDA_SUCCESS)
            return scripted;
    }
    if (needs_init && atomic_load(&phase) != PHASE_READY)
        return CUDA_ERROR_NOT_INITIALIZED;
    return CUDA_SUCCESS;
}

static CUresult initialise_driver(void)
{
    if (options_bad || shared_open(sim_options.id, &sim_options.devices, true) != 0)
        return CUDA_ERROR_NO_DEVICE;
    sim_device_count = visible_devices(getenv("CUDA_VISIBLE_DEVICES"), sim_devices);
    if (sim_device_count == 0)
        return CUDA_ERROR_NO_DEVICE;
    static bool fork_handler;
    if (!fork_handler && pthread_atfork(NULL, NULL, on_fork_in_child) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    fork_handler = true;
    atomic_store(&phase, PHASE_READY);
    atomic_store_explicit(&sim_gate_open, !have_rules, memory_order_release);
    return CUDA_SUCCESS;
}

CUresult sim_cuInit(unsigned int flags)
{
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    int cancellable; /* CUDA's functions are no cancellation points */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellable);
    pthread_mutex_lock(&init_lock);
    CUresult result = CUDA_SUCCESS;
    if (atomic_load(&phase) == PHASE_FORKED)
        result = CUDA_ERROR_NOT_INITIALIZED;
    else if (atomic_load(&phase) == PHASE_NEW)
        result = initialise_driver();
    pthread_mutex_unlock(&init_lock);
    pthread_setcancelstate(cancellable, NULL);
    return result;
}

CUresult sim_cuDriverGetVersion(int *version)
{
    if (version == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *version = sim_options.driver_version;
    return CUDA_SUCCESS;
}
