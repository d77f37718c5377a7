/* For tests of what lies in shared segments (shared/shared_segment.h). */
#ifndef VRAMGUARD_TEST_SEGMENTS_H
#define VRAMGUARD_TEST_SEGMENTS_H

#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "core_fixture.h"

/* Id of the segment that is attached at `at`, by the key that its head names. */
static UNUSED int segment_id(const void *at)
{
    uint32_t key;
    memcpy(&key, (const char *)at + 16, sizeof key);
    return shmget((key_t)key, 0, 0);
}

/* Removes this user's accounts of shared limits that no process has attached: what they say is of
 * dead processes. Others may be tested at the same time: theirs are attached, or made anew. */
static UNUSED void remove_idle_segments(void)
{
    struct shmid_ds segment;
    const int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&(struct shm_info){ 0 });
    for (int i = 0; i <= last; i++) {
        const int id = shmctl(i, SHM_STAT, &segment);
        if (id < 0 || segment.shm_perm.uid != geteuid() || segment.shm_nattch != 0)
            continue;
        const void *const at = shmat(id, NULL, SHM_RDONLY);
        if (at == (void *)-1)
            continue;
        const bool is_account = memcmp(at, "VRAMLIM\n", 8) == 0;
        shmdt(at);
        if (is_account && shmctl(id, IPC_STAT, &segment) == 0 && segment.shm_nattch == 0)
            shmctl(id, IPC_RMID, NULL);
    }
}

static UNUSED int remove_scratch_and_segments(void **state)
{
    remove_idle_segments();
    return remove_scratch(state);
}

#endif
