/* The CUDA driver types and values that the simulation needs beyond src/driver/cuda_abi.h, declared
 * by hand: nothing here needs a toolkit. Layouts and values are those of cuda.h 12 and 13 ("CUDA
 * Driver API", section "Data types used by CUDA driver").
 *
 * Enumerations are ints. Values are macros, not enumerators, so that a name which src/driver also
 * declares is no redefinition. */
#ifndef SIMGPU_ABI_H
#define SIMGPU_ABI_H

#include "driver/cuda_abi.h"

typedef struct CUevent_st *CUevent;
typedef struct CUkern_st *CUkernel;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUlinkState_st *CUlinkState;
typedef struct CUuserObject_st *CUuserObject;
typedef struct CUgreenCtx_st *CUgreenCtx;
typedef struct CUextMemory_st *CUexternalMemory;
typedef uint32_t cuuint32_t;

typedef int CUdevice_attribute, CUdevice_P2PAttribute, CUlimit, CUfunc_cache, CUsharedconfig;
typedef int CUexecAffinityType, CUarray_format, CUmemorytype, CUpointer_attribute, CUmem_advise;
typedef int CUmem_range_attribute, CUfunction_attribute, CUfunctionLoadingState, CUjit_option;
typedef int CUlibraryOption, CUjitInputType, CUmoduleLoadingMode, CUstreamCaptureMode;
typedef int CUstreamCaptureStatus, CUstreamAttrID, CUmemAllocationHandleType, CUmemLocationType;
typedef int CUmemAllocationType, CUmemAccess_flags, CUmemPool_attribute, CUgraphMem_attribute;
typedef int CUmemAllocationGranularity_flags, CUgraphNodeType, CUgraphExecUpdateResult;
typedef int CUflushGPUDirectRDMAWritesTarget, CUflushGPUDirectRDMAWritesScope;

typedef void (*CUhostFn)(void *user_data);
typedef void (*CUstreamCallback)(CUstream stream, CUresult status, void *user_data);
typedef size_t (*CUoccupancyB2DSize)(int block_size);

#define CU_STREAM_LEGACY     ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)

/* Error codes beyond those of cuda_abi.h; driver/error_names.c knows them all. */
#define CUDA_ERROR_INVALID_IMAGE                  200
#define CUDA_ERROR_CONTEXT_ALREADY_CURRENT        202
#define CUDA_ERROR_UNSUPPORTED_LIMIT              215
#define CUDA_ERROR_PEER_ACCESS_UNSUPPORTED        217
#define CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY      224
#define CUDA_ERROR_FILE_NOT_FOUND                 301
#define CUDA_ERROR_OPERATING_SYSTEM               304
#define CUDA_ERROR_INVALID_HANDLE                 400
#define CUDA_ERROR_ILLEGAL_STATE                  401
#define CUDA_ERROR_NOT_READY                      600
#define CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED    704
#define CUDA_ERROR_PEER_ACCESS_NOT_ENABLED        705
#define CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE         708
#define CUDA_ERROR_CONTEXT_IS_DESTROYED           709
#define CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED 712
#define CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED     713
#define CUDA_ERROR_NOT_PERMITTED                  800
#define CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED     900
#define CUDA_ERROR_STREAM_CAPTURE_INVALIDATED     901
#define CUDA_ERROR_STREAM_CAPTURE_MERGE           902
#define CUDA_ERROR_STREAM_CAPTURE_UNMATCHED       903
#define CUDA_ERROR_STREAM_CAPTURE_UNJOINED        904
#define CUDA_ERROR_STREAM_CAPTURE_ISOLATION       905
#define CUDA_ERROR_STREAM_CAPTURE_IMPLICIT        906
#define CUDA_ERROR_CAPTURED_EVENT                 907
#define CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD    908
#define CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE      910
#define CUDA_ERROR_UNKNOWN                        999

#define CU_GET_PROC_ADDRESS_LEGACY_STREAM          1
#define CU_GET_PROC_ADDRESS_SUCCESS                0
#define CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND       1
#define CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT 2

#define CU_CTX_SCHED_MASK 0x07
#define CU_CTX_MAP_HOST   0x08
#define CU_CTX_FLAGS_MASK 0xFF

#define CU_LIMIT_STACK_SIZE                       0
#define CU_LIMIT_PRINTF_FIFO_SIZE                 1
#define CU_LIMIT_MALLOC_HEAP_SIZE                 2
#define CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH           3
#define CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT 4
#define CU_LIMIT_MAX_L2_FETCH_GRANULARITY         5
#define CU_LIMIT_PERSISTING_L2_CACHE_SIZE         6

#define CU_STREAM_NON_BLOCKING 0x1

#define CU_EVENT_BLOCKING_SYNC  0x1
#define CU_EVENT_DISABLE_TIMING 0x2
#define CU_EVENT_INTERPROCESS   0x4

#define CU_MEMHOSTALLOC_PORTABLE      0x01
#define CU_MEMHOSTALLOC_DEVICEMAP     0x02
#define CU_MEMHOSTALLOC_WRITECOMBINED 0x04
#define CU_MEMHOSTREGISTER_PORTABLE   0x01
#define CU_MEMHOSTREGISTER_DEVICEMAP  0x02
#define CU_MEMHOSTREGISTER_IOMEMORY   0x04
#define CU_MEMHOSTREGISTER_READ_ONLY  0x08

#define CU_MEM_ATTACH_GLOBAL 0x1
#define CU_MEM_ATTACH_HOST   0x2
#define CU_MEM_ATTACH_SINGLE 0x4

#define CU_MEMORYTYPE_HOST    1
#define CU_MEMORYTYPE_DEVICE  2
#define CU_MEMORYTYPE_ARRAY   3
#define CU_MEMORYTYPE_UNIFIED 4

#define CU_POINTER_ATTRIBUTE_CONTEXT                    1
#define CU_POINTER_ATTRIBUTE_MEMORY_TYPE                2
#define CU_POINTER_ATTRIBUTE_DEVICE_POINTER             3
#define CU_POINTER_ATTRIBUTE_HOST_POINTER               4
#define CU_POINTER_ATTRIBUTE_P2P_TOKENS                 5
#define CU_POINTER_ATTRIBUTE_SYNC_MEMOPS                6
#define CU_POINTER_ATTRIBUTE_BUFFER_ID                  7
#define CU_POINTER_ATTRIBUTE_IS_MANAGED                 8
#define CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL             9
#define CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE 10
#define CU_POINTER_ATTRIBUTE_RANGE_START_ADDR           11
#define CU_POINTER_ATTRIBUTE_RANGE_SIZE                 12
#define CU_POINTER_ATTRIBUTE_MAPPED                     13
#define CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES       14
#define CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE 15
#define CU_POINTER_ATTRIBUTE_ACCESS_FLAGS               16
#define CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE             17
#define CU_POINTER_ATTRIBUTE_MAPPING_SIZE               18
#define CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR          19
#define CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID            20
#define CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE   21

#define CU_GRAPH_NODE_TYPE_KERNEL       0
#define CU_GRAPH_NODE_TYPE_MEMCPY       1
#define CU_GRAPH_NODE_TYPE_MEMSET       2
#define CU_GRAPH_NODE_TYPE_HOST         3
#define CU_GRAPH_NODE_TYPE_GRAPH        4
#define CU_GRAPH_NODE_TYPE_EMPTY        5
#define CU_GRAPH_NODE_TYPE_WAIT_EVENT   6
#define CU_GRAPH_NODE_TYPE_EVENT_RECORD 7
#define CU_GRAPH_NODE_TYPE_MEM_ALLOC    10
#define CU_GRAPH_NODE_TYPE_MEM_FREE     11

#define CU_MEM_ADVISE_SET_READ_MOSTLY          1
#define CU_MEM_ADVISE_UNSET_READ_MOSTLY        2
#define CU_MEM_ADVISE_SET_PREFERRED_LOCATION   3
#define CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION 4
#define CU_MEM_ADVISE_SET_ACCESSED_BY          5
#define CU_MEM_ADVISE_UNSET_ACCESSED_BY        6

#define CU_MEM_LOCATION_TYPE_HOST              2
#define CU_MEM_LOCATION_TYPE_HOST_NUMA         3
#define CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT 4

#define CU_DEVICE_CPU ((CUdevice)-1)

typedef struct CUmemAccessDesc_st {
    CUmemLocation location;
    CUmemAccess_flags flags;
} CUmemAccessDesc;

typedef struct CUmemPoolPtrExportData_st {
    unsigned char reserved[64];
} CUmemPoolPtrExportData;

typedef struct CUipcEventHandle_st {
    char reserved[64];
} CUipcEventHandle;

typedef struct CUdevprop_st {
    int maxThreadsPerBlock;
    int maxThreadsDim[3];
    int maxGridSize[3];
    int sharedMemPerBlock;
    int totalConstantMemory;
    int SIMDWidth;
    int memPitch;
    int regsPerBlock;
    int clockRate;
    int textureAlign;
} CUdevprop;

typedef struct CUexecAffinityParam_st {
    CUexecAffinityType type;
    unsigned int sm_count;
} CUexecAffinityParam;

typedef struct CUctxCreateParams_st {
    CUexecAffinityParam *execAffinityParams;
    int numExecAffinityParams;
    void *cigParams;
} CUctxCreateParams;

typedef struct CUlaunchConfig_st {
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    CUstream hStream;
    void *attrs;
    unsigned int numAttrs;
} CUlaunchConfig;

typedef union CUstreamAttrValue_union {
    char pad[64];
    int syncPolicy;
    int priority;
    void *alignment;
} CUstreamAttrValue;

typedef struct CUgraphEdgeData_st {
    unsigned char from_port, to_port, type, reserved[5];
} CUgraphEdgeData;

/* Before CUDA 3.2 sizes, pitches and device addresses had 32 bits. */
typedef struct CUDA_MEMCPY2D_v1_st {
    unsigned int srcXInBytes, srcY;
    CUmemorytype srcMemoryType;
    const void *srcHost;
    CUdeviceptr_v1 srcDevice;
    CUarray srcArray;
    unsigned int srcPitch;
    unsigned int dstXInBytes, dstY;
    CUmemorytype dstMemoryType;
    void *dstHost;
    CUdeviceptr_v1 dstDevice;
    CUarray dstArray;
    unsigned int dstPitch;
    unsigned int WidthInBytes, Height;
} CUDA_MEMCPY2D_v1;

typedef struct CUDA_MEMCPY2D_st {
    size_t srcXInBytes, srcY;
    CUmemorytype srcMemoryType;
    const void *srcHost;
    CUdeviceptr srcDevice;
    CUarray srcArray;
    size_t srcPitch;
    size_t dstXInBytes, dstY;
    CUmemorytype dstMemoryType;
    void *dstHost;
    CUdeviceptr dstDevice;
    CUarray dstArray;
    size_t dstPitch;
    size_t WidthInBytes, Height;
} CUDA_MEMCPY2D;

typedef struct CUDA_MEMCPY3D_v1_st {
    unsigned int srcXInBytes, srcY, srcZ, srcLOD;
    CUmemorytype srcMemoryType;
    const void *srcHost;
    CUdeviceptr_v1 srcDevice;
    CUarray srcArray;
    void *reserved0;
    unsigned int srcPitch, srcHeight;
    unsigned int dstXInBytes, dstY, dstZ, dstLOD;
    CUmemorytype dstMemoryType;
    void *dstHost;
    CUdeviceptr_v1 dstDevice;
    CUarray dstArray;
    void *reserved1;
    unsigned int dstPitch, dstHeight;
    unsigned int WidthInBytes, Height, Depth;
} CUDA_MEMCPY3D_v1;

typedef struct CUDA_MEMCPY3D_st {
    size_t srcXInBytes, srcY, srcZ, srcLOD;
    CUmemorytype srcMemoryType;
    const void *srcHost;
    CUdeviceptr srcDevice;
    CUarray srcArray;
    void *reserved0;
    size_t srcPitch, srcHeight;
    size_t dstXInBytes, dstY, dstZ, dstLOD;
    CUmemorytype dstMemoryType;
    void *dstHost;
    CUdeviceptr dstDevice;
    CUarray dstArray;
    void *reserved1;
    size_t dstPitch, dstHeight;
    size_t WidthInBytes, Height, Depth;
} CUDA_MEMCPY3D;

typedef struct CUDA_MEMCPY3D_PEER_st {
    size_t srcXInBytes, srcY, srcZ, srcLOD;
    CUmemorytype srcMemoryType;
    const void *srcHost;
    CUdeviceptr srcDevice;
    CUarray srcArray;
    CUcontext srcContext;
    size_t srcPitch, srcHeight;
    size_t dstXInBytes, dstY, dstZ, dstLOD;
    CUmemorytype dstMemoryType;
    void *dstHost;
    CUdeviceptr dstDevice;
    CUarray dstArray;
    CUcontext dstContext;
    size_t dstPitch, dstHeight;
    size_t WidthInBytes, Height, Depth;
} CUDA_MEMCPY3D_PEER;

typedef struct CUDA_KERNEL_NODE_PARAMS_v1_st {
    CUfunction func;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    void **kernelParams;
    void **extra;
} CUDA_KERNEL_NODE_PARAMS_v1;

typedef struct CUDA_KERNEL_NODE_PARAMS_v2_st {
    CUfunction func;
    unsigned int gridDimX, gridDimY, gridDimZ;
    unsigned int blockDimX, blockDimY, blockDimZ;
    unsigned int sharedMemBytes;
    void **kernelParams;
    void **extra;
    CUkernel kern;
    CUcontext ctx;
} CUDA_KERNEL_NODE_PARAMS_v2;

typedef struct CUDA_MEMSET_NODE_PARAMS_st {
    CUdeviceptr dst;
    size_t pitch;
    unsigned int value;
    unsigned int elementSize;
    size_t width, height;
} CUDA_MEMSET_NODE_PARAMS;

typedef struct CUDA_HOST_NODE_PARAMS_st {
    CUhostFn fn;
    void *userData;
} CUDA_HOST_NODE_PARAMS;

typedef struct CUDA_MEM_ALLOC_NODE_PARAMS_st {
    CUmemPoolProps poolProps;
    const CUmemAccessDesc *accessDescs;
    size_t accessDescCount;
    size_t bytesize;
    CUdeviceptr dptr;
} CUDA_MEM_ALLOC_NODE_PARAMS;

typedef struct CUDA_GRAPH_INSTANTIATE_PARAMS_st {
    cuuint64_t flags;
    CUstream hUploadStream;
    CUgraphNode hErrNode_out;
    int result_out;
} CUDA_GRAPH_INSTANTIATE_PARAMS;

typedef struct CUgraphExecUpdateResultInfo_st {
    CUgraphExecUpdateResult result;
    CUgraphNode errorNode, errorFromNode;
} CUgraphExecUpdateResultInfo;

/* Of cuGraphAddNode, as far as the node types of the simulation go. */
typedef struct CUgraphNodeParams_st {
    CUgraphNodeType type;
    int reserved0[3];
    union {
        long long reserved1[29];
        CUDA_KERNEL_NODE_PARAMS_v2 kernel;
        struct {
            int flags, reserved;
            CUcontext copyCtx;
            CUDA_MEMCPY3D copyParams;
        } memcpy;
        CUDA_MEMSET_NODE_PARAMS memset; /* and a context, behind it */
        CUDA_HOST_NODE_PARAMS host;
        CUgraph graph;
        CUevent event;
        CUDA_MEM_ALLOC_NODE_PARAMS alloc;
        CUdeviceptr free;
    } params;
    long long reserved2;
} CUgraphNodeParams;

#endif
