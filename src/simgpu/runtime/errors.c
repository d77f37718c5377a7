#include "cudart_errors.h"

#include "runtime.h"

struct error_text {
    int code;
    const char *name;
    const char *text;
};

#define ERROR_ROW(symbol, value, text) { value, #symbol, text },
static const struct error_text errors[] = { ERROR_TABLE(ERROR_ROW) };

static const struct error_text *find_error(cudaError_t code)
{
    static const struct error_text unknown = { 0, "unrecognized error code",
                                               "unrecognized error code" };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == code)
            return &errors[i];
    return &unknown;
}

RT_API const char *cudaGetErrorName(cudaError_t code)
{
    return find_error(code)->name;
}

RT_API const char *cudaGetErrorString(cudaError_t code)
{
    return find_error(code)->text;
}
