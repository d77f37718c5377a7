/* libdw (elfutils) names functions and source lines for `vramguard report`. It is opened when it is
 * needed, so that the tool runs where libdw is not installed (a wheel may not need it); names then
 * are those that were recorded. After this header its functions are called as if they were linked,
 * once vg_libdw_open has said that they are there. */
#ifndef VRAMGUARD_CLI_LIBDW_H
#define VRAMGUARD_CLI_LIBDW_H

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <stdbool.h>

#define VG_LIBDW_FUNCTIONS(F)                                                                      \
    F(dwfl_begin)                                                                                  \
    F(dwfl_end)                                                                                    \
    F(dwfl_report_begin)                                                                           \
    F(dwfl_report_elf)                                                                             \
    F(dwfl_report_end)                                                                             \
    F(dwfl_module_getelf)                                                                          \
    F(dwfl_module_build_id)                                                                        \
    F(dwfl_module_addrinfo)                                                                        \
    F(dwfl_module_addrdie)                                                                         \
    F(dwfl_module_getsrc)                                                                          \
    F(dwfl_module_getsym)                                                                          \
    F(dwfl_module_getsymtab)                                                                       \
    F(dwfl_lineinfo)                                                                               \
    F(dwfl_build_id_find_elf)                                                                      \
    F(dwfl_standard_find_debuginfo)                                                                \
    F(dwarf_attr_integrate)                                                                        \
    F(dwarf_diename)                                                                               \
    F(dwarf_filesrc)                                                                               \
    F(dwarf_formudata)                                                                             \
    F(dwarf_getscopes)                                                                             \
    F(dwarf_getsrcfiles)                                                                           \
    F(dwarf_tag)

struct vg_libdw {
#define VG_LIBDW_POINTER(name) __typeof__(name) *name;
    VG_LIBDW_FUNCTIONS(VG_LIBDW_POINTER)
#undef VG_LIBDW_POINTER
};

extern struct vg_libdw vg_libdw;

/* Is there a libdw.so.1 that has them all? Looked for once. One thread at a time. */
bool vg_libdw_open(void);

#ifndef VG_LIBDW_PLAIN_NAMES /* but for libdw.c, which needs them as they are */
#define dwfl_begin                   vg_libdw.dwfl_begin
#define dwfl_end                     vg_libdw.dwfl_end
#define dwfl_report_begin            vg_libdw.dwfl_report_begin
#define dwfl_report_elf              vg_libdw.dwfl_report_elf
#define dwfl_report_end              vg_libdw.dwfl_report_end
#define dwfl_module_getelf           vg_libdw.dwfl_module_getelf
#define dwfl_module_build_id         vg_libdw.dwfl_module_build_id
#define dwfl_module_addrinfo         vg_libdw.dwfl_module_addrinfo
#define dwfl_module_addrdie          vg_libdw.dwfl_module_addrdie
#define dwfl_module_getsrc           vg_libdw.dwfl_module_getsrc
#define dwfl_module_getsym           vg_libdw.dwfl_module_getsym
#define dwfl_module_getsymtab        vg_libdw.dwfl_module_getsymtab
#define dwfl_lineinfo                vg_libdw.dwfl_lineinfo
#define dwfl_build_id_find_elf       vg_libdw.dwfl_build_id_find_elf
#define dwfl_standard_find_debuginfo vg_libdw.dwfl_standard_find_debuginfo
#define dwarf_attr_integrate         vg_libdw.dwarf_attr_integrate
#define dwarf_diename                vg_libdw.dwarf_diename
#define dwarf_filesrc                vg_libdw.dwarf_filesrc
#define dwarf_formudata              vg_libdw.dwarf_formudata
#define dwarf_getscopes              vg_libdw.dwarf_getscopes
#define dwarf_getsrcfiles            vg_libdw.dwarf_getsrcfiles
#define dwarf_tag                    vg_libdw.dwarf_tag
#endif

#endif
