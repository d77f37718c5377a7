/* What came of each thing that was tried at a failing call, and why something was not tried:
 *
 *   VG_OUTCOME(number, NAME, json_name, sentence)
 *
 * `number` is what run files hold: never changed, never used again. `json_name` is for programs.
 * `sentence` is for people; in it stand {who} for the process ("pid 4711 (python train.py)"),
 * {bytes}, {more} for a second amount, {time}, {number} and {text}. Derived from a row: enum
 * vg_outcome_code, the sentence and the name (view/outcome_text.h), the test of all rows. */
/* clang-format off */

/* Of a run file of an older version, which held sentences. */
VG_OUTCOME(  1, TEXT, "text", "{text}")

/* wait: skipped. */
VG_OUTCOME(100, SKIPPED_LIMIT, "own_limit", "skipped: VRAMGUARD_LIMIT is the cause")
VG_OUTCOME(101, SKIPPED_ARENA, "asks_for_less", "skipped: this library asks for less by itself (VRAMGUARD_NEED waits before the program starts)")
VG_OUTCOME(102, SKIPPED_BATCH_SEARCH, "batch_search", "skipped: the program searches for a batch size that fits")
VG_OUTCOME(103, SKIPPED_SHRINKING, "shrinking", "skipped: the program asks for less and less")
VG_OUTCOME(104, SKIPPED_PROBING, "probing", "skipped: the program is trying how much it gets")
VG_OUTCOME(105, SKIPPED_SPILLED, "spilling", "skipped: an earlier wait brought nothing, and the memory was spilled")
VG_OUTCOME(106, SKIPPED_SIGNAL, "signal_before", "skipped: a signal asks the program to end")
VG_OUTCOME(107, SKIPPED_REPEATED, "repeated_call", "skipped: PyTorch repeats a call that has just waited")
VG_OUTCOME(108, SKIPPED_NO_CONTEXT, "no_context", "skipped: there is no context yet, so the GPU is not known")
VG_OUTCOME(109, SKIPPED_TOO_LARGE, "too_large", "skipped: {bytes} is more than the GPU has")
VG_OUTCOME(110, SKIPPED_OWN_MEMORY, "own_memory", "skipped: this process itself holds {bytes}, which leaves no room for {more}")
VG_OUTCOME(111, SKIPPED_UNKNOWN, "others_unknown", "skipped: what other processes hold is unknown")
VG_OUTCOME(112, SKIPPED_ALONE, "alone", "skipped: no other process uses this GPU")
VG_OUTCOME(113, SKIPPED_OTHERS_HOLD_LESS, "others_hold_less", "skipped: all other processes hold {bytes} together, but {more} is missing")
VG_OUTCOME(114, SKIPPED_BUDGET, "hour_budget", "skipped: this process has waited for 10 minutes within the last hour")
VG_OUTCOME(115, SKIPPED_UNCHANGED, "unchanged", "skipped: nothing has changed on this GPU since a wait brought nothing")
VG_OUTCOME(116, SKIPPED_OWN_JOB, "own_job", "skipped: the memory belongs to processes of the same job ({who} holds {bytes})")
VG_OUTCOME(117, SKIPPED_PARENT, "own_parent", "skipped: {who}, which started this process, holds {bytes}")
VG_OUTCOME(118, SKIPPED_CHILDREN, "own_children", "skipped: {who}, which this process started, holds {bytes}")
VG_OUTCOME(119, SKIPPED_GIL, "holds_gil", "skipped: the failing thread holds Python's GIL, so a wait would stop all Python threads")
VG_OUTCOME(120, SKIPPED_SLOW_NVML, "slow_nvml", "skipped: NVML did not say within {time} what other processes hold")
VG_OUTCOME(121, SKIPPED_SELF_UNKNOWN, "self_unknown", "skipped: without NVML it is not known whether another process uses this GPU")

/* wait: how it ended. */
VG_OUTCOME(200, GOT_IT, "got_it", "got it")
VG_OUTCOME(201, OTHER_ERROR, "other_error", "the call now fails with another error")
VG_OUTCOME(202, NOTHING_FREED, "nothing_freed", "nothing came free")
VG_OUTCOME(203, DEADLOCK, "deadlock", "gave up to break a deadlock: all processes that could free memory wait")
VG_OUTCOME(204, SIGNAL, "signal", "a signal asks the program to end")
VG_OUTCOME(205, TRIM_STUCK, "trim_stuck", "emptying PyTorch's cache waits for this very call")
VG_OUTCOME(206, SHORT_GIL, "short_gil", "waited only {time}: the failing thread holds Python's GIL, so all Python threads stand still")
VG_OUTCOME(207, SHORT_SURVIVES, "short_survives", "waited only {time}: the program has handled out of memory before")

/* wait: what became of who held the most. */
VG_OUTCOME(300, HOLDER_ENDED, "holder_ended", "{who} ended")
VG_OUTCOME(301, HOLDER_FREED, "holder_freed", "{who} freed {bytes}")
VG_OUTCOME(302, HOLDER_KEEPS, "holder_keeps", "{who} still holds {bytes}")
VG_OUTCOME(305, HOLDER_OUT_OF_REACH, "holder_out_of_reach", "it cannot be asked to give back (it is unguarded, or its container does not share /dev/shm)")
VG_OUTCOME(303, GAVE_BACK, "gave_back", "{who} gave back {bytes} of its cache")
VG_OUTCOME(304, GAVE_BACK_OTHERS, "gave_back_others", "{who} and others gave back {bytes} of their caches")

/* trim: {text} is who was asked: "pools", "hook "cache"". */
VG_OUTCOME(400, GAVE, "gave", "{text} +{bytes}")
VG_OUTCOME(401, ASKED, "asked", "{text}")
VG_OUTCOME(402, GAVE_SAYS, "gave_but_says", "{text} +{bytes} (says {more})")
VG_OUTCOME(403, SAYS, "says", "{text} says {bytes}")
VG_OUTCOME(404, THREW, "threw", "{text} threw an exception")
VG_OUTCOME(405, ENDED_THREAD, "ended_thread", "{text} ended its thread")
VG_OUTCOME(406, NOT_RETURNED, "not_returned", "{text} has not returned")
VG_OUTCOME(407, STILL_RUNS, "still_runs", "{text} not asked (an earlier one still runs)")
VG_OUTCOME(408, NOT_EMPTIED, "not_emptied", "{text} not emptied")
VG_OUTCOME(409, NOT_EMPTIED_PYTORCH, "not_emptied_pytorch", "{text} not emptied (PyTorch's allocator is in the call)")
VG_OUTCOME(410, NOT_EMPTIED_GIL, "not_emptied_gil", "{text} not emptied (the failing thread holds the GIL)")
VG_OUTCOME(411, NOT_EMPTIED_OTHERS, "not_emptied_others", "{text} not emptied (another thread lacks memory, too)")
VG_OUTCOME(412, COMMAND_NOT_STARTED, "command_not_started", "command could not be started")
VG_OUTCOME(413, COMMAND_NOT_RUN, "command_not_run", "command not run")
VG_OUTCOME(414, COMMAND_KILLED, "command_killed", "command (killed after {time}) +{bytes}")
VG_OUTCOME(415, COMMAND_SIGNAL, "command_signal", "command (signal {number}) +{bytes}")
VG_OUTCOME(416, COMMAND_STATUS, "command_status", "command (exit status {number}) +{bytes}")
VG_OUTCOME(417, TRIM_NO_CONTEXT, "trim_no_context", "skipped: there is no context yet")
VG_OUTCOME(418, TRIM_TOO_LARGE, "trim_too_large", "skipped: the request is larger than the GPU")
VG_OUTCOME(419, MORE_NOT_SHOWN, "more_not_shown", "...")

/* spill. */
VG_OUTCOME(500, PLACED, "placed", "placed in host memory")
VG_OUTCOME(501, SPILL_HOST_UNKNOWN, "host_unknown", "how much memory the host has is not known")
VG_OUTCOME(502, SPILL_CAP, "spill_cap", "beyond VRAMGUARD_SPILL_CAP: {bytes} of {more} spilled already")
VG_OUTCOME(503, SPILL_ROOM_UNKNOWN, "host_room_unknown", "how much memory the host has to spare is not known")
VG_OUTCOME(504, SPILL_CGROUP, "cgroup_limit", "the control group's limit leaves {bytes}")
VG_OUTCOME(505, SPILL_HOST_KEEPS, "host_keeps", "the host has {bytes} available and keeps {more} of it")
VG_OUTCOME(506, SPILL_NO_ADDRESS, "no_unified_address", "this GPU does not reach host memory at the host's address")
VG_OUTCOME(507, SPILL_BAD_ARGUMENTS, "bad_arguments", "the arguments are not valid")
VG_OUTCOME(508, SPILL_SPECIAL, "special_memory", "memory that can be shared, or has other special properties, cannot be on the host")
VG_OUTCOME(509, SPILL_NO_HOST_MAPPING, "no_host_mapping", "this GPU does not map host memory (cuMemCreate)")
VG_OUTCOME(510, SPILL_GRANULARITY, "granularity", "the size is not a multiple of the host memory's granularity")
VG_OUTCOME(511, SPILL_EXPORTED, "exported", "this program shares memory with other processes, which is not possible with spilled memory")
VG_OUTCOME(512, SPILL_NO_STAND_IN, "no_stand_in", "what this call allocates cannot be on the host")
VG_OUTCOME(513, SPILL_CAPTURE, "capture", "a stream is being captured")
VG_OUTCOME(514, SPILL_NO_CONTEXT, "spill_no_context", "there is no context yet")
VG_OUTCOME(515, SPILL_DRIVER_REFUSED, "driver_refused", "the driver gave no host memory (CUDA error {number})")
VG_OUTCOME(516, SPILL_NO_RECORD, "no_record", "no memory to keep track of it")

/* The guard's own. */
VG_OUTCOME(600, FLUSHED, "flushed", "PyTorch emptied its cache and asked again")
VG_OUTCOME(601, ENOUGH_FREE, "enough_free", "enough is free, so the call was repeated")
VG_OUTCOME(602, NOT_ASKED_AGAIN, "not_asked_again", "the caller did not ask again after its first failure; what is held was looked at later")
VG_OUTCOME(603, FLUSHED_OTHER, "flushed_other", "{text} emptied its cache and asked again")
VG_OUTCOME(604, CAPTURING, "capturing", "a CUDA graph is being captured, so nothing may be freed or waited for")
/* clang-format on */
