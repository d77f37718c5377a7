/* The parts of `vramguard doctor`. Each looks at one side of the machine and says what it finds, a
 * line for each finding, with the remedy under it where something is wrong. */
#ifndef VRAMGUARD_CLI_DOCTOR_H
#define VRAMGUARD_CLI_DOCTOR_H

#include <stdbool.h>

enum vg_finding {
    VG_FINDING_OK,
    VG_FINDING_NOTE,    /* works, with less than there could be */
    VG_FINDING_PROBLEM, /* does not work */
};

struct vg_doctor {
    unsigned problems, notes;
    bool simulated;     /* probe the simulated GPU: there is no driver */
    char library[4096]; /* "" when it was not found */
};

/* One finding about `what`: prints it and counts it. */
void vg_doctor_say(struct vg_doctor *doctor, enum vg_finding finding, const char *what,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What to do about the finding before. */
void vg_doctor_advise(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The tool and the library, what they open at run time, the variables, the folders, the kernel. */
void vg_doctor_installation(struct vg_doctor *doctor);
void vg_doctor_machine(struct vg_doctor *doctor);

/* Driver, GPUs, NVML, and whether our library is on every way to the driver. Asks a child. */
void vg_doctor_gpu(struct vg_doctor *doctor);

/* That child: prints "key value" lines. Returns the exit code. */
int vg_doctor_probe(void);

/* Whether `command` (argv) can be watched, and what of Python and PyTorch it uses; NULL: the
 * python3 of PATH, if there is one. The command itself is not run. */
void vg_doctor_program(struct vg_doctor *doctor, char *const *command);

#endif
