/* Driver functions by name, through the runtime: what applications use for the functions that the
 * runtime has no equivalent of. */
#include <dlfcn.h>
#include <string.h>

#include "check.h"

static void *exported(const char *name)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    CHECK(library);
    return dlsym(library, name);
}

#if CUDART_MAJOR >= 12
cudaError_t cudaGetDriverEntryPointByVersion_ptsz(const char *symbol, void **fn,
                                                  unsigned int version, unsigned long long flags,
                                                  int *status);

static void *entry(const char *name, unsigned int version, unsigned long long flags)
{
    void *fn = NULL;
    int status = -1;
    OK(cudaGetDriverEntryPointByVersion(name, &fn, version, flags, &status));
    CHECK(status == cudaDriverEntryPointSuccess);
    CHECK(fn != NULL);
    return fn;
}

static void test_versions(void)
{
    CHECK(entry("cuMemAlloc", 3020, cudaEnableDefault) == exported("cuMemAlloc_v2"));
    CHECK(entry("cuMemAlloc", 12000, cudaEnableLegacyStream) == exported("cuMemAlloc_v2"));
    CHECK(entry("cuMemAlloc", 2000, cudaEnableDefault) == exported("cuMemAlloc"));
    CHECK(entry("cuMemAddressReserve", 10020, 0) == exported("cuMemAddressReserve"));
}

/* Default means whatever the caller was compiled for: the entry point says it by its name. */
static void test_default_stream(void)
{
    void *fn = NULL;
    CHECK(entry("cuMemcpyAsync", 12000, cudaEnableDefault) == exported("cuMemcpyAsync"));
    CHECK(entry("cuMemcpyAsync", 12000, cudaEnablePerThreadDefaultStream) ==
          exported("cuMemcpyAsync_ptsz"));
    OK(cudaGetDriverEntryPointByVersion_ptsz("cuMemcpyAsync", &fn, 12000, cudaEnableDefault, NULL));
    CHECK(fn == exported("cuMemcpyAsync_ptsz"));
    OK(cudaGetDriverEntryPointByVersion_ptsz("cuMemcpyAsync", &fn, 12000, cudaEnableLegacyStream,
                                             NULL));
    CHECK(fn == exported("cuMemcpyAsync"));
}

static void test_not_found(void)
{
    void *fn = &fn;
    int status = -1;
    OK(cudaGetDriverEntryPoint("cuNoSuchFunction", &fn, cudaEnableDefault, &status));
    CHECK(fn == NULL && status == cudaDriverEntryPointSymbolNotFound);
    OK(cudaGetDriverEntryPointByVersion("cuMemCreate", &fn, 9000, cudaEnableDefault, &status));
    CHECK(fn == NULL && status == cudaDriverEntryPointVersionNotSufficent);
    FAILS(cudaErrorInvalidValue, cudaGetDriverEntryPoint(NULL, &fn, 0, &status));
    FAILS(cudaErrorInvalidValue, cudaGetDriverEntryPoint("cuInit", NULL, 0, &status));
    FAILS(cudaErrorInvalidValue, cudaGetDriverEntryPoint("cuInit", &fn, 3, &status));
    (void)cudaGetLastError();
}

#else
/* Version 11 answers for its own version, and with nothing but the function. */
cudaError_t cudaGetDriverEntryPoint_ptsz(const char *symbol, void **fn, unsigned long long flags);

static void test_versions(void)
{
    void *fn = NULL;
    OK(cudaGetDriverEntryPoint("cuMemAlloc", &fn, cudaEnableDefault));
    CHECK(fn == exported("cuMemAlloc_v2"));
    OK(cudaGetDriverEntryPoint("cuGetProcAddress", &fn, cudaEnableDefault));
    CHECK(fn == exported("cuGetProcAddress"));
}

static void test_default_stream(void)
{
    void *fn = NULL;
    OK(cudaGetDriverEntryPoint("cuMemcpyAsync", &fn, cudaEnableDefault));
    CHECK(fn == exported("cuMemcpyAsync"));
    OK(cudaGetDriverEntryPoint_ptsz("cuMemcpyAsync", &fn, cudaEnableDefault));
    CHECK(fn == exported("cuMemcpyAsync_ptsz"));
}

static void test_not_found(void)
{
    void *fn = &fn;
    OK(cudaGetDriverEntryPoint("cuNoSuchFunction", &fn, cudaEnableDefault));
    CHECK(fn == NULL);
    FAILS(cudaErrorInvalidValue, cudaGetDriverEntryPoint("cuInit", NULL, 0));
    (void)cudaGetLastError();
}
#endif

int main(void)
{
    OK(cudaFree(NULL));
    test_versions();
    test_default_stream();
    test_not_found();
    return 0;
}
