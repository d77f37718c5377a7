#include "analyze/visible_devices.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { UUID_DIGITS = sizeof "GPU-5f3c2a10" - 1 };

/* Copies entry `index` of the list, without blanks around it. Returns its length, 0 for none. */
static size_t list_entry(const char *list, int index, char out[VG_VISIBLE_VALUE_CAP])
{
    out[0] = '\0';
    for (; index > 0 && *list; index--) {
        list += strcspn(list, ",");
        list += *list == ',';
    }
    list += strspn(list, " ");
    size_t length = strcspn(list, ",");
    while (length > 0 && list[length - 1] == ' ')
        length--;
    if (length >= VG_VISIBLE_VALUE_CAP)
        return 0;
    memcpy(out, list, length);
    out[length] = '\0';
    return length;
}

/* How much of the UUID tells the device from all others: a group of digits, or all of it. */
static size_t distinct_length(const struct vg_visible_device *devices, size_t count, size_t wanted)
{
    const char *const uuid = devices[wanted].uuid;
    if (strncmp(uuid, "GPU-", 4) != 0)
        return strlen(uuid);
    for (size_t i = 0; i < count; i++)
        if (i != wanted && strncasecmp(devices[i].uuid, uuid, UUID_DIGITS) == 0)
            return strlen(uuid);
    return UUID_DIGITS;
}

/* Without the variable the program's numbers are the machine's, unless something else hides
 * devices. */
static bool sees_all(const struct vg_visible_device *devices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (devices[i].ordinal < 0)
            return false;
    return true;
}

int vg_visible_device_value(const char *visible, const struct vg_visible_device *devices,
                            size_t count, size_t wanted, char out[VG_VISIBLE_VALUE_CAP])
{
    const int ordinal = devices[wanted].ordinal;
    out[0] = '\0';
    if (!visible && sees_all(devices, count)) {
        snprintf(out, VG_VISIBLE_VALUE_CAP, "%d", ordinal);
        return 0;
    }
    if (ordinal >= 0 && visible && list_entry(visible, ordinal, out) > 0)
        return 0;
    const size_t length = distinct_length(devices, count, wanted);
    if (length == 0 || length >= VG_VISIBLE_VALUE_CAP)
        return -ENOENT;
    memcpy(out, devices[wanted].uuid, length);
    out[length] = '\0';
    return 0;
}
