/* Copies between arrays and runs of bytes ("CUDA Driver API", section "Memory Management"): offsets
 * count the array's bytes row by row. */
#include "array.h"
#include "copy.h"
#include "function_table.h"
#include "object.h"
#include "state.h"
#include "stream.h"

/* The address of the `bytes` at `offset` of an array. */
static CUresult array_address(CUarray handle, size_t offset, size_t bytes, uint64_t *address)
{
    sim_lock_all();
    const struct array *array = OBJECT(OBJECT_ARRAY, handle);
    if (array == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    uint64_t size = array->row_bytes * array->rows * array->slices;
    if (offset > size || bytes > size - offset)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    *address = array->data + offset;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMemcpyDtoA_v2(CUarray to, size_t offset, CUdeviceptr from, size_t bytes)
{
    uint64_t address;
    CUresult result = array_address(to, offset, bytes, &address);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoD_v2(address, from, bytes) : result;
}

CUresult sim_cuMemcpyAtoD_v2(CUdeviceptr to, CUarray from, size_t offset, size_t bytes)
{
    uint64_t address;
    CUresult result = array_address(from, offset, bytes, &address);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoD_v2(to, address, bytes) : result;
}

CUresult sim_cuMemcpyHtoA_v2(CUarray to, size_t offset, const void *from, size_t bytes)
{
    uint64_t address;
    CUresult result = array_address(to, offset, bytes, &address);
    return result == CUDA_SUCCESS ? sim_cuMemcpyHtoD_v2(address, from, bytes) : result;
}

CUresult sim_cuMemcpyAtoH_v2(void *to, CUarray from, size_t offset, size_t bytes)
{
    uint64_t address;
    CUresult result = array_address(from, offset, bytes, &address);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoH_v2(to, address, bytes) : result;
}

CUresult sim_cuMemcpyAtoA_v2(CUarray to, size_t to_offset, CUarray from, size_t from_offset,
                             size_t bytes)
{
    uint64_t target, source;
    CUresult result = array_address(to, to_offset, bytes, &target);
    if (result == CUDA_SUCCESS)
        result = array_address(from, from_offset, bytes, &source);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoD_v2(target, source, bytes) : result;
}

CUresult sim_cuMemcpyHtoAAsync_v2(CUarray to, size_t offset, const void *from, size_t bytes,
                                  CUstream stream)
{
    uint64_t address;
    CUresult result = array_address(to, offset, bytes, &address);
    return result == CUDA_SUCCESS ? sim_cuMemcpyHtoDAsync_v2(address, from, bytes, stream) : result;
}

CUresult sim_cuMemcpyAtoHAsync_v2(void *to, CUarray from, size_t offset, size_t bytes,
                                  CUstream stream)
{
    uint64_t address;
    CUresult result = array_address(from, offset, bytes, &address);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoHAsync_v2(to, address, bytes, stream) : result;
}
