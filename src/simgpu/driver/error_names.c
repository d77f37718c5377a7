/* Error names and strings ("CUDA Driver API", section "Error Handling"). */
#include "error_names.h"

#include <errno.h>
#include <string.h>

#include "function_table.h"

struct error_row {
    CUresult code;
    const char *name;
    const char *description;
};

/* The names are taken as text, so that it does not matter which of them abi.h also defines. */
static const struct error_row rows[] = {
#define ERROR_ROW(name, value, description) { value, #name, description },
#include "error_list.def"
};

static const struct error_row *find_error(CUresult code)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

int error_find(const char *name, CUresult *error)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *error = rows[i].code;
            return 0;
        }
    }
    return -EINVAL;
}

/* Documented: an unknown code sets the string to NULL and returns CUDA_ERROR_INVALID_VALUE. */
CUresult sim_cuGetErrorName(CUresult error, const char **name)
{
    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    const struct error_row *row = find_error(error);
    *name = row != NULL ? row->name : NULL;
    return row != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGetErrorString(CUresult error, const char **description)
{
    if (description == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    const struct error_row *row = find_error(error);
    *description = row != NULL ? row->description : NULL;
    return row != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
