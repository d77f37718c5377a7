/* Command lines in little room. Pure, no malloc. */
#ifndef VRAMGUARD_BASE_COMMAND_NAME_H
#define VRAMGUARD_BASE_COMMAND_NAME_H

#include <stddef.h>

/* Writes `command` (words parted by spaces) to `out` (`cap` >= 1 bytes) without the directories of
 * its words: "/usr/bin/python3 /home/me/train.py --data=/data/x 10" is "python3 train.py
 * --data=/data/x 10". Words that begin with '-' stay as they are. */
void vg_command_short(char *out, size_t cap, const char *command);

/* Writes what people call the program of `command`: "train.py" of "/usr/bin/python3 -u train.py
 * 10", "pkg.train" of "python -m pkg.train", "the notebook" of a notebook's kernel, else the first
 * word without its directory. "" for "".
 */
void vg_command_program(char *out, size_t cap, const char *command);

#endif
