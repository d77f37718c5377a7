/* Graph nodes whose parameters the two APIs describe differently: kernels, copies, sets. */
#include "code.h"
#include "cudart_errors.h"
#include "runtime.h"

/* A kernel is named by its host function here and by a handle there. */
static cudaError_t to_driver_kernel(const struct cudaKernelNodeParams *params,
                                    struct driver_kernel_node *node)
{
    if (!params)
        return cudaErrorInvalidValue;
    *node = (struct driver_kernel_node){
        .gridDimX = params->gridDim.x,
        .gridDimY = params->gridDim.y,
        .gridDimZ = params->gridDim.z,
        .blockDimX = params->blockDim.x,
        .blockDimY = params->blockDim.y,
        .blockDimZ = params->blockDim.z,
        .sharedMemBytes = params->sharedMemBytes,
        .kernelParams = params->kernelParams,
        .extra = params->extra,
    };
    return rt_function_of(params->func, &node->func);
}

static cudaError_t to_driver_set(const struct cudaMemsetParams *params,
                                 struct driver_memset_node *node)
{
    if (!params)
        return cudaErrorInvalidValue;
    *node = (struct driver_memset_node){ rt_devptr(params->dst), params->pitch, params->value,
                                         params->elementSize,    params->width, params->height };
    return cudaSuccess;
}

/* Copy and set nodes run in a context that the runtime does not name: the current one. */
static cudaError_t current_context(CUcontext *context)
{
    cudaError_t err = rt_need_context();
    return err ? err : drv.cuCtxGetCurrent(context);
}

static struct cudaMemcpy3DParms linear_copy(void *dst, const void *src, size_t bytes, int kind)
{
    return (struct cudaMemcpy3DParms){
        .srcPtr = { (void *)(uintptr_t)src, bytes, bytes, 1 },
        .dstPtr = { dst, bytes, bytes, 1 },
        .extent = { bytes, 1, 1 },
        .kind = kind,
    };
}

RT_API cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                          const cudaGraphNode_t *dependencies, size_t count,
                                          const struct cudaKernelNodeParams *params)
{
    struct driver_kernel_node kernel;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = to_driver_kernel(params, &kernel);
    return rt_done(err ? err : drv.cuGraphAddKernelNode(node, graph, dependencies, count, &kernel));
}

RT_API cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node,
                                                const struct cudaKernelNodeParams *params)
{
    struct driver_kernel_node kernel;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = to_driver_kernel(params, &kernel);
    return rt_done(err ? err : drv.cuGraphKernelNodeSetParams(node, &kernel));
}

RT_API cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                    const struct cudaKernelNodeParams *params)
{
    struct driver_kernel_node kernel;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = to_driver_kernel(params, &kernel);
    return rt_done(err ? err : drv.cuGraphExecKernelNodeSetParams(exec, node, &kernel));
}

/* `func` comes back as the driver's function handle, which every call here accepts for a host
 * function. */
RT_API cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node,
                                                struct cudaKernelNodeParams *params)
{
    struct driver_kernel_node kernel;
    cudaError_t err = params ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuGraphKernelNodeGetParams(node, &kernel);
    if (err == cudaSuccess)
        err = rt_remember_function(kernel.func);
    if (err == cudaSuccess)
        *params = (struct cudaKernelNodeParams){
            .func = kernel.func,
            .gridDim = { kernel.gridDimX, kernel.gridDimY, kernel.gridDimZ },
            .blockDim = { kernel.blockDimX, kernel.blockDimY, kernel.blockDimZ },
            .sharedMemBytes = kernel.sharedMemBytes,
            .kernelParams = kernel.kernelParams,
            .extra = kernel.extra,
        };
    return rt_done(err);
}

RT_API cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                          const cudaGraphNode_t *dependencies, size_t count,
                                          const struct cudaMemcpy3DParms *params)
{
    CUcontext context = NULL;
    struct driver_copy_3d copy;
    cudaError_t err = current_context(&context);
    if (err == cudaSuccess)
        err = rt_driver_copy_3d(params, &copy);
    return rt_done(
        err ? err : drv.cuGraphAddMemcpyNode(node, graph, dependencies, count, &copy, context));
}

RT_API cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node,
                                                const struct cudaMemcpy3DParms *params)
{
    struct driver_copy_3d copy;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_driver_copy_3d(params, &copy);
    return rt_done(err ? err : drv.cuGraphMemcpyNodeSetParams(node, &copy));
}

RT_API cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                    const struct cudaMemcpy3DParms *params)
{
    CUcontext context = NULL;
    struct driver_copy_3d copy;
    cudaError_t err = current_context(&context);
    if (err == cudaSuccess)
        err = rt_driver_copy_3d(params, &copy);
    return rt_done(err ? err : drv.cuGraphExecMemcpyNodeSetParams(exec, node, &copy, context));
}

RT_API cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t *node, cudaGraph_t graph,
                                            const cudaGraphNode_t *dependencies, size_t count,
                                            void *dst, const void *src, size_t bytes, int kind)
{
    struct cudaMemcpy3DParms params = linear_copy(dst, src, bytes, kind);
    return cudaGraphAddMemcpyNode(node, graph, dependencies, count, &params);
}

RT_API cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void *dst, const void *src,
                                                  size_t bytes, int kind)
{
    struct cudaMemcpy3DParms params = linear_copy(dst, src, bytes, kind);
    return cudaGraphMemcpyNodeSetParams(node, &params);
}

RT_API cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                      void *dst, const void *src, size_t bytes,
                                                      int kind)
{
    struct cudaMemcpy3DParms params = linear_copy(dst, src, bytes, kind);
    return cudaGraphExecMemcpyNodeSetParams(exec, node, &params);
}

RT_API cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                          const cudaGraphNode_t *dependencies, size_t count,
                                          const struct cudaMemsetParams *params)
{
    CUcontext context = NULL;
    struct driver_memset_node set;
    cudaError_t err = current_context(&context);
    if (err == cudaSuccess)
        err = to_driver_set(params, &set);
    return rt_done(err ? err
                       : drv.cuGraphAddMemsetNode(node, graph, dependencies, count, &set, context));
}

RT_API cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node,
                                                const struct cudaMemsetParams *params)
{
    struct driver_memset_node set;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = to_driver_set(params, &set);
    return rt_done(err ? err : drv.cuGraphMemsetNodeSetParams(node, &set));
}

RT_API cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                    const struct cudaMemsetParams *params)
{
    CUcontext context = NULL;
    struct driver_memset_node set;
    cudaError_t err = current_context(&context);
    if (err == cudaSuccess)
        err = to_driver_set(params, &set);
    return rt_done(err ? err : drv.cuGraphExecMemsetNodeSetParams(exec, node, &set, context));
}

RT_API cudaError_t cudaGraphMemsetNodeGetParams(cudaGraphNode_t node,
                                                struct cudaMemsetParams *params)
{
    struct driver_memset_node set;
    cudaError_t err = params ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuGraphMemsetNodeGetParams(node, &set);
    if (err == cudaSuccess)
        *params = (struct cudaMemsetParams){ rt_pointer(set.dst), set.pitch, set.value,
                                             set.elementSize,     set.width, set.height };
    return rt_done(err);
}
