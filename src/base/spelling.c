#include "base/spelling.h"

#include <string.h>

unsigned vg_spelling_distance(const char *a, const char *b)
{
    enum { CAP = 32 };
    unsigned row[CAP];
    const size_t length = strnlen(b, CAP - 1);
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; i < CAP && a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            const unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
            const unsigned shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[length];
}
