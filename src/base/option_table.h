/* The one list of options. Each row is an environment variable that the library reads once, at the
 * process's first use of CUDA, and an option of `vramguard run`.
 *
 *   VG_OPTION(field, type, ENVIRONMENT, default, minimum, maximum, allowed, help)
 *
 * type     CHOICE: one of the words in `allowed`, separated by '|'; the field holds its index.
 *          COUNT: a whole number from minimum to maximum.
 *          PATH: any text; empty means "not set".
 *          SIZE: an amount of memory from minimum to maximum bytes; empty means "not set".
 *          DURATION: a time from minimum to maximum milliseconds.
 *          CHECKED: text that another layer understands and checks (vg_option_set_check).
 * allowed  what an error message and the documentation name as allowed.
 *
 * Derived from it: struct vg_options, the parser, `vramguard run --help`, the README's table, the
 * fuzzed inputs of test/unit. getenv appears nowhere else but for the conventions NO_COLOR,
 * XDG_STATE_HOME and HOME, and in `vramguard run`, which passes the environment on; the parser also
 * reads WORLD_SIZE, PYTORCH_ALLOC_CONF and PYTORCH_CUDA_ALLOC_CONF. */
/* clang-format off */
/* First: what is wrong with the others is not told when the library is off. */
VG_OPTION(enabled, CHOICE, VRAMGUARD, "on", 0, 0, "on|off",
          "off: vramguard does nothing and prints nothing")
VG_OPTION(config, PATH, VRAMGUARD_CONFIG, "/etc/vramguard.conf", 0, 0, "a path",
          "a file of settings for all users: lines NAME=VALUE with the names of this table; the "
          "environment counts more")
VG_OPTION(exclude, PATH, VRAMGUARD_EXCLUDE, "", 0, 0, "names with * and ?, separated by commas",
          "programs that are left alone where the library is preloaded for everybody; those started "
          "with vramguard run are not")
VG_OPTION(stacks, CHOICE, VRAMGUARD_STACKS, "full", 0, 0, "off|native|python|full",
          "which stack frames are recorded for each allocation: native, Python, or both (full)")
VG_OPTION(tensors, CHOICE, VRAMGUARD_TENSORS, "full", 0, 0, "off|lines|full",
          "what is told of PyTorch's tensors: nothing, the lines that made them, or also what they are "
          "and which variables hold them (full: also of the arrays of CuPy, numba and JAX)")
VG_OPTION(log_path, PATH, VRAMGUARD_LOG, "", 0, 0,
          "a path; %p pid, %h host, %e executable, %t start time, %% a percent sign",
          "where the run file goes, instead of the state directory")
VG_OPTION(keep_runs, COUNT, VRAMGUARD_KEEP, "200", 0, 1000000, "0 to 1000000",
          "how many run files stay in the state directory, about; 0: all")
VG_OPTION(keep_disk, SIZE, VRAMGUARD_KEEP_DISK, "10GiB", 1, UINT64_MAX - 1, "a size",
          "how much the run files in the state directory may take on disk, about, in all")
VG_OPTION(policy, CHECKED, VRAMGUARD_POLICY, "trim,wait", 0, 0, "trim, wait[=TIME], spill, off",
          "what to try, in this order, before an allocation fails; off: only report")
VG_OPTION(trim_library, PATH, VRAMGUARD_TRIM_LIB, "", 0, 0, "path[:symbol]",
          "a library with a function `vramguard_trim` (or symbol), which trim calls to free memory")
VG_OPTION(trim_command, CHECKED, VRAMGUARD_TRIM_CMD, "", 0, 0,
          "a command and its arguments (no shell; '...', \"...\" and \\ quote)",
          "a command that trim runs to make other programs free memory; its environment names the "
          "GPU and the amounts")
VG_OPTION(trim_timeout, DURATION, VRAMGUARD_TRIM_TIMEOUT, "10s", 1, 600000, "1ms to 10m",
          "how long trim waits for a hook, the library or the command")
VG_OPTION(python_trim, CHOICE, VRAMGUARD_PYTHON_TRIM, "cache", 0, 0, "off|cache|full",
          "what trim may empty in Python, also when another process waits for memory: the caches of "
          "PyTorch and CuPy (cache), or these after a garbage collection (full)")
VG_OPTION(priority, COUNT, VRAMGUARD_PRIORITY, "50", 0, 100, "0 to 100",
          "programs with a higher value get memory first and are not chosen to break a deadlock")
VG_OPTION(need, SIZE, VRAMGUARD_NEED, "", 1, UINT64_MAX - 1, "a size",
          "before the program creates its first context, wait until this much GPU memory is free, and "
          "reserve it")
VG_OPTION(need_wait, DURATION, VRAMGUARD_NEED_WAIT, "1h", 1, 7 * 86400000ULL, "1ms to 7d",
          "how long VRAMGUARD_NEED waits; then the program goes on without a reservation")
VG_OPTION(limit, CHECKED, VRAMGUARD_LIMIT, "", 0, 0, "SIZE or N%, or GPU:SIZE,GPU:N%,...",
          "make the GPU look this small: allocations beyond it fail with out of memory")
VG_OPTION(limit_scope, CHOICE, VRAMGUARD_LIMIT_SCOPE, "process", 0, 0, "process|shared",
          "what the limit applies to: each process by itself, or all processes started under it "
          "together (shared)")
VG_OPTION(spill_cap, CHECKED, VRAMGUARD_SPILL_CAP, "25%", 0, 0, "SIZE, or N% of the host's memory",
          "how much host memory spill may use")
VG_OPTION(inject, CHECKED, VRAMGUARD_INJECT, "", 0, 0, "N, N-M, N+, >SIZE, P%[:SEED], separated by commas",
          "which allocations to fail on purpose: the N-th of the process, a range of them, those "
          "above a size, or a random share (seed 1 unless given)")
/* clang-format on */
