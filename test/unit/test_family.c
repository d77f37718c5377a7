/* Who belongs to the same program, by a made-up /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/family.h"
#include "os/process.h"

static char proc[] = "/tmp/vg-family-XXXXXX";
static const char *real_root;

static void write_file(int pid, const char *name, const void *bytes, size_t length)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%d", proc, pid);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%d/%s", proc, pid, name);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A process; `environment` has entries that end in '|'. */
static void add_process(int pid, int parent, int group, const char *command,
                        const char *environment)
{
    char stat_line[256], text[8192];
    snprintf(stat_line, sizeof stat_line,
             "%d (name) S %d %d 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, parent, group,
             1000 + pid);
    write_file(pid, "stat", stat_line, strlen(stat_line));
    write_file(pid, "comm", pid == 50 ? "systemd\n" : "name\n", pid == 50 ? 8 : 5);
    snprintf(text, sizeof text, "%s", command);
    for (char *p = text; *p; p++)
        *p = *p == ' ' ? '\0' : *p;
    write_file(pid, "cmdline", text, strlen(command) + 1);
    snprintf(text, sizeof text, "%s", environment);
    const size_t length = strlen(text);
    for (char *p = text; p < text + length; p++)
        *p = *p == '|' ? '\0' : *p;
    write_file(pid, "environ", text, length);
}

static enum vg_relation relation_of(int pid, int32_t *rank)
{
    struct vg_family self;
    vg_family_read_self(&self);
    return vg_family_relation(&self, pid, rank);
}

enum { GRANDPARENT = 100, PARENT, CHILD, GRANDCHILD, STRANGER, SIBLING, PEER };

static void those_above_and_below_are_told(void **state)
{
    (void)state;
    int32_t rank;
    const int self = getpid();
    add_process(GRANDPARENT, 1, GRANDPARENT, "bash", "");
    add_process(PARENT, GRANDPARENT, PARENT, "python launch.py", "");
    add_process(self, PARENT, PARENT, "python train.py", "");
    add_process(CHILD, self, PARENT, "python worker.py", "");
    add_process(GRANDCHILD, CHILD, PARENT, "python worker.py", "");
    add_process(STRANGER, GRANDPARENT, STRANGER, "python other.py", "");
    assert_int_equal(relation_of(PARENT, &rank), VG_RELATION_PARENT);
    assert_int_equal(relation_of(GRANDPARENT, &rank), VG_RELATION_PARENT);
    assert_int_equal(relation_of(CHILD, &rank), VG_RELATION_CHILD);
    assert_int_equal(relation_of(GRANDCHILD, &rank), VG_RELATION_CHILD);
    assert_int_equal(relation_of(STRANGER, &rank), VG_RELATION_NONE);
    assert_int_equal(relation_of(4711, &rank), VG_RELATION_NONE); /* it has just ended */
    assert_int_equal(rank, -1);
}

static enum vg_relation rank_relation(const char *own, const char *command, const char *other,
                                      const char *other_command, int32_t *rank)
{
    add_process(GRANDPARENT, 1, GRANDPARENT, "bash", "");
    add_process(getpid(), GRANDPARENT, 1, command, own);
    add_process(PEER, GRANDPARENT, 1, other_command, other);
    return relation_of(PEER, rank);
}

#define LONG_VALUE                                                                                 \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"

static void ranks_of_one_job_are_told(void **state)
{
    (void)state;
    static const char command[] = "python train.py";
    int32_t rank;
    assert_int_equal(rank_relation("WORLD_SIZE=4|RANK=0|", command,
                                   "X=" LONG_VALUE "|RANK=3|WORLD_SIZE=4|", command, &rank),
                     VG_RELATION_JOB);
    assert_int_equal(rank, 3);
    /* Another command without a word in common; the same rank; another size; no rank. */
    assert_int_equal(rank_relation("WORLD_SIZE=4|RANK=0|", command, "RANK=3|WORLD_SIZE=4|",
                                   "python other.py", &rank),
                     VG_RELATION_NONE);
    assert_int_equal(
        rank_relation("WORLD_SIZE=4|RANK=3|", command, "RANK=3|WORLD_SIZE=4|", command, &rank),
        VG_RELATION_NONE);
    assert_int_equal(
        rank_relation("WORLD_SIZE=4|RANK=0|", command, "RANK=3|WORLD_SIZE=8|", command, &rank),
        VG_RELATION_NONE);
    assert_int_equal(
        rank_relation("WORLD_SIZE=4|RANK=0|", command, "WORLD_SIZE=4|", command, &rank),
        VG_RELATION_NONE);
    assert_int_equal(
        rank_relation("WORLD_SIZE=1|RANK=0|", command, "WORLD_SIZE=1|RANK=0|", command, &rank),
        VG_RELATION_NONE);
    assert_int_equal(
        rank_relation("WORLD_SIZE=1|RANK=0|", command, "WORLD_SIZE=1|RANK=1|", command, &rank),
        VG_RELATION_NONE);
    /* A variable whose name begins alike is another one. */
    assert_int_equal(rank_relation("WORLD_SIZE=4|RANK=0|", command,
                                   "RANK=3|WORLD_SIZE=4|RANKS=7|WORLD_SIZES=8|", command, &rank),
                     VG_RELATION_JOB);
    assert_int_equal(rank, 3);
    /* A port of its own makes it another job, the same one the same, whatever the command. */
    assert_int_equal(rank_relation("WORLD_SIZE=4|RANK=0|MASTER_PORT=29500|", command,
                                   "RANK=3|WORLD_SIZE=4|MASTER_PORT=29501|", command, &rank),
                     VG_RELATION_NONE);
    assert_int_equal(rank_relation("WORLD_SIZE=4|RANK=0|MASTER_PORT=29500|", "a.out --rank=0",
                                   "RANK=3|WORLD_SIZE=4|MASTER_PORT=29500|", "a.out --rank=3",
                                   &rank),
                     VG_RELATION_JOB);
    assert_int_equal(
        rank_relation("SLURM_STEP_NUM_TASKS=2|SLURM_PROCID=0|SLURM_JOB_ID=7|SLURM_STEP_ID=0|",
                      command,
                      "SLURM_STEP_NUM_TASKS=2|SLURM_PROCID=1|SLURM_JOB_ID=7|SLURM_STEP_ID=0|",
                      command, &rank),
        VG_RELATION_JOB);
    assert_int_equal(
        rank_relation("SLURM_STEP_NUM_TASKS=2|SLURM_PROCID=0|SLURM_JOB_ID=7|SLURM_STEP_ID=0|",
                      command,
                      "SLURM_STEP_NUM_TASKS=2|SLURM_PROCID=1|SLURM_JOB_ID=7|SLURM_STEP_ID=1|",
                      command, &rank),
        VG_RELATION_NONE);
}

/* An environment longer than what is read at a time, wherever an entry is cut by that. */
static void long_environments_are_read(void **state)
{
    (void)state;
    static const char command[] = "python train.py";
    for (int before = 4060; before < 4100; before++) {
        char other[8192];
        int32_t rank;
        const int length = snprintf(other, sizeof other, "RANK=0|WORLD_SIZE=9|X=%*s|", before, "");
        snprintf(other + length, sizeof other - (size_t)length, "RANK=3|WORLD_SIZE=4|");
        assert_int_equal(rank_relation("WORLD_SIZE=4|RANK=0|", command, other, command, &rank),
                         VG_RELATION_JOB);
        assert_int_equal(rank, 3);
    }
}

static enum vg_relation sibling_relation(const char *own, const char *sibling)
{
    int32_t rank;
    add_process(GRANDPARENT, 1, GRANDPARENT, "python load.py", "");
    add_process(getpid(), GRANDPARENT, 1, own, "");
    add_process(SIBLING, GRANDPARENT, 1, sibling, "");
    return relation_of(SIBLING, &rank);
}

static void workers_of_one_parent_are_told(void **state)
{
    (void)state;
    static const char spawn[] = "python -c from_multiprocessing.spawn_import_spawn_main";
    static const char forked[] = "python load.py"; /* as their parent, whom they were forked from */
    assert_int_equal(sibling_relation(spawn, spawn), VG_RELATION_JOB);
    assert_int_equal(sibling_relation(forked, forked), VG_RELATION_JOB);
    assert_int_equal(sibling_relation(spawn, "python b.py"), VG_RELATION_NONE);
    assert_int_equal(sibling_relation("python a.py", spawn), VG_RELATION_NONE);
    /* Programs that a launcher in Python starts are programs of their own. */
    assert_int_equal(sibling_relation("python a.py", "python b.py"), VG_RELATION_NONE);
    assert_int_equal(sibling_relation("python a.py", "python a.py"), VG_RELATION_NONE);
}

static void orphans_are_told_from_programs_in_the_background(void **state)
{
    (void)state;
    const int gone = 5000000; /* above all pids of Linux */
    add_process(50, 1, 50, "systemd", "");
    add_process(60, 1, gone, "python child.py", ""); /* its group's leader */
    assert_true(vg_family_is_orphan(60));
    add_process(61, 50, gone, "python child.py", "");
    assert_true(vg_family_is_orphan(61));
    add_process(65, 1, 50, "python -c from_multiprocessing.spawn_import_spawn_main", "");
    assert_true(vg_family_is_orphan(65));
    add_process(62, 1, 62, "python server.py", ""); /* started in the background of a shell */
    assert_false(vg_family_is_orphan(62));
    add_process(63, 61, gone, "python child.py", ""); /* its parent lives */
    assert_false(vg_family_is_orphan(63));
    add_process(64, 1, 62, "python child.py", ""); /* so does its group's leader */
    assert_false(vg_family_is_orphan(64));
}

static int start(void **state)
{
    (void)state;
    real_root = vg_process_proc_root;
    if (!mkdtemp(proc))
        return -1;
    vg_process_proc_root = proc;
    return 0;
}

static int end(void **state)
{
    char command[64];
    (void)state;
    vg_process_proc_root = real_root;
    snprintf(command, sizeof command, "rm -rf %s", proc);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_above_and_below_are_told),
        cmocka_unit_test(ranks_of_one_job_are_told),
        cmocka_unit_test(workers_of_one_parent_are_told),
        cmocka_unit_test(orphans_are_told_from_programs_in_the_background),
        cmocka_unit_test(long_environments_are_read),
    };
    return cmocka_run_group_tests(tests, start, end);
}
