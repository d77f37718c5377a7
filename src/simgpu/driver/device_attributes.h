/* The simulated GPU's properties: those of a data-centre GPU of compute capability 8.0. */
#ifndef SIMGPU_DEVICE_ATTRIBUTES_H
#define SIMGPU_DEVICE_ATTRIBUTES_H

#include "../abi.h"

#define DEVICE_NAME                 "SimGPU"
#define MULTIPROCESSORS             108
#define MAX_THREADS_PER_BLOCK       1024
#define MAX_THREADS_PER_SM          2048
#define MAX_BLOCKS_PER_SM           32
#define MAX_SHARED_PER_BLOCK        49152
#define MAX_SHARED_PER_BLOCK_OPT_IN 166912
#define MAX_SHARED_PER_SM           167936
#define WARP_THREADS                32
#define MAX_PITCH_BYTES             2147483647
#define TEXTURE_PITCH_BYTES         512

/* CUdevice_attribute values that the driver itself asks for. */
#define ATTRIBUTE_MAX_THREADS_PER_BLOCK   1
#define ATTRIBUTE_MAX_BLOCK_DIM_X         2
#define ATTRIBUTE_MAX_GRID_DIM_X          5
#define ATTRIBUTE_SHARED_MEMORY_PER_BLOCK 8
#define ATTRIBUTE_CONSTANT_MEMORY         9
#define ATTRIBUTE_WARP_SIZE               10
#define ATTRIBUTE_MAX_PITCH               11
#define ATTRIBUTE_REGISTERS_PER_BLOCK     12
#define ATTRIBUTE_CLOCK_RATE              13
#define ATTRIBUTE_TEXTURE_ALIGNMENT       14
#define ATTRIBUTE_PCI_BUS                 33
#define ATTRIBUTE_TEXTURE1D_LINEAR_WIDTH  69
#define ATTRIBUTE_CAPABILITY_MAJOR        75
#define ATTRIBUTE_CAPABILITY_MINOR        76
#define ATTRIBUTE_BOARD_GROUP             85
#define ATTRIBUTE_HOST_NUMA               134
#define ATTRIBUTE_LAST                    147

/* `device` is an index of the shared state. Returns CUDA_ERROR_INVALID_VALUE for a number that is
 * no attribute. */
CUresult device_attribute(int device, CUdevice_attribute attribute, int *value);

/* Each device is device 0, function 0 of a bus of its own. */
int device_pci_bus(int device);

#endif
