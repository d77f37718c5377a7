/* Every error code of the runtime: ERROR(symbol, value, text). Codes and names are those of "CUDA
 * Runtime API", section "Data types used by CUDA Runtime". The texts that programs are known to
 * compare with are the real ones; the rest say the same in our own words. */
#ifndef SIMGPU_CUDART_ERROR_TABLE_H
#define SIMGPU_CUDART_ERROR_TABLE_H

#define ERROR_TABLE(ERROR)                                                                         \
    ERROR(cudaSuccess, 0, "no error")                                                              \
    ERROR(cudaErrorInvalidValue, 1, "invalid argument")                                            \
    ERROR(cudaErrorMemoryAllocation, 2, "out of memory")                                           \
    ERROR(cudaErrorInitializationError, 3, "initialization error")                                 \
    ERROR(cudaErrorCudartUnloading, 4, "driver shutting down")                                     \
    ERROR(cudaErrorProfilerDisabled, 5, "profiler disabled")                                       \
    ERROR(cudaErrorProfilerNotInitialized, 6, "profiler not initialized")                          \
    ERROR(cudaErrorProfilerAlreadyStarted, 7, "profiler already started")                          \
    ERROR(cudaErrorProfilerAlreadyStopped, 8, "profiler already stopped")                          \
    ERROR(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                      \
    ERROR(cudaErrorInvalidPitchValue, 12, "invalid pitch argument")                                \
    ERROR(cudaErrorInvalidSymbol, 13, "invalid device symbol")                                     \
    ERROR(cudaErrorInvalidHostPointer, 16, "invalid host pointer")                                 \
    ERROR(cudaErrorInvalidDevicePointer, 17, "invalid device pointer")                             \
    ERROR(cudaErrorInvalidTexture, 18, "invalid texture reference")                                \
    ERROR(cudaErrorInvalidTextureBinding, 19, "invalid texture binding")                           \
    ERROR(cudaErrorInvalidChannelDescriptor, 20, "invalid channel descriptor")                     \
    ERROR(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                \
    ERROR(cudaErrorAddressOfConstant, 22, "address of a constant taken")                           \
    ERROR(cudaErrorTextureFetchFailed, 23, "texture fetch failed")                                 \
    ERROR(cudaErrorTextureNotBound, 24, "texture not bound")                                       \
    ERROR(cudaErrorSynchronizationError, 25, "synchronization error")                              \
    ERROR(cudaErrorInvalidFilterSetting, 26, "invalid filter setting")                             \
    ERROR(cudaErrorInvalidNormSetting, 27, "invalid normalization setting")                        \
    ERROR(cudaErrorMixedDeviceExecution, 28, "mixed device and emulated execution")                \
    ERROR(cudaErrorNotYetImplemented, 31, "not yet implemented")                                   \
    ERROR(cudaErrorMemoryValueTooLarge, 32, "memory value too large")                              \
    ERROR(cudaErrorStubLibrary, 34, "CUDA driver is a stub library")                               \
    ERROR(cudaErrorInsufficientDriver, 35,                                                         \
          "CUDA driver version is insufficient for CUDA runtime version")                          \
    ERROR(cudaErrorCallRequiresNewerDriver, 36,                                                    \
          "API call is not supported in the installed CUDA driver")                                \
    ERROR(cudaErrorInvalidSurface, 37, "invalid surface reference")                                \
    ERROR(cudaErrorDuplicateVariableName, 43, "duplicate variable name")                           \
    ERROR(cudaErrorDuplicateTextureName, 44, "duplicate texture name")                             \
    ERROR(cudaErrorDuplicateSurfaceName, 45, "duplicate surface name")                             \
    ERROR(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")    \
    ERROR(cudaErrorIncompatibleDriverContext, 49, "incompatible driver context")                   \
    ERROR(cudaErrorMissingConfiguration, 52, "kernel launch without a configuration")              \
    ERROR(cudaErrorPriorLaunchFailure, 53, "an earlier launch failed")                             \
    ERROR(cudaErrorLaunchMaxDepthExceeded, 65, "nested launches too deep")                         \
    ERROR(cudaErrorLaunchFileScopedTex, 66, "kernel uses file-scoped textures")                    \
    ERROR(cudaErrorLaunchFileScopedSurf, 67, "kernel uses file-scoped surfaces")                   \
    ERROR(cudaErrorSyncDepthExceeded, 68, "device synchronization too deep")                       \
    ERROR(cudaErrorLaunchPendingCountExceeded, 69, "too many pending launches")                    \
    ERROR(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                           \
    ERROR(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                            \
    ERROR(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                   \
    ERROR(cudaErrorDeviceNotLicensed, 102, "device not licensed")                                  \
    ERROR(cudaErrorSoftwareValidityNotEstablished, 103, "integrity checks failed")                 \
    ERROR(cudaErrorStartupFailure, 127, "runtime failed to start")                                 \
    ERROR(cudaErrorInvalidKernelImage, 200, "device kernel image is invalid")                      \
    ERROR(cudaErrorDeviceUninitialized, 201, "invalid device context")                             \
    ERROR(cudaErrorMapBufferObjectFailed, 205, "mapping of buffer object failed")                  \
    ERROR(cudaErrorUnmapBufferObjectFailed, 206, "unmapping of buffer object failed")              \
    ERROR(cudaErrorArrayIsMapped, 207, "array is mapped")                                          \
    ERROR(cudaErrorAlreadyMapped, 208, "resource already mapped")                                  \
    ERROR(cudaErrorNoKernelImageForDevice, 209,                                                    \
          "no kernel image is available for execution on the device")                              \
    ERROR(cudaErrorAlreadyAcquired, 210, "resource already acquired")                              \
    ERROR(cudaErrorNotMapped, 211, "resource not mapped")                                          \
    ERROR(cudaErrorNotMappedAsArray, 212, "resource not mapped as array")                          \
    ERROR(cudaErrorNotMappedAsPointer, 213, "resource not mapped as pointer")                      \
    ERROR(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                   \
    ERROR(cudaErrorUnsupportedLimit, 215, "limit is not supported on this architecture")           \
    ERROR(cudaErrorDeviceAlreadyInUse, 216, "device already in use by another thread")             \
    ERROR(cudaErrorPeerAccessUnsupported, 217,                                                     \
          "peer access is not supported between these two devices")                                \
    ERROR(cudaErrorInvalidPtx, 218, "a PTX JIT compilation failed")                                \
    ERROR(cudaErrorInvalidGraphicsContext, 219, "invalid graphics context")                        \
    ERROR(cudaErrorNvlinkUncorrectable, 220, "uncorrectable NVLink error")                         \
    ERROR(cudaErrorJitCompilerNotFound, 221, "PTX JIT compiler library not found")                 \
    ERROR(cudaErrorUnsupportedPtxVersion, 222,                                                     \
          "the provided PTX was compiled with an unsupported toolchain.")                          \
    ERROR(cudaErrorJitCompilationDisabled, 223, "PTX JIT compilation was disabled")                \
    ERROR(cudaErrorUnsupportedExecAffinity, 224, "execution affinity not supported")               \
    ERROR(cudaErrorUnsupportedDevSideSync, 225, "device-side synchronization not supported")       \
    ERROR(cudaErrorContained, 226, "contained hardware error")                                     \
    ERROR(cudaErrorInvalidSource, 300, "device kernel image is invalid")                           \
    ERROR(cudaErrorFileNotFound, 301, "file not found")                                            \
    ERROR(cudaErrorSharedObjectSymbolNotFound, 302, "shared object symbol not found")              \
    ERROR(cudaErrorSharedObjectInitFailed, 303, "shared object initialization failed")             \
    ERROR(cudaErrorOperatingSystem, 304, "OS call failed or operation not supported on this OS")   \
    ERROR(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                          \
    ERROR(cudaErrorIllegalState, 401, "the operation cannot be performed in the present state")    \
    ERROR(cudaErrorLossyQuery, 402, "query would lose information")                                \
    ERROR(cudaErrorSymbolNotFound, 500, "named symbol not found")                                  \
    ERROR(cudaErrorNotReady, 600, "device not ready")                                              \
    ERROR(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                \
    ERROR(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")           \
    ERROR(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                  \
    ERROR(cudaErrorLaunchIncompatibleTexturing, 703, "launch uses incompatible texturing mode")    \
    ERROR(cudaErrorPeerAccessAlreadyEnabled, 704, "peer access is already enabled")                \
    ERROR(cudaErrorPeerAccessNotEnabled, 705, "peer access has not been enabled")                  \
    ERROR(cudaErrorSetOnActiveProcess, 708, "cannot set while device is active in this process")   \
    ERROR(cudaErrorContextIsDestroyed, 709, "context is destroyed")                                \
    ERROR(cudaErrorAssert, 710, "device-side assert triggered")                                    \
    ERROR(cudaErrorTooManyPeers, 711, "peer mapping resources exhausted")                          \
    ERROR(cudaErrorHostMemoryAlreadyRegistered, 712,                                               \
          "part or all of the requested memory range is already mapped")                           \
    ERROR(cudaErrorHostMemoryNotRegistered, 713,                                                   \
          "pointer does not correspond to a registered memory region")                             \
    ERROR(cudaErrorHardwareStackError, 714, "hardware stack error")                                \
    ERROR(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered")              \
    ERROR(cudaErrorMisalignedAddress, 716, "misaligned address")                                   \
    ERROR(cudaErrorInvalidAddressSpace, 717,                                                       \
          "operation not supported on global/shared address space")                                \
    ERROR(cudaErrorInvalidPc, 718, "invalid program counter")                                      \
    ERROR(cudaErrorLaunchFailure, 719, "unspecified launch failure")                               \
    ERROR(cudaErrorCooperativeLaunchTooLarge, 720, "too many blocks in cooperative launch")        \
    ERROR(cudaErrorTensorMemoryLeak, 721, "tensor memory not freed")                               \
    ERROR(cudaErrorNotPermitted, 800, "operation not permitted")                                   \
    ERROR(cudaErrorNotSupported, 801, "operation not supported")                                   \
    ERROR(cudaErrorSystemNotReady, 802, "system not yet initialized")                              \
    ERROR(cudaErrorSystemDriverMismatch, 803,                                                      \
          "system has unsupported display driver / cuda driver combination")                       \
    ERROR(cudaErrorCompatNotSupportedOnDevice, 804,                                                \
          "forward compatibility was attempted on non supported HW")                               \
    ERROR(cudaErrorMpsConnectionFailed, 805, "no connection to the MPS control daemon or server")  \
    ERROR(cudaErrorMpsRpcFailure, 806, "call between MPS client and server failed")                \
    ERROR(cudaErrorMpsServerNotReady, 807, "MPS server not ready")                                 \
    ERROR(cudaErrorMpsMaxClientsReached, 808, "too many MPS clients")                              \
    ERROR(cudaErrorMpsMaxConnectionsReached, 809, "too many MPS connections")                      \
    ERROR(cudaErrorMpsClientTerminated, 810, "MPS client terminated by the server")                \
    ERROR(cudaErrorCdpNotSupported, 811, "dynamic parallelism not supported here")                 \
    ERROR(cudaErrorCdpVersionMismatch, 812, "dynamic parallelism versions do not match")           \
    ERROR(cudaErrorStreamCaptureUnsupported, 900,                                                  \
          "operation not permitted when stream is capturing")                                      \
    ERROR(cudaErrorStreamCaptureInvalidated, 901,                                                  \
          "operation failed due to a previous error during capture")                               \
    ERROR(cudaErrorStreamCaptureMerge, 902, "operation would merge two captures")                  \
    ERROR(cudaErrorStreamCaptureUnmatched, 903, "capture was begun in another stream")             \
    ERROR(cudaErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")               \
    ERROR(cudaErrorStreamCaptureIsolation, 905,                                                    \
          "dependency created on uncaptured work in another stream")                               \
    ERROR(cudaErrorStreamCaptureImplicit, 906,                                                     \
          "operation would make the legacy stream depend on a capturing blocking stream")          \
    ERROR(cudaErrorCapturedEvent, 907,                                                             \
          "operation not permitted on an event last recorded in a capturing stream")               \
    ERROR(cudaErrorStreamCaptureWrongThread, 908, "capture belongs to another thread")             \
    ERROR(cudaErrorTimeout, 909, "wait operation timed out")                                       \
    ERROR(cudaErrorGraphExecUpdateFailure, 910, "graph update not possible")                       \
    ERROR(cudaErrorExternalDevice, 911, "error in a device outside of CUDA")                       \
    ERROR(cudaErrorInvalidClusterSize, 912, "invalid cluster size")                                \
    ERROR(cudaErrorFunctionNotLoaded, 913, "function not loaded")                                  \
    ERROR(cudaErrorInvalidResourceType, 914, "invalid resource type")                              \
    ERROR(cudaErrorInvalidResourceConfiguration, 915, "invalid resource configuration")            \
    ERROR(cudaErrorUnknown, 999, "unknown error")                                                  \
    ERROR(cudaErrorApiFailureBase, 10000, "API failure base")

#endif
