/* The driver as this runtime sees it: one struct of function pointers, filled once per process. */
#ifndef SIMGPU_CUDART_DRIVER_H
#define SIMGPU_CUDART_DRIVER_H

#include "driver_table.h"

/* What stream 0 means to an entry point: the index into the two forms of a STREAM row. */
enum default_stream { LEGACY_STREAM, PER_THREAD_STREAM };

#define DRIVER_MEMBER_PLAIN(member, name, version, params)        CUresult(*member) params;
#define DRIVER_MEMBER_STREAM(member, name, version, ptsz, params) CUresult(*member[2]) params;

struct driver {
    CUresult (*cuGetProcAddress)(const char *name, void **fn, int version, cuuint64_t flags,
                                 CUdriverProcAddressQueryResult *status);
    DRIVER_TABLE(DRIVER_MEMBER_PLAIN, DRIVER_MEMBER_STREAM)
};

/* The loaded driver. A function that the installed driver lacks is present all the same and
 * returns cudaErrorCallRequiresNewerDriver. Valid once rt_driver_load() has returned cudaSuccess;
 * never changes afterwards. */
extern struct driver drv;

/* Finds libcuda.so.1 and its functions, checks the driver's version and calls cuInit, once per
 * process; every later call returns the first result. Thread-safe. Returns
 *   cudaErrorInsufficientDriver when there is no driver, or one older than this runtime's major,
 *   cudaErrorNoDevice when it has no device, else what cuInit returned. */
cudaError_t rt_driver_load(void);

/* Like rt_driver_load() without cuInit: enough for cudaDriverGetVersion. `version` becomes 0 where
 * there is no driver. */
cudaError_t rt_driver_version(int *version);

#endif
