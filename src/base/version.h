#ifndef VRAMGUARD_BASE_VERSION_H
#define VRAMGUARD_BASE_VERSION_H

#define VG_VERSION_TEXT "0.1.0"
/* Stands before the version in the preload library's file, so that the tool can read it there. */
#define VG_VERSION_MARK   "vramguard version: "
#define VG_VERSION_NUMBER 0x000100u /* 0xMMmmpp */

#endif
