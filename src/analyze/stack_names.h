/* What the frames of a run's stacks are called, and which line of the program's own Python code
 * they come from. Names are looked up only for the stacks that are asked for; own lines come from
 * the records of code alone. One thread at a time, no malloc. */
#ifndef VRAMGUARD_ANALYZE_STACK_NAMES_H
#define VRAMGUARD_ANALYZE_STACK_NAMES_H

#include "analyze/run_source.h"

struct vg_code_note;
struct vg_own_file;

struct vg_stack_names {
    const struct vg_run_source *source;
    struct vg_region *region;
    struct vg_code_note *codes; /* [code id]; NULL without memory */
    struct vg_own_file *files;  /* those of the program's own code, the latest first */
    uint32_t file_count;
};

/* Both outlive `names`. */
void vg_stack_names_init(struct vg_stack_names *names, const struct vg_run_source *source,
                         struct vg_region *region);

/* A line of the program's own code in a stack. */
struct vg_own_frame {
    uint64_t key;   /* tells this line from all others of the run; 0: there is none */
    uint32_t index; /* of its Python frame in the stack */
};

/* The innermost one, from Python frame `from` outwards (0: of the whole stack). `stack` may be
 * NULL. */
struct vg_own_frame vg_stack_names_own(struct vg_stack_names *names,
                                       const struct vg_journal_stack *stack, uint32_t from);

/* Where the program called `own` from: its next line outwards that is in another file, for what
 * allocates is often a file of helpers; else its next line. */
struct vg_own_frame vg_stack_names_caller(struct vg_stack_names *names,
                                          const struct vg_journal_stack *stack,
                                          struct vg_own_frame own);

/* What Python frame `index` of `stack` shows, without its text. */
struct vg_run_line vg_stack_names_line(struct vg_stack_names *names,
                                       const struct vg_journal_stack *stack, uint32_t index);

/* The innermost line of the program's own in stack `id`, without its text; none if it has none. */
struct vg_run_line vg_stack_names_own_line(struct vg_stack_names *names, uint32_t id);

/* No line at all. */
struct vg_run_line vg_run_line_none(void);

/* The addresses of stack `id` will be asked for. */
void vg_stack_names_note(struct vg_stack_names *names, uint32_t id);

/* Names all frames of stack `id`, which is empty when it is not known. */
struct vg_run_stack vg_stack_names_get(struct vg_stack_names *names, uint32_t id);

/* The same of program counters that are in no dictionary. */
struct vg_run_stack vg_stack_names_of_addresses(struct vg_stack_names *names,
                                                const uint64_t *addresses, uint32_t count);

#endif
