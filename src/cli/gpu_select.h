/* `vramguard run --gpu auto`: choosing the GPU that a command runs on. */
#ifndef VRAMGUARD_CLI_GPU_SELECT_H
#define VRAMGUARD_CLI_GPU_SELECT_H

#include <stdint.h>

/* Chooses, of the GPUs that CUDA shows to this process, the one with the most free memory that is
 * not promised to others; those that others have just been placed on and not used yet count for
 * less. Says which in one line on stderr, names it in CUDA_VISIBLE_DEVICES unless it is the only
 * one or has no UUID, and has `need_bytes` of
 * it promised to this process (a nominal amount for a minute when 0), which the command that it
 * becomes takes over. `driver_folder`: of a simulated driver, or NULL. Returns 0, or VG_EXIT_FAILED
 * after one line on stderr. Forks: CUDA is asked in a child, so that nothing of it is left in this
 * process. */
int vg_gpu_select(const char *driver_folder, uint64_t need_bytes);

#endif
