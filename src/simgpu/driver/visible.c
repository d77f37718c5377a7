#include "visible.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "options.h"
#include "shared.h"

void visible_uuid_text(int device, char text[41])
{
    unsigned char u[UUID_BYTES];
    shared_device_uuid(device, u);
    snprintf(text, 41, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
             u[14], u[15]);
}

/* Returns the device that `item` names, or -1. */
static int find_device(const char *item)
{
    int count = shared_device_count();
    if (isdigit((unsigned char)item[0])) {
        char *end;
        long index = strtol(item, &end, 10);
        return *end == '\0' && index < count ? (int)index : -1;
    }
    if (strncasecmp(item, "GPU-", 4) != 0)
        return -1;
    int found = -1;
    for (int device = 0; device < count; device++) {
        char uuid[41];
        visible_uuid_text(device, uuid);
        if (strncasecmp(uuid, item, strlen(item)) != 0)
            continue;
        if (found >= 0)
            return -1; /* two devices begin like that */
        found = device;
    }
    return found;
}

int visible_devices(const char *list, int *devices)
{
    int count = 0;
    if (list == NULL) {
        for (; count < shared_device_count(); count++)
            devices[count] = count;
        return count;
    }
    char copy[1024];
    snprintf(copy, sizeof(copy), "%s", list);
    char *rest = copy;
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        int device = find_device(item);
        if (device < 0)
            break;
        for (int i = 0; i < count; i++)
            if (devices[i] == device)
                return 0;
        devices[count++] = device;
    }
    return count;
}
