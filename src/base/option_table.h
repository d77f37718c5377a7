/* The one list of options. Each row is an environment variable that the library reads once, at the
 * process's first use of CUDA, and an option of `vramguard run`.
 *
 *   VG_OPTION(field, type, ENVIRONMENT, default, minimum, maximum, allowed, help)
 *
 * type     CHOICE: one of the words in `allowed`, separated by '|'; the field holds its index.
 *          COUNT: a whole number from minimum to maximum.
 *          PATH: any text; empty means "not set".
 *          ACTIONS: a list of policy actions separated by commas, or "off"; checked by the policy
 *          layer, which knows the actions.
 * allowed  what an error message and the documentation name as allowed.
 *
 * Derived from it: struct vg_options, the parser, `vramguard run --help`, the README's table, the
 * fuzzed inputs of test/unit. getenv appears nowhere else but for the conventions NO_COLOR,
 * XDG_STATE_HOME and HOME. */
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
          "how many recorded runs stay in the state directory; 0 keeps all")
VG_OPTION(policy, ACTIONS, VRAMGUARD_POLICY, "off", 0, 0, "trim, off",
          "what is tried, in this order, before an allocation fails")
/* clang-format on */
