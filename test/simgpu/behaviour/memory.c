/* cuMemAlloc and its relatives, host and managed memory, copies, pointer queries. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cuda.h"

#define MIB                (1u << 20)
#define CONCURRENT_MANAGED 89
#define READ_MOSTLY        1
#define PREFERRED_LOCATION 2
#define ACCESSED_BY        3
#define DEVICE_INVALID     (-2)

static void check_alloc(void)
{
    CUdeviceptr address = 12345, other = 0;
    size_t before = cuda_free_bytes();
    CHECK("alloc", cuda.alloc(&address, 64 * MIB), CUDA_SUCCESS);
    CHECK("  aligned to 512", address % 512, 0);
    check_between("  takes its size", (long long)(before - cuda_free_bytes()), 64 * MIB, 66 * MIB);
    CHECK("free", cuda.free(address), CUDA_SUCCESS);
    CHECK("  gives it back", cuda_free_bytes(), before);
    CHECK("free twice", cuda.free(address), CUDA_ERROR_INVALID_VALUE);
    CHECK("free NULL", cuda.free(0), CUDA_SUCCESS);
    CHECK("free what was never given", cuda.free(0x7654321000), CUDA_ERROR_INVALID_VALUE);

    address = 12345;
    CHECK("alloc 0 bytes", cuda.alloc(&address, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK("alloc all of the address space", cuda.alloc(&address, SIZE_MAX / 2),
          CUDA_ERROR_OUT_OF_MEMORY);
    CHECK("  leaves the output alone", address, 12345);
    CHECK("alloc without output", cuda.alloc(NULL, MIB), CUDA_ERROR_INVALID_VALUE);

    cuda.alloc(&address, MIB);
    CHECK("free an inner address", cuda.free(address + 512), CUDA_ERROR_INVALID_VALUE);
    CHECK("free the first", cuda.free(address), CUDA_SUCCESS);
    CHECK("alloc 1 byte", cuda.alloc(&address, 1), CUDA_SUCCESS);
    CHECK("alloc 1 byte more", cuda.alloc(&other, 1), CUDA_SUCCESS);
    CHECK_TRUE("  elsewhere", other != address);
    CHECK("  aligned to 256", (address | other) % 256, 0);
    CHECK("free a small one", cuda.free(address), CUDA_SUCCESS);
    CHECK("free it twice", cuda.free(address), CUDA_ERROR_INVALID_VALUE);
    CHECK("free the other", cuda.free(other), CUDA_SUCCESS);
}

/* Small allocations share blocks: a thousand of them take little, and all comes back. */
static void check_small(void)
{
    enum { COUNT = 1000 };
    static CUdeviceptr addresses[COUNT];
    CUdeviceptr keep;
    cuda.alloc(&keep, 64 * MIB); /* a driver may keep a small cache of its own */
    cuda.free(keep);
    size_t before = cuda_free_bytes();
    int failures = 0, unaligned = 0;
    for (int i = 0; i < COUNT; i++) {
        failures += cuda.alloc(&addresses[i], 1000) != CUDA_SUCCESS;
        unaligned += addresses[i] % 256 != 0;
    }
    CHECK("a thousand small allocations", failures, 0);
    CHECK("  all aligned", unaligned, 0);
    check_between("  take little", (long long)(before - cuda_free_bytes()), 0, 6 * MIB);
    for (int i = 0; i < COUNT; i += 2)
        failures += cuda.free(addresses[i]) != CUDA_SUCCESS;
    for (int i = 1; i < COUNT; i += 2)
        failures += cuda.free(addresses[i]) != CUDA_SUCCESS;
    CHECK("  can be freed in any order", failures, 0);
    check_between("  and come back", (long long)(before - cuda_free_bytes()), 0, 2 * MIB);
}

static void check_pitch(void)
{
    CUdeviceptr address = 12345;
    size_t pitch = 12345;
    CHECK("pitch", cuda.alloc_pitch(&address, &pitch, 1000, 10, 4), CUDA_SUCCESS);
    CHECK_TRUE("  wide enough", pitch >= 1000);
    CHECK("  and aligned", pitch % 32, 0);
    CHECK("free", cuda.free(address), CUDA_SUCCESS);
    address = 12345;
    CHECK("bad element size", cuda.alloc_pitch(&address, &pitch, 1000, 10, 3),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("no width", cuda.alloc_pitch(&address, &pitch, 0, 10, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK("no height", cuda.alloc_pitch(&address, &pitch, 10, 0, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK("no output", cuda.alloc_pitch(&address, NULL, 10, 10, 4), CUDA_ERROR_INVALID_VALUE);
    CHECK("  leaves the address alone", address, 12345);
}

static void check_info(void)
{
    size_t free_bytes = 0, total_bytes = 0, device_bytes = 0;
    CHECK("info", cuda.info(&free_bytes, &total_bytes), CUDA_SUCCESS);
    CHECK_TRUE("  free is at most total", free_bytes <= total_bytes);
    cuda.device_total(&device_bytes, 0);
    CHECK("  total is the device's", total_bytes, device_bytes);
}

static void check_address_range(void)
{
    CUdeviceptr address, base = 0;
    size_t bytes = 0;
    cuda.alloc(&address, 3 * MIB);
    CHECK("range", cuda.address_range(&base, &bytes, address + MIB), CUDA_SUCCESS);
    CHECK("  begins where the allocation does", base, address);
    CHECK("  and is as long", bytes, 3 * MIB);
    CHECK("range without outputs", cuda.address_range(NULL, NULL, address), CUDA_SUCCESS);
    cuda.free(address);
    base = 12345;
    CHECK("range of what is freed", cuda.address_range(&base, &bytes, address),
          CUDA_ERROR_NOT_FOUND);
    CHECK("  leaves the output alone", base, 12345);
    cuda.alloc(&address, 5000);
    CHECK("range of a small one", cuda.address_range(&base, &bytes, address + 4999), CUDA_SUCCESS);
    CHECK("  begins where it does", base, address);
    CHECK("  and is as long", bytes, 5000);
    cuda.free(address);
}

static void check_pointers(void)
{
    CUdeviceptr address, value = 0;
    CUcontext context, current;
    int type = 0, managed = -1, ordinal = -1;
    unsigned long long id = 0, other_id = 0;
    size_t bytes = 0;
    cuda.alloc(&address, 4 * MIB);
    cuda.context_get(&current);
    CHECK("memory type", cuda.pointer_attribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address),
          CUDA_SUCCESS);
    CHECK("  is device", type, CU_MEMORYTYPE_DEVICE);
    cuda.pointer_attribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, address);
    CHECK_TRUE("context is the current one", context == current);
    cuda.pointer_attribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address);
    CHECK("ordinal is 0", ordinal, 0);
    cuda.pointer_attribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address);
    CHECK("not managed", managed, 0);
    cuda.pointer_attribute(&value, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, address + MIB);
    CHECK("range start", value, address);
    cuda.pointer_attribute(&bytes, CU_POINTER_ATTRIBUTE_RANGE_SIZE, address + MIB);
    CHECK("range size", bytes, 4 * MIB);
    cuda.pointer_attribute(&value, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, address + 4);
    CHECK("device pointer is itself", value, address + 4);
    cuda.pointer_attribute(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, address);
    cuda.pointer_attribute(&other_id, CU_POINTER_ATTRIBUTE_BUFFER_ID, address + MIB);
    CHECK("buffer id within", other_id, id);
    CHECK("host pointer of device memory",
          cuda.pointer_attribute(&value, CU_POINTER_ATTRIBUTE_HOST_POINTER, address),
          CUDA_ERROR_INVALID_VALUE);
    cuda.free(address);
    cuda.alloc(&address, 4 * MIB);
    cuda.pointer_attribute(&other_id, CU_POINTER_ATTRIBUTE_BUFFER_ID, address);
    CHECK_TRUE("buffer id is never used again", other_id != id);
    cuda.free(address);

    cuda.alloc(&address, 4 * MIB);
    int yes = 1, set = 0;
    CHECK("set synchronous operations",
          cuda.pointer_set(&yes, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, address), CUDA_SUCCESS);
    cuda.pointer_attribute(&set, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, address + MIB);
    CHECK("  they are", set, 1);
    cuda.free(address);
    CHECK("ordinary memory",
          cuda.pointer_attribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)&type),
          CUDA_ERROR_INVALID_VALUE);
    int attributes[] = { CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_CONTEXT };
    void *data[] = { &type, &context };
    type = 99;
    CHECK("attributes of ordinary memory",
          cuda.pointer_attributes(2, attributes, data, (uintptr_t)&type), CUDA_SUCCESS);
    CHECK("  no type", type, 0);
    CHECK_TRUE("  no context", context == NULL);
}

static void check_copies(void)
{
    enum { BYTES = 100000 };
    static unsigned char in[BYTES], out[BYTES];
    CUdeviceptr one, two;
    for (int i = 0; i < BYTES; i++)
        in[i] = (unsigned char)(i * 31 + i / 256);
    cuda.alloc(&one, BYTES);
    cuda.alloc(&two, 2 * MIB);
    CHECK("host to device", cuda.copy_htod(one, in, BYTES), CUDA_SUCCESS);
    CHECK("device to device", cuda.copy_dtod(two + 100, one, BYTES), CUDA_SUCCESS);
    CHECK("device to host", cuda.copy_dtoh(out, two + 100, BYTES), CUDA_SUCCESS);
    CHECK("  the data comes back", memcmp(in, out, BYTES), 0);
    memset(out, 0, BYTES);
    CHECK("copy by address", cuda.copy((uintptr_t)out, one, BYTES), CUDA_SUCCESS);
    CHECK("  the data comes back", memcmp(in, out, BYTES), 0);
    CHECK("copy nothing", cuda.copy_htod(one, in, 0), CUDA_SUCCESS);
    CHECK("copy to nowhere", cuda.copy_htod(0, in, 10), CUDA_ERROR_INVALID_VALUE);

    CHECK("set bytes", cuda.set_d8(one, 0xab, 100), CUDA_SUCCESS);
    CHECK("set shorts", cuda.set_d16(one + 100, 0x1234, 50), CUDA_SUCCESS);
    CHECK("set ints", cuda.set_d32(one + 200, 0xdeadbeef, 25), CUDA_SUCCESS);
    CHECK("set unaligned ints", cuda.set_d32(one + 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
    cuda.copy_dtoh(out, one, 301);
    unsigned short word;
    unsigned int quad;
    memcpy(&word, out + 198, 2);
    memcpy(&quad, out + 296, 4);
    CHECK("  bytes", out[99], 0xab);
    CHECK("  shorts", word, 0x1234);
    CHECK("  ints", quad, 0xdeadbeef);
    CHECK("  and no further", out[300], in[300]);
    cuda.free(one);
    cuda.free(two);
}

static void check_copy_2d(void)
{
    enum { WIDTH = 300, HEIGHT = 20 };
    static unsigned char in[HEIGHT][WIDTH], out[HEIGHT][WIDTH];
    CUdeviceptr address;
    size_t pitch;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            in[y][x] = (unsigned char)(x * 7 + y * 13);
    cuda.alloc_pitch(&address, &pitch, WIDTH, HEIGHT, 4);
    CUDA_MEMCPY2D to = { .srcMemoryType = CU_MEMORYTYPE_HOST,
                         .srcHost = in,
                         .srcPitch = WIDTH,
                         .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                         .dstDevice = address,
                         .dstPitch = pitch,
                         .WidthInBytes = WIDTH,
                         .Height = HEIGHT };
    CHECK("2D to the device", cuda.copy_2d(&to), CUDA_SUCCESS);
    CUDA_MEMCPY2D from = { .srcMemoryType = CU_MEMORYTYPE_DEVICE,
                           .srcDevice = address,
                           .srcPitch = pitch,
                           .srcXInBytes = 100,
                           .srcY = 5,
                           .dstMemoryType = CU_MEMORYTYPE_HOST,
                           .dstHost = out,
                           .dstPitch = WIDTH,
                           .WidthInBytes = 50,
                           .Height = 10 };
    CHECK("2D from the device, a part", cuda.copy_2d(&from), CUDA_SUCCESS);
    int wrong = 0;
    for (int y = 0; y < 10; y++)
        for (int x = 0; x < 50; x++)
            wrong += out[y][x] != in[y + 5][x + 100];
    CHECK("  the part comes back", wrong, 0);
    CHECK("  and nothing else", out[0][50], 0);
    from.srcPitch = 10;
    CHECK("a pitch too small", cuda.copy_2d(&from), CUDA_ERROR_INVALID_VALUE);
    CHECK("set 2D", cuda.set_2d_d8(address, pitch, 7, 10, HEIGHT), CUDA_SUCCESS);
    unsigned char edge[2];
    cuda.copy_dtoh(edge, address + (HEIGHT - 1) * pitch + 9, 2);
    CHECK("  the last of a row", edge[0], 7);
    CHECK("  and no further", edge[1], in[HEIGHT - 1][10]);
    cuda.free(address);
}

static void check_host(void)
{
    void *base = NULL;
    CUdeviceptr device = 0;
    unsigned int flags = 0;
    int type = 0;
    size_t before = cuda_free_bytes();
    CHECK("host alloc", cuda.host_alloc(&base, 16 * MIB, CU_MEMHOSTALLOC_PORTABLE), CUDA_SUCCESS);
    memset(base, 1, 16 * MIB);
    check_between("  takes no device memory to speak of", (long long)(before - cuda_free_bytes()),
                  0, 4 * MIB);
    CHECK("device pointer", cuda.host_pointer(&device, base, 0), CUDA_SUCCESS);
    CHECK("flags", cuda.host_flags(&flags, base), CUDA_SUCCESS);
    CHECK("  as given", flags & CU_MEMHOSTALLOC_PORTABLE, CU_MEMHOSTALLOC_PORTABLE);
    CHECK("type", cuda.pointer_attribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)base),
          CUDA_SUCCESS);
    CHECK("  is host", type, CU_MEMORYTYPE_HOST);
    CHECK("cuMemFree on host memory", cuda.free((uintptr_t)base), CUDA_ERROR_INVALID_VALUE);
    CHECK("host free", cuda.host_free(base), CUDA_SUCCESS);
    CHECK("host free twice", cuda.host_free(base), CUDA_ERROR_INVALID_VALUE);
    CHECK("host alloc of nothing", cuda.host_alloc(&base, 0, 0), CUDA_ERROR_INVALID_VALUE);

    void *own = aligned_alloc(4096, 64 * 1024);
    CHECK("register", cuda.host_register(own, 64 * 1024, 0), CUDA_SUCCESS);
    CHECK("register again", cuda.host_register(own, 64 * 1024, 0),
          CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    CHECK("host free of registered memory", cuda.host_free(own), CUDA_ERROR_INVALID_VALUE);
    CHECK("unregister", cuda.host_unregister(own), CUDA_SUCCESS);
    CHECK("unregister again", cuda.host_unregister(own), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    free(own);
}

static void check_managed(void)
{
    CUdeviceptr address = 0;
    int managed = 0;
    CHECK("managed", cuda.alloc_managed(&address, 4 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    cuda.pointer_attribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address);
    CHECK("  is managed", managed, 1);
    memset((void *)(uintptr_t)address, 42, 1000);
    unsigned char byte = 0;
    cuda.copy_dtoh(&byte, address + 999, 1);
    CHECK("  is written by the host and read by the driver", byte, 42);
    int concurrent = 0, answer = 99;
    cuda.device_attribute(&concurrent, CONCURRENT_MANAGED, 0);
    CHECK("advise", cuda.advise(address, 4 * MIB, CU_MEM_ADVISE_SET_READ_MOSTLY, 0), CUDA_SUCCESS);
    CHECK("what was advised",
          cuda.range_attribute(&answer, sizeof(answer), READ_MOSTLY, address, 4 * MIB),
          CUDA_SUCCESS);
    CHECK("  is known", answer, 1);
    cuda.advise(address, 4 * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU);
    cuda.range_attribute(&answer, sizeof(answer), PREFERRED_LOCATION, address, 4 * MIB);
    CHECK("preferred location", answer, CU_DEVICE_CPU);
    if (concurrent) {
        int places[3] = { 99, 99, 99 };
        cuda.advise(address, 4 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
        cuda.range_attribute(places, sizeof(places), ACCESSED_BY, address, 4 * MIB);
        CHECK("accessed by device 0", places[0], 0);
        CHECK("  and no other", places[2], DEVICE_INVALID);
    } else {
        check_skip("accessed by", "the device cannot access managed memory with the host");
    }
    CHECK("advise on other memory", cuda.advise((uintptr_t)&byte, 1, 1, 0),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("free managed", cuda.free(address), CUDA_SUCCESS);
    CHECK("managed without flags", cuda.alloc_managed(&address, MIB, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK("managed of nothing", cuda.alloc_managed(&address, 0, 1), CUDA_ERROR_INVALID_VALUE);
}

/* Asking for more than is free fails, and what is free stays free. */
static void check_out_of_memory(void)
{
    size_t free_bytes, total_bytes;
    CUdeviceptr address = 12345;
    cuda.info(&free_bytes, &total_bytes);
    CHECK("more than there is", cuda.alloc(&address, total_bytes + 2 * MIB),
          CUDA_ERROR_OUT_OF_MEMORY);
    CHECK("  leaves the output alone", address, 12345);
    CHECK("  takes nothing", cuda_free_bytes(), free_bytes);
    CHECK("  and is no lasting error", cuda.alloc(&address, MIB), CUDA_SUCCESS);
    cuda.free(address);
}

int main(void)
{
    check_start();
    cuda_start();
    check_alloc();
    check_small();
    check_pitch();
    check_info();
    check_address_range();
    check_pointers();
    check_copies();
    check_copy_2d();
    check_host();
    check_managed();
    check_out_of_memory();
    return check_finish();
}
