/* Makes the first call of a process and says what came of it: RESULT COUNT. With an argument, goes
 * on to a call that needs a function the driver may lack, and says what that returns. */
#include <stdio.h>

#include "cudart_abi.h"

int main(int argc, char **argv)
{
    int count = -1;
    cudaError_t err = cudaGetDeviceCount(&count);
    printf("%d %d\n", err, count);
    (void)argv;
    if (argc > 1)
        printf("%d\n", cudaDeviceSynchronize());
    return 0;
}
