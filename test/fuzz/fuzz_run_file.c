/* Run files, through the reader to every view of the tool. The first byte chooses a real file
 * ($FUZZ_BASES, a folder) and a view, or all of them; the rest is a list of edits to it: where (3
 * bytes), how many (1 byte, 1 to 32), and the bytes. The place 0xffffff cuts the file to as many
 * sixteenths of its size as the next byte says. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "fuzz.h"

enum { BASES_MAX = 16, EDITS_MAX = 64, CUT = 0xffffff };

static struct base {
    unsigned char *bytes;
    size_t size;
} bases[BASES_MAX];
static size_t base_count;
static char folder[64], path[128];

static void clean_up(void)
{
    char inner[96];
    unlink(path);
    snprintf(inner, sizeof inner, "%s/vramguard", folder);
    rmdir(inner);
    rmdir(folder);
}

/* Names from the system's libraries, by debug information that has to be unpacked each time, are
 * most of a view's time. One file of them all has these. */
static void hide_libraries(const struct base *base)
{
    static const char lib[] = "/lib";
    unsigned char *at = base->bytes;
    while ((at = memmem(at, base->size - (size_t)(at - base->bytes), lib, sizeof lib - 1)))
        memcpy(at, "/nil", sizeof lib - 1);
}

static void read_base(int folder_fd, const char *name)
{
    struct stat status;
    const int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    MUST_HOLD(fd >= 0 && fstat(fd, &status) == 0);
    struct base *const base = &bases[base_count];
    base->size = (size_t)status.st_size;
    base->bytes = malloc(base->size);
    MUST_HOLD(read(fd, base->bytes, base->size) == (ssize_t)base->size);
    close(fd);
    if (base_count > 0)
        hide_libraries(base);
    base_count++;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_run_file(const struct dirent *file)
{
    return strstr(file->d_name, ".vgr") != NULL;
}

static void set_up(void)
{
    struct dirent **names;
    const char *const from = getenv("FUZZ_BASES");
    MUST_HOLD(from);
    const int count = scandir(from, &names, is_run_file, compare_names);
    MUST_HOLD(count > 0);
    const int folder_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < count; i++) {
        if (base_count < BASES_MAX)
            read_base(folder_fd, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    close(folder_fd);

    snprintf(folder, sizeof folder, "/dev/shm/vg-fuzz-%d", getpid());
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/vramguard", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/vramguard/20260101-000000-fuzz-1.vgr", folder);
    setenv("XDG_STATE_HOME", folder, 1);
    atexit(clean_up);
    /* What the commands say is not looked at; the sanitizers write to the descriptor. */
    MUST_HOLD(freopen("/dev/null", "w", stdout));
    stderr = fopen("/dev/null", "w");
}

static void write_file(const struct base *base, struct fuzz_input *input)
{
    size_t size = base->size;
    unsigned char *const bytes = malloc(size);
    memcpy(bytes, base->bytes, size);
    for (int i = 0; i < EDITS_MAX && input->left > 0; i++) {
        const uint64_t place = fuzz_take(input, 3), count = 1 + fuzz_take(input, 1) % 32;
        if (place == CUT)
            size = base->size / 16 * (count % 16);
        for (uint64_t k = 0; place != CUT && k < count; k++)
            bytes[(place + k) % base->size] = (unsigned char)fuzz_take(input, 1);
    }
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST_HOLD(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
    free(bytes);
}

static void run_command(const struct vg_command *command, char *first, char *second, char *third)
{
    char *argv[] = { (char[]){ "vramguard command" }, first, second, third, NULL };
    int argc = 0;
    while (argv[argc])
        argc++;
    const int code = command->run(argc, argv);
    MUST_HOLD(code == 0 || code == VG_EXIT_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { .at = data, .left = size };
    if (base_count == 0)
        set_up();
    const uint64_t choice = fuzz_take(&input, 1), view = choice / BASES_MAX % 6;
    write_file(&bases[choice % BASES_MAX % base_count], &input);
    if (view == 0 || view == 1)
        run_command(&vg_command_report, path, NULL, NULL);
    if (view == 0 || view == 2)
        run_command(&vg_command_report, (char[]){ "--all" }, (char[]){ "--all-frames" }, path);
    if (view == 0 || view == 3)
        run_command(&vg_command_list, NULL, NULL, NULL);
    if (view == 0 || view == 4)
        run_command(&vg_command_list, (char[]){ "--json" }, NULL, NULL);
    if (view == 0 || view == 5)
        run_command(&vg_command_report, (char[]){ "--json" }, path, NULL);
    return 0;
}
