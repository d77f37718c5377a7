/* Functions of hardware that the simulated device does not have. Programs look them up and treat
 * their absence from the library as a fault, but not this answer (NVML API Reference,
 * NVML_ERROR_NOT_SUPPORTED).
 *
 * Their arguments differ and are not looked at: all are one function. The calling conventions of
 * x86-64 and aarch64 leave it to the caller to clean up after whatever it has passed. */
#include "nvml.h"

static __attribute__((used)) nvmlReturn_t answer_not_supported(void)
{
    const nvmlReturn_t result = nvml_check_initialised();
    return result != NVML_SUCCESS ? result : NVML_ERROR_NOT_SUPPORTED;
}

#define ABSENT(name) EXPORT nvmlReturn_t name(void) __attribute__((alias("answer_not_supported")));
#include "absent_table.def"
#undef ABSENT
