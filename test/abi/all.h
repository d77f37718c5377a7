/* Every header of ours that declares the driver's binary interface. */
#include "driver/cuda_abi.h"
#include "simgpu/abi.h"
