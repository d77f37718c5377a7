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
          "off makes the library inert and silent")
VG_OPTION(stacks, CHOICE, VRAMGUARD_STACKS, "full", 0, 0, "off|native|python|full",
          "what is recorded of the code that allocates: native frames, Python frames, both")
VG_OPTION(log_path, PATH, VRAMGUARD_LOG, "", 0, 0,
          "a path; %p pid, %h host, %e executable, %t start time, %% a percent sign",
          "where this run's recorder file goes instead of the state directory")
VG_OPTION(keep_runs, COUNT, VRAMGUARD_KEEP, "200", 0, 1000000, "0 to 1000000",
          "about how many recorded runs stay in the state directory; 0 keeps all")
VG_OPTION(policy, CHECKED, VRAMGUARD_POLICY, "trim,wait=30s", 0, 0, "trim, wait[=TIME], spill, off",
          "what is tried, in this order, before an allocation fails; off: report only")
VG_OPTION(trim_library, PATH, VRAMGUARD_TRIM_LIB, "", 0, 0, "path[:symbol]",
          "a library whose function `vramguard_trim` (or symbol) frees memory when trim asks it to")
VG_OPTION(trim_command, CHECKED, VRAMGUARD_TRIM_CMD, "", 0, 0,
          "a command and its arguments: no shell, but '...', \"...\" and \\ keep blanks together",
          "a command that makes other programs free memory, run by trim; it finds device, UUID and "
          "amounts in its environment")
VG_OPTION(trim_timeout, DURATION, VRAMGUARD_TRIM_TIMEOUT, "10s", 1, 600000, "1ms to 10m",
          "how long trim waits for a hook, a library or a command")
VG_OPTION(python_trim, CHOICE, VRAMGUARD_PYTHON_TRIM, "cache", 0, 0, "off|cache|full",
          "where trim is a policy, also for other processes that wait: cache empties PyTorch's and "
          "CuPy's caches, full collects Python's garbage before")
VG_OPTION(priority, COUNT, VRAMGUARD_PRIORITY, "50", 0, 100, "0 to 100",
          "who waits with a higher one is served first and is not the one that a deadlock fails")
VG_OPTION(need, SIZE, VRAMGUARD_NEED, "", 1, UINT64_MAX - 1, "a size",
          "before its first context the program queues until that much of the GPU is free, and has "
          "it reserved")
VG_OPTION(need_wait, DURATION, VRAMGUARD_NEED_WAIT, "1h", 1, 7 * 86400000ULL, "1ms to 7d",
          "how long VRAMGUARD_NEED waits before the program goes on without")
VG_OPTION(limit, CHECKED, VRAMGUARD_LIMIT, "", 0, 0, "SIZE or N%, or GPU:SIZE,GPU:N%,...",
          "allocations beyond it fail as if the GPU were that small")
VG_OPTION(limit_scope, CHOICE, VRAMGUARD_LIMIT_SCOPE, "process", 0, 0, "process|shared",
          "whose allocations a limit counts: each process's own, or those of all processes that "
          "were started under it together")
VG_OPTION(spill_cap, CHECKED, VRAMGUARD_SPILL_CAP, "25%", 0, 0, "SIZE, or N% of the host's memory",
          "how much host memory spill may take")
VG_OPTION(inject, CHECKED, VRAMGUARD_INJECT, "", 0, 0, "N, N-M, N+, >SIZE, P%[:SEED], separated by commas",
          "allocations that are made to fail: the N-th of the process, those from the N-th to the "
          "M-th or on, those above a size, a random share (seed 1 unless given)")
/* clang-format on */
