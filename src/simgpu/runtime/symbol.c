/* Device variables by the address of their host side. */
#include <stdbool.h>

#include "code.h"
#include "cudart_errors.h"
#include "runtime.h"

RT_API cudaError_t cudaGetSymbolAddress(void **ptr, const void *symbol)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = rt_variable_of(symbol, &address, NULL);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

RT_API cudaError_t cudaGetSymbolSize(size_t *bytes, const void *symbol)
{
    cudaError_t err = bytes ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : rt_variable_of(symbol, NULL, bytes));
}

/* The place `offset` bytes into a variable that has room for `bytes` there. */
static cudaError_t symbol_address(const void *symbol, size_t offset, size_t bytes, void **place)
{
    devptr address = 0;
    size_t size = 0;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_variable_of(symbol, &address, &size);
    if (err == cudaSuccess && (offset > size || bytes > size - offset))
        err = cudaErrorInvalidValue;
    if (err == cudaSuccess)
        *place = rt_pointer(address + offset);
    return rt_done(err);
}

static bool goes_to_device(int kind)
{
    return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ||
           kind == cudaMemcpyDefault;
}

static bool comes_from_device(int kind)
{
    return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ||
           kind == cudaMemcpyDefault;
}

static cudaError_t to_symbol(enum default_stream mode, const void *symbol, const void *src,
                             size_t bytes, size_t offset, int kind)
{
    void *dst = NULL;
    cudaError_t err = goes_to_device(kind) ? cudaSuccess : cudaErrorInvalidMemcpyDirection;
    if (err == cudaSuccess)
        err = symbol_address(symbol, offset, bytes, &dst);
    return rt_done(err ? err : rt_copy(mode, dst, src, bytes, kind));
}

static cudaError_t to_symbol_async(enum default_stream mode, const void *symbol, const void *src,
                                   size_t bytes, size_t offset, int kind, cudaStream_t stream)
{
    void *dst = NULL;
    cudaError_t err = goes_to_device(kind) ? cudaSuccess : cudaErrorInvalidMemcpyDirection;
    if (err == cudaSuccess)
        err = symbol_address(symbol, offset, bytes, &dst);
    return rt_done(err ? err : rt_copy_async(mode, dst, src, bytes, kind, stream));
}

static cudaError_t from_symbol(enum default_stream mode, void *dst, const void *symbol,
                               size_t bytes, size_t offset, int kind)
{
    void *src = NULL;
    cudaError_t err = comes_from_device(kind) ? cudaSuccess : cudaErrorInvalidMemcpyDirection;
    if (err == cudaSuccess)
        err = symbol_address(symbol, offset, bytes, &src);
    return rt_done(err ? err : rt_copy(mode, dst, src, bytes, kind));
}

static cudaError_t from_symbol_async(enum default_stream mode, void *dst, const void *symbol,
                                     size_t bytes, size_t offset, int kind, cudaStream_t stream)
{
    void *src = NULL;
    cudaError_t err = comes_from_device(kind) ? cudaSuccess : cudaErrorInvalidMemcpyDirection;
    if (err == cudaSuccess)
        err = symbol_address(symbol, offset, bytes, &src);
    return rt_done(err ? err : rt_copy_async(mode, dst, src, bytes, kind, stream));
}

RT_PTDS(cudaMemcpyToSymbol, to_symbol,
        (const void *symbol, const void *src, size_t bytes, size_t offset, int kind), symbol, src,
        bytes, offset, kind)
RT_PTSZ(cudaMemcpyToSymbolAsync, to_symbol_async,
        (const void *symbol, const void *src, size_t bytes, size_t offset, int kind,
         cudaStream_t stream),
        symbol, src, bytes, offset, kind, stream)
RT_PTDS(cudaMemcpyFromSymbol, from_symbol,
        (void *dst, const void *symbol, size_t bytes, size_t offset, int kind), dst, symbol, bytes,
        offset, kind)
RT_PTSZ(cudaMemcpyFromSymbolAsync, from_symbol_async,
        (void *dst, const void *symbol, size_t bytes, size_t offset, int kind, cudaStream_t stream),
        dst, symbol, bytes, offset, kind, stream)
