/* CUDA_VISIBLE_DEVICES ("CUDA C++ Programming Guide", section "CUDA Environment Variables"). */
#ifndef SIMGPU_VISIBLE_H
#define SIMGPU_VISIBLE_H

/* Fills `devices` (room for MAX_DEVICES) with indices of the shared state's devices in the order in
 * which `list` (NULL: not set) makes them visible, and returns their number. Entries are an index
 * or "GPU-" and a UUID or the unique beginning of one. The first invalid entry hides itself and all
 * that follow; naming a device twice hides all. */
int visible_devices(const char *list, int *devices);

/* Writes the textual form "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" (41 bytes with the end). */
void visible_uuid_text(int device, char text[41]);

#endif
