/* Libraries: modules that no context owns. */
#ifndef SIMGPU_LIBRARY_H
#define SIMGPU_LIBRARY_H

struct image;
struct library;

struct image *library_image(const struct library *library);

#endif
