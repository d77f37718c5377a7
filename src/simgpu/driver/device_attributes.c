#include "device_attributes.h"

/* Indexed by CUdevice_attribute; what is not listed is 0, "no" or "none". */
static const int values[ATTRIBUTE_LAST + 1] = {
    [1] = MAX_THREADS_PER_BLOCK,
    [2] = 1024, /* block x, y, z */
    [3] = 1024,
    [4] = 64,
    [5] = 2147483647, /* grid x, y, z */
    [6] = 65535,
    [7] = 65535,
    [8] = MAX_SHARED_PER_BLOCK,
    [9] = 65536, /* constant memory */
    [10] = WARP_THREADS,
    [11] = MAX_PITCH_BYTES,
    [12] = 65536,   /* registers per block */
    [13] = 1410000, /* clock, kHz */
    [14] = 512,     /* texture alignment */
    [15] = 1,       /* copy and kernel overlap */
    [16] = MULTIPROCESSORS,
    [19] = 1,      /* can map host memory */
    [21] = 131072, /* texture extents */
    [22] = 131072,
    [23] = 65536,
    [24] = 16384,
    [25] = 16384,
    [26] = 16384,
    [27] = 32768,
    [28] = 32768,
    [29] = 2048,
    [30] = 512,      /* surface alignment */
    [31] = 1,        /* concurrent kernels */
    [32] = 1,        /* ECC */
    [36] = 1215000,  /* memory clock, kHz */
    [37] = 5120,     /* bus width, bits */
    [38] = 40 << 20, /* L2 cache */
    [39] = MAX_THREADS_PER_SM,
    [40] = 3, /* copy engines */
    [41] = 1, /* unified addressing */
    [42] = 32768,
    [43] = 2048,
    [44] = 1,
    [45] = 32768,
    [46] = 32768,
    [47] = 8192,
    [48] = 8192,
    [49] = 32768,
    [51] = 32, /* texture pitch alignment */
    [52] = 32768,
    [53] = 32768,
    [54] = 2046,
    [55] = 32768, /* surface extents */
    [56] = 131072,
    [57] = 65536,
    [58] = 16384,
    [59] = 16384,
    [60] = 16384,
    [61] = 32768,
    [62] = 2048,
    [63] = 32768,
    [64] = 32768,
    [65] = 2048,
    [66] = 32768,
    [67] = 32768,
    [68] = 2046,
    [69] = 268435456,
    [70] = 131072,
    [71] = 65000,
    [72] = 2097120,
    [73] = 32768,
    [74] = 32768,
    [75] = 8, /* compute capability */
    [76] = 0,
    [77] = 32768,
    [78] = 1, /* stream priorities */
    [79] = 1, /* L1 caches */
    [80] = 1,
    [81] = MAX_SHARED_PER_SM,
    [82] = 65536, /* registers per multiprocessor */
    [83] = 1,     /* managed memory */
    [87] = 2,     /* single to double precision ratio */
    [89] = 1,     /* concurrent managed access */
    [90] = 1,     /* compute preemption */
    [91] = 1,     /* registered host memory has the same pointer */
    [95] = 1,     /* cooperative launch */
    [97] = MAX_SHARED_PER_BLOCK_OPT_IN,
    [98] = 1,  /* flush remote writes */
    [99] = 1,  /* host registration */
    [102] = 1, /* virtual memory management */
    [103] = 1, /* POSIX file descriptor handles */
    [106] = MAX_BLOCKS_PER_SM,
    [108] = 30 << 20,  /* persisting L2 */
    [109] = 134213632, /* access policy window */
    [111] = 1024,      /* shared memory the system reserves */
    [113] = 1,         /* read-only host registration */
    [115] = 1,         /* memory pools */
    [126] = 1,         /* memory synchronisation domains */
    [129] = 1,         /* unified function pointers */
    [131] = -1,        /* NUMA id: the device memory is no NUMA node */
    [139] = 0,         /* no PCI device and subsystem id that any vendor owns */
    [140] = 0,
    [141] = 1, /* host NUMA virtual memory */
    [145] = 1, /* host virtual memory */
};

int device_pci_bus(int device)
{
    return device + 1;
}

CUresult device_attribute(int device, CUdevice_attribute attribute, int *value)
{
    if (attribute < 1 || attribute > ATTRIBUTE_LAST)
        return CUDA_ERROR_INVALID_VALUE;
    if (attribute == ATTRIBUTE_PCI_BUS)
        *value = device_pci_bus(device);
    else if (attribute == ATTRIBUTE_BOARD_GROUP)
        *value = device;
    else
        *value = values[attribute];
    return CUDA_SUCCESS;
}
