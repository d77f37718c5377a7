/* A program with the CUDA runtime linked into it: 50 allocations, 10 of them freed, one fails. */
#include <stddef.h>
#include <stdio.h>

int cudaMalloc(void **pointer, size_t bytes);
int cudaFree(void *pointer);

int main(void)
{
    void *pointers[50];
    for (int i = 0; i < 50; i++)
        if (cudaMalloc(&pointers[i], (size_t)(i + 1) * 1000) != 0)
            return 1;
    for (int i = 0; i < 10; i++)
        if (cudaFree(pointers[i * 5]) != 0)
            return 2;
    void *none = NULL;
    if (cudaMalloc(&none, (size_t)1 << 40) != 2)
        return 3;
    printf("done\n");
    return 0;
}
