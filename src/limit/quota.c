#include "limit/quota.h"

#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/size.h"
#include "driver/driver.h"
#include "shared/shared_file.h"

enum { UUID_CAP = 48 };

bool vg_quota_open(struct vg_quota *allowance, const struct vg_options *options)
{
    char why[64];
    allowance->text = options->limit.text;
    allowance->shared = options->limit_scope.number == VG_LIMIT_SCOPE_SHARED;
    allowance->lock.rank = VG_LOCK_QUOTA;
    vg_limit_parse(allowance->text, &allowance->setting, why, sizeof why);
    return allowance->setting.set;
}

/* ---- the account of a device ---- */

/* What the driver says of a device. */
struct facts {
    CUresult result; /* of asking */
    uint64_t total_bytes;
    char uuid[UUID_CAP];
};

static void ask_driver(int ordinal, bool with_uuid, struct facts *out)
{
    size_t total_bytes;
    *out = (struct facts){ .result = CUDA_ERROR_NOT_FOUND, .total_bytes = VG_BYTES_UNKNOWN };
    if (vg_driver.cuDeviceTotalMem_v2)
        out->result = vg_driver.cuDeviceTotalMem_v2(&total_bytes, ordinal);
    if (out->result == CUDA_SUCCESS)
        out->total_bytes = total_bytes;
    if (with_uuid)
        vg_driver_device_uuid(ordinal, out->uuid, sizeof out->uuid);
}

/* Was it too early to ask, or for a device that there is not? The call at hand will fail. */
static bool is_premature(CUresult result)
{
    return result == CUDA_ERROR_NOT_INITIALIZED || result == CUDA_ERROR_DEINITIALIZED ||
           result == CUDA_ERROR_INVALID_DEVICE;
}

/* The first of those who share an account says whose it is not. */
static void tell_reach(const struct vg_quota_device *device)
{
    const enum vg_quota_reach reach = vg_quota_group_reach();
    if (!device->ledger.is_first || reach == VG_QUOTA_WHOLE)
        return;
    vg_warn_once(VG_FAULT_SHARED_QUOTA,
                 reach == VG_QUOTA_PID_NAMESPACE
                     ? "VRAMGUARD_LIMIT_SCOPE=shared: the processes of this container (pid "
                       "namespace) share the limit; those outside of it, which are not seen from "
                       "here, are not counted"
                     : "VRAMGUARD_LIMIT_SCOPE=shared: the processes of this IPC namespace share "
                       "the limit; those of the namespace that the job was started in cannot be "
                       "reached from here, and are not counted");
}

/* A limit that cannot be shared is not kept by giving it to each process: then nothing is given. A
 * GPU without a UUID, which old drivers have, cannot be named to other processes at all. */
static void join_group(struct vg_quota *allowance, int ordinal, const char *uuid)
{
    struct vg_quota_device *const device = &allowance->devices[ordinal];
    if (!uuid[0]) {
        vg_warn_once(
            VG_FAULT_SHARED_QUOTA,
            "VRAMGUARD_LIMIT_SCOPE=shared: no account can be shared (the GPU has no UUID): "
            "this process is limited alone");
        return;
    }
    const int error = vg_shared_quota_join(uuid, vg_quota_group(allowance->text), &device->ledger);
    if (!error) {
        tell_reach(device);
        return;
    }
    device->limit_bytes = 0;
    vg_warn_once(
        VG_FAULT_SHARED_QUOTA,
        "VRAMGUARD_LIMIT_SCOPE=shared: no account can be shared (%s): allocations on GPU %d "
        "are refused, or the limit would not hold",
        vg_shared_reason(error), ordinal);
}

static void settle_device_locked(struct vg_quota *allowance, int ordinal, const struct facts *facts)
{
    struct vg_quota_device *const device = &allowance->devices[ordinal];
    const struct vg_limit_rule *const rule = &allowance->setting.rules[ordinal];
    device->limit_bytes = vg_limit_bytes(rule, facts->total_bytes);
    if (rule->percent > 0 && device->limit_bytes == VG_BYTES_UNKNOWN)
        vg_log_line(
            "VRAMGUARD_LIMIT: the driver does not tell how much memory GPU %d has: it "
            "is not limited",
            ordinal);
    if (facts->total_bytes != VG_BYTES_UNKNOWN && device->limit_bytes >= facts->total_bytes)
        device->limit_bytes = VG_BYTES_UNKNOWN; /* the device itself is the limit */
    if (allowance->shared && device->limit_bytes != VG_BYTES_UNKNOWN)
        join_group(allowance, ordinal, facts->uuid);
    atomic_store_explicit(&device->known, 1, memory_order_release);
}

static __attribute__((noinline)) void settle_device(struct vg_quota *allowance, int ordinal)
{
    struct facts facts;
    ask_driver(ordinal, allowance->shared, &facts);
    if (is_premature(facts.result))
        return;
    vg_lock_take(&allowance->lock);
    if (!allowance->devices[ordinal].known)
        settle_device_locked(allowance, ordinal, &facts);
    vg_lock_release(&allowance->lock);
}

/* The account of a limited device, NULL for one that is not. */
static struct vg_quota_device *account_of(struct vg_quota *allowance, int ordinal)
{
    if (ordinal < 0 || ordinal >= VG_FILE_HOST || !allowance->setting.set)
        return NULL;
    struct vg_quota_device *const device = &allowance->devices[ordinal];
    if (!atomic_load_explicit(&device->known, memory_order_acquire))
        settle_device(allowance, ordinal);
    const bool known = atomic_load_explicit(&device->known, memory_order_acquire);
    return known && device->limit_bytes != VG_BYTES_UNKNOWN ? device : NULL;
}

/* ---- charging ---- */

static bool charge_own(struct vg_quota_device *device, uint64_t bytes)
{
    uint64_t charged = atomic_load_explicit(&device->charged_bytes, memory_order_relaxed);
    do {
        if (charged > device->limit_bytes || bytes > device->limit_bytes - charged)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&device->charged_bytes, &charged,
                                                    charged + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static bool charge_within(struct vg_quota_device *device, uint64_t bytes)
{
    return device->ledger.file
               ? vg_shared_quota_reserve(&device->ledger, bytes, device->limit_bytes)
               : charge_own(device, bytes);
}

static void charge_anyway(struct vg_quota_device *device, uint64_t bytes)
{
    if (device->ledger.file)
        vg_shared_quota_charge(&device->ledger, bytes);
    else
        atomic_fetch_add_explicit(&device->charged_bytes, bytes, memory_order_relaxed);
}

static void give_back(struct vg_quota_device *device, uint64_t bytes)
{
    if (device->ledger.file)
        vg_shared_quota_give_back(&device->ledger, bytes);
    else
        atomic_fetch_sub_explicit(&device->charged_bytes, bytes, memory_order_relaxed);
}

bool vg_quota_reserve(struct vg_quota *allowance, int device, uint64_t bytes,
                      struct vg_charge *charge)
{
    struct vg_quota_device *const account = account_of(allowance, device);
    if (!account)
        return true;
    if (!charge_within(account, bytes))
        return false;
    *charge = (struct vg_charge){ .held = true, .device = device, .bytes = bytes };
    return true;
}

bool vg_quota_resize(struct vg_quota *allowance, struct vg_charge *charge, uint64_t bytes)
{
    struct vg_quota_device *const account = &allowance->devices[charge->device];
    if (bytes > charge->bytes && !charge_within(account, bytes - charge->bytes))
        return false;
    if (bytes < charge->bytes)
        give_back(account, charge->bytes - bytes);
    charge->bytes = bytes;
    return true;
}

void vg_quota_release(struct vg_quota *allowance, struct vg_charge *charge)
{
    if (charge->held)
        give_back(&allowance->devices[charge->device], charge->bytes);
    charge->held = false;
}

void vg_quota_settle(struct vg_quota *allowance, struct vg_charge *charge, int device,
                     uint64_t bytes)
{
    if (charge->held && charge->device == device && charge->bytes == bytes) {
        charge->held = false;
        return;
    }
    vg_quota_release(allowance, charge);
    struct vg_quota_device *const account = account_of(allowance, device);
    if (account)
        charge_anyway(account, bytes);
}

void vg_quota_give_back(struct vg_quota *allowance, int device, uint64_t bytes)
{
    struct vg_quota_device *const account = account_of(allowance, device);
    if (account)
        give_back(account, bytes);
}

bool vg_quota_left(struct vg_quota *allowance, int device, uint64_t *out_limit_bytes,
                   uint64_t *out_left_bytes)
{
    struct vg_quota_device *const account = account_of(allowance, device);
    if (!account)
        return false;
    const uint64_t charged =
        account->ledger.file ? vg_shared_quota_charged(&account->ledger)
                             : atomic_load_explicit(&account->charged_bytes, memory_order_relaxed);
    *out_limit_bytes = account->limit_bytes;
    *out_left_bytes = charged < account->limit_bytes ? account->limit_bytes - charged : 0;
    return true;
}
