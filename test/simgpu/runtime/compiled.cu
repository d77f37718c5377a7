// What nvcc makes of an ordinary program: copies through device memory, a launch, device variables.
#include <cstdio>
#include <cstring>

__device__ int numbers[4];
__managed__ int shared_number;

__global__ void add_one(float *values, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        values[i] += 1;
    numbers[0] = shared_number;
}

static bool failed(const char *what, cudaError_t err)
{
    if (err != cudaSuccess)
        printf("%s: %s\n", what, cudaGetErrorString(err));
    return err != cudaSuccess;
}

int main()
{
    enum { COUNT = 1000 };
    static float in[COUNT], out[COUNT];
    int written[4] = { 1, 2, 3, 4 }, read[4] = { 0 };
    float *values = nullptr;
    int blocks = 0;
    for (int i = 0; i < COUNT; i++)
        in[i] = i;

    if (failed("cudaMalloc", cudaMalloc(&values, sizeof in)) ||
        failed("cudaMemcpy", cudaMemcpy(values, in, sizeof in, cudaMemcpyHostToDevice)))
        return 1;
    add_one<<<(COUNT + 255) / 256, 256>>>(values, COUNT);
    if (failed("launch", cudaGetLastError()) || failed("sync", cudaDeviceSynchronize()))
        return 1;
    add_one<<<1, 2000>>>(values, COUNT); // more threads than a block has
    if (cudaGetLastError() != cudaErrorInvalidConfiguration)
        return 2;
    if (failed("cudaMemcpy", cudaMemcpy(out, values, sizeof out, cudaMemcpyDeviceToHost)))
        return 1;
    if (memcmp(in, out, sizeof in) != 0)
        return 3; // nothing may have run
    if (failed("to symbol", cudaMemcpyToSymbol(numbers, written, sizeof written)) ||
        failed("from symbol", cudaMemcpyFromSymbol(read, numbers, sizeof read)))
        return 1;
    if (memcmp(written, read, sizeof read) != 0)
        return 4;
    shared_number = 7;
    if (shared_number != 7)
        return 5;
    if (failed("occupancy",
               cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_one, 256, 0)) ||
        blocks < 1)
        return 6;
    if (cudaMalloc(&values, size_t(1) << 40) != cudaErrorMemoryAllocation)
        return 7;
    printf("%s\n", cudaGetErrorString(cudaGetLastError()));
    return 0;
}
