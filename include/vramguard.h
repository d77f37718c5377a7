/* vramguard's interface for programs. All of it is optional: a program that runs without the library
 * preloaded finds the functions to be null, so call them through the macros, or test first:
 *
 *     if (vramguard_write_report)
 *         vramguard_write_report(2);
 */
#ifndef VRAMGUARD_H
#define VRAMGUARD_H

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the loaded library, "0.1.0". A static string. */
const char *vramguard_version(void) __attribute__((weak));

/* Writes what this process has live on its current GPU to the file descriptor `fd`: totals, the
 * largest sites, sizes. Takes milliseconds. Returns 0, or a negative errno: -EBUSY while another
 * thread's report is being made, -ENODEV when the library is switched off or there is no current
 * GPU, -EIO when not all could be written. */
int vramguard_write_report(int fd) __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
