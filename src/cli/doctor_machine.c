/* `vramguard doctor`: the installation, the folders that are written to, the variables, the kernel.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/option.h"
#include "base/option_file.h"
#include "base/option_names.h"
#include "base/size.h"
#include "base/version.h"
#include "cli/doctor.h"
#include "cli/install_paths.h"
#include "cli/libdw.h"
#include "cli/library_version.h"
#include "cli/runs.h"
#include "record/run_file.h"
#include "shared/shared_file.h"

enum { PATH_CAP = 4096 };
#define ROOM_BYTES (64 * VG_MIB) /* a run file is some MiB; with less it may be cut short */

/* ---- the installation ---- */

static void check_library(struct vg_doctor *doctor)
{
    char version[64] = "unknown";
    if (vg_install_library(doctor->library, sizeof doctor->library) != 0) {
        doctor->library[0] = '\0';
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "library",
                      "libvramguard.so does not lie where this program looks for it");
        vg_doctor_advise("install vramguard again; its files may be moved together, not alone");
        return;
    }
    vg_library_version(doctor->library, version, sizeof version);
    if (strcmp(version, VG_VERSION_TEXT) == 0) {
        vg_doctor_say(doctor, VG_FINDING_OK, "library", "%s, version %s", doctor->library, version);
        return;
    }
    vg_doctor_say(doctor, VG_FINDING_PROBLEM, "library", "%s is of version %s, this program of %s",
                  doctor->library, version, VG_VERSION_TEXT);
    vg_doctor_advise("install both from the same package");
}

static void check_helpers(struct vg_doctor *doctor)
{
    void *const unwind = dlopen("libunwind.so.8", RTLD_LAZY | RTLD_LOCAL);
    if (unwind) {
        vg_doctor_say(doctor, VG_FINDING_OK, "libunwind", "captures stacks");
    } else {
        vg_doctor_say(doctor, VG_FINDING_NOTE, "libunwind",
                      "is missing: stacks are captured at several times the cost");
        vg_doctor_advise("install libunwind.so.8 (Debian: libunwind8, Fedora: libunwind)");
    }
    if (vg_libdw_open()) {
        vg_doctor_say(doctor, VG_FINDING_OK, "libdw", "names lines of C and C++ in reports");
    } else {
        vg_doctor_say(doctor, VG_FINDING_NOTE, "libdw",
                      "is missing: vramguard report names no lines of C and C++");
        vg_doctor_advise("install libdw.so.1 (Debian: libdw1, Fedora: elfutils-libs)");
    }
}

/* ---- variables ---- */

static void check_values(struct vg_doctor *doctor)
{
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    for (size_t i = 0; i < count; i++) {
        static struct vg_option_value value;
        char why[128];
        const char *const text = getenv(rows[i].environment);
        if (!text || !*text)
            continue;
        if (vg_option_parse(&rows[i], text, &value, why, sizeof why) == 0) {
            const bool off = rows[i].id == VG_OPTION_ID_enabled && value.number == VG_ENABLED_OFF;
            vg_doctor_say(doctor, off ? VG_FINDING_NOTE : VG_FINDING_OK, "variable", "%s=%s%s",
                          rows[i].environment, text, off ? ": vramguard does nothing" : "");
            continue;
        }
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "variable", "%s=\"%s\": %s", rows[i].environment,
                      text, why);
        vg_doctor_advise("allowed: %s", rows[i].allowed);
    }
}

static void check_names(struct vg_doctor *doctor)
{
    for (char **at = environ; at && *at; at++) {
        char name[64];
        const char *nearest;
        if (!vg_option_is_misspelt(*at, name, sizeof name, &nearest))
            continue;
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "variable", "%s is not an option of vramguard",
                      name);
        vg_doctor_advise("the nearest is %s; vramguard options lists all", nearest);
    }
}

struct wrong_line {
    struct vg_doctor *doctor;
    const char *path;
};

static void say_wrong_line(const char *what, const char *nearest, void *argument)
{
    const struct wrong_line *const line = argument;
    vg_doctor_say(line->doctor, VG_FINDING_PROBLEM, "settings", "%s: %s", line->path, what);
    if (nearest)
        vg_doctor_advise("the nearest is %s; vramguard options lists all", nearest);
    else
        vg_doctor_advise("vramguard options lists all");
}

/* The settings for all users, of which the variables above show what the environment overrules. */
static void check_settings_file(struct vg_doctor *doctor)
{
    size_t count, used = 0;
    struct vg_option_file file;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    const char *const path = vg_option_config_path();
    const bool is_there = vg_option_file_open(&file, path);
    struct wrong_line wrong = { doctor, path };
    for (size_t i = 0; i < count; i++) {
        static struct vg_option_value value;
        static char text[VG_OPTION_TEXT_CAP];
        char why[128];
        if (!vg_option_file_find(&file, rows[i].environment, text, sizeof text))
            continue;
        used++;
        if (vg_option_parse(&rows[i], text, &value, why, sizeof why) == 0)
            vg_doctor_say(doctor, VG_FINDING_OK, "settings", "%s: %s=%s", path, rows[i].environment,
                          text);
        else {
            vg_doctor_say(doctor, VG_FINDING_PROBLEM, "settings", "%s: %s=\"%s\": %s", path,
                          rows[i].environment, text, why);
            vg_doctor_advise("allowed: %s", rows[i].allowed);
        }
    }
    if (!is_there && strcmp(path, rows[VG_OPTION_ID_config].default_text) != 0) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "settings", "there is no %s", path);
        vg_doctor_advise("correct %s, or unset it", rows[VG_OPTION_ID_config].environment);
    } else if (used == 0)
        vg_doctor_say(doctor, VG_FINDING_OK, "settings", "none for all users (%s)", path);
    vg_option_file_visit_wrong(&file, say_wrong_line, &wrong);
    vg_option_file_close(&file);
}

void vg_doctor_installation(struct vg_doctor *doctor)
{
    check_library(doctor);
    check_helpers(doctor);
    check_values(doctor);
    check_names(doctor);
    check_settings_file(doctor);
}

/* ---- folders ---- */

/* Bytes that this user may still write where `path` lies, VG_BYTES_UNKNOWN when that is not told.
 */
static uint64_t free_space(const char *path)
{
    struct statvfs status;
    return statvfs(path, &status) == 0 ? (uint64_t)status.f_bavail * status.f_frsize
                                       : VG_BYTES_UNKNOWN;
}

/* The deepest folder of `path` that is there. */
static void existing_parent(const char *path, char *out, size_t cap)
{
    snprintf(out, cap, "%s", path);
    for (char *slash; access(out, F_OK) != 0 && (slash = strrchr(out, '/')) && slash != out;)
        *slash = '\0';
}

/* Where run files go, and the folder that has to be there for it. Returns 0 or -errno. */
static int name_records(char *path, char *parent, size_t cap)
{
    char given[PATH_CAP];
    struct stat status;
    const bool is_given = vg_option_given(VG_OPTION_ID_log_path, given, sizeof given);
    const int error = is_given ? vg_run_file_expand(given, vg_clock_ns(CLOCK_REALTIME), path, cap)
                               : vg_run_file_directory(path, cap);
    if (error)
        return error;
    existing_parent(path, parent, cap);
    if (is_given && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))) {
        snprintf(parent, cap, "%s", strchr(path, '/') ? path : "./");
        char *const slash = strrchr(parent, '/');
        slash[slash == parent ? 1 : 0] = '\0';
    }
    return 0;
}

static void say_runs(struct vg_doctor *doctor, const char *path, uint64_t room_bytes)
{
    char folder[PATH_CAP], amount[VG_SIZE_TEXT_CAP], why[320];
    static struct vg_runs runs;
    vg_size_format(amount, room_bytes);
    if (vg_runs_directory(folder, sizeof folder) != 0 || strcmp(folder, path) != 0) {
        vg_doctor_say(doctor, VG_FINDING_OK, "records", "%s, %s free", path, amount);
    } else if (vg_runs_scan(&runs, NULL, why, sizeof why) == 0) {
        vg_doctor_say(doctor, VG_FINDING_OK, "records", "%s: %zu run%s, %s free", path, runs.count,
                      runs.count == 1 ? "" : "s", amount);
        vg_runs_free(&runs);
    } else {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "records", "%s", why);
    }
}

static void check_records(struct vg_doctor *doctor)
{
    char path[PATH_CAP], parent[PATH_CAP], amount[VG_SIZE_TEXT_CAP];
    if (name_records(path, parent, sizeof path) != 0) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "records",
                      "neither XDG_STATE_HOME nor HOME is set");
        vg_doctor_advise("set one of them, or VRAMGUARD_LOG");
        return;
    }
    const uint64_t room_bytes = free_space(parent);
    if (access(parent, W_OK | X_OK) != 0) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "records", "%s: %s", parent, strerror(errno));
        vg_doctor_advise(
            "make it a folder that you can write to, or set XDG_STATE_HOME or VRAMGUARD_LOG to "
            "one");
    } else if (room_bytes < ROOM_BYTES) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "records", "%s has %s left", path,
                      vg_size_format(amount, room_bytes));
        vg_doctor_advise("free some of it, or set VRAMGUARD_LOG or a smaller VRAMGUARD_KEEP");
    } else {
        say_runs(doctor, path, room_bytes);
    }
}

static void check_registry(struct vg_doctor *doctor)
{
    char amount[VG_SIZE_TEXT_CAP];
    const int directory = vg_shared_directory();
    const uint64_t room_bytes = free_space("/dev/shm");
    if (directory < 0) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "registry", "/dev/shm/vramguard-%u: %s",
                      (unsigned)geteuid(), strerror(-directory));
        vg_doctor_advise(
            "guarded programs cannot wait for each other without it: make /dev/shm a "
            "tmpfs that everybody may write to (mode 1777), and remove a folder of that "
            "name that is somebody else's");
        return;
    }
    close(directory);
    vg_doctor_say(doctor, room_bytes < VG_MIB ? VG_FINDING_PROBLEM : VG_FINDING_OK, "registry",
                  "/dev/shm/vramguard-%u, %s free", (unsigned)geteuid(),
                  vg_size_format(amount, room_bytes));
    if (room_bytes < VG_MIB)
        vg_doctor_advise(
            "free some of /dev/shm, or start the container with --shm-size=64m or more");
}

/* ---- the kernel ---- */

static void check_kernel(struct vg_doctor *doctor)
{
    struct utsname name;
    if (uname(&name) != 0)
        return;
    vg_doctor_say(doctor, VG_FINDING_OK, "system", "Linux %s, glibc %s, %s", name.release,
                  gnu_get_libc_version(), name.machine);
    if (access("/proc/self/stat", R_OK) != 0) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "system", "/proc is not mounted");
        vg_doctor_advise("mount it: processes are known by what it says of them");
    }
    const int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0U);
    if (pidfd >= 0) {
        close(pidfd);
        return;
    }
    vg_doctor_say(doctor, VG_FINDING_NOTE, "system",
                  "pidfd_open fails (%s): vramguard run does not say when nothing was recorded",
                  strerror(errno));
    vg_doctor_advise("Linux 5.3 or newer has it; a container's seccomp profile may forbid it");
}

/* getrlimit(2); bytes, VG_BYTES_UNKNOWN for none. */
static uint64_t soft_limit(int resource)
{
    struct rlimit limit;
    return getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ? VG_BYTES_UNKNOWN
                                                                               : limit.rlim_cur;
}

static void check_limits(struct vg_doctor *doctor)
{
    char amount[VG_SIZE_TEXT_CAP];
    const uint64_t address_bytes = soft_limit(RLIMIT_AS), file_bytes = soft_limit(RLIMIT_FSIZE);
    if (address_bytes != VG_BYTES_UNKNOWN) {
        vg_doctor_say(doctor, VG_FINDING_NOTE, "limits",
                      "a process may use %s of addresses (ulimit -v): vramguard records less, and "
                      "CUDA may fail to start",
                      vg_size_format(amount, address_bytes));
        vg_doctor_advise("ulimit -v unlimited, before the program starts");
    }
    if (file_bytes != VG_BYTES_UNKNOWN && file_bytes < ROOM_BYTES) {
        vg_doctor_say(doctor, VG_FINDING_NOTE, "limits",
                      "a file may grow to %s (ulimit -f): records of long runs are cut short",
                      vg_size_format(amount, file_bytes));
        vg_doctor_advise("ulimit -f unlimited, before the program starts");
    }
    if (address_bytes == VG_BYTES_UNKNOWN && file_bytes == VG_BYTES_UNKNOWN)
        vg_doctor_say(doctor, VG_FINDING_OK, "limits", "none on addresses and file sizes");
}

void vg_doctor_machine(struct vg_doctor *doctor)
{
    check_kernel(doctor);
    check_limits(doctor);
    check_records(doctor);
    check_registry(doctor);
}
