/* Another library's function of the driver's name. */
int cuMemAlloc_v2(unsigned long long *address, unsigned long bytes);

__attribute__((visibility("default"))) int cuMemAlloc_v2(unsigned long long *address,
                                                         unsigned long bytes)
{
    (void)address, (void)bytes;
    return 4242;
}
