/* Error codes of the CUDA runtime, from error_table.h. */
#ifndef SIMGPU_CUDART_ERRORS_H
#define SIMGPU_CUDART_ERRORS_H

#include "error_table.h"

#define ERROR_CONSTANT(symbol, value, text) symbol = value,
enum { ERROR_TABLE(ERROR_CONSTANT) };
#undef ERROR_CONSTANT

#endif
