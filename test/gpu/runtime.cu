// Takes memory through NVIDIA's runtime in every way a small program does, runs a kernel, and asks
// for too much. Prints only what is the same on every run.

#include <cstdio>

static void told(const char *what, cudaError_t error)
{
    std::printf("%s: %s (%s)\n", what, cudaGetErrorName(error), cudaGetErrorString(error));
}

__global__ void count_up(int *values, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        values[i] += i;
}

static void use_kernel(int *device_values, int count)
{
    static int values[1 << 16];
    told("memset", cudaMemset(device_values, 0, count * sizeof(int)));
    count_up<<<(count + 255) / 256, 256>>>(device_values, count);
    told("launch", cudaGetLastError());
    told("copy back",
         cudaMemcpy(values, device_values, count * sizeof(int), cudaMemcpyDeviceToHost));
    long long sum = 0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    std::printf("sum %lld\n", sum);
}

int main()
{
    const int count = 1 << 16;
    void *plain = nullptr, *managed = nullptr, *host = nullptr, *ordered = nullptr, *rows = nullptr;
    size_t pitch = 0;
    told("malloc", cudaMalloc(&plain, count * sizeof(int)));
    use_kernel(static_cast<int *>(plain), count);
    told("malloc managed", cudaMallocManaged(&managed, 1 << 20));
    told("malloc host", cudaMallocHost(&host, 1 << 20));
    told("malloc pitch", cudaMallocPitch(&rows, &pitch, 1000, 100));
    told("malloc async", cudaMallocAsync(&ordered, 1 << 20, nullptr));
    told("free async", cudaFreeAsync(ordered, nullptr));
    told("synchronize", cudaDeviceSynchronize());

    size_t free_bytes = 0, total_bytes = 0;
    told("memory", cudaMemGetInfo(&free_bytes, &total_bytes));
    void *too_much = &pitch;
    told("too much", cudaMalloc(&too_much, 2 * total_bytes));
    std::printf("the pointer is %s\n", too_much == nullptr  ? "null"
                                       : too_much == &pitch ? "untouched"
                                                            : "something else");
    told("last error", cudaGetLastError());
    told("too much, async", cudaMallocAsync(&too_much, 2 * total_bytes, nullptr));
    told("last error", cudaGetLastError());

    told("free", cudaFree(plain));
    told("free managed", cudaFree(managed));
    told("free host", cudaFreeHost(host));
    told("free pitch", cudaFree(rows));
    told("free null", cudaFree(nullptr));
    told("free wild", cudaFree(reinterpret_cast<void *>(0x1234500000)));
    return 0;
}
