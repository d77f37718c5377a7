/* Environment variables that advice may tell people to set:
 *
 *   VG_SETTING(NAME, rule, moot_by, moot_values)
 *
 * rule         when NAME is set as advised already:
 *              SAME     it has the value, in whatever case
 *              ANY      it has a value: which one is right, only its user knows
 *              AT_MOST  it has a number that is no larger
 *              KEYS     it has each of the value's "key:value"
 *              POLICY   it has each of the value's actions, and waits as long
 * moot_by      another variable that makes NAME be of no effect where it has one of the values
 *              `moot_values`, separated by '|'; "" for none
 *
 * All of them are noted at the process's first use of CUDA and recorded with a failure; what is set
 * as advised is not advised (view/advice_filter.h). Names of options count as set also where their
 * value comes from the file of settings. */
/* clang-format off */
VG_SETTING(PYTORCH_CUDA_ALLOC_CONF, KEYS, "", "")
VG_SETTING(PYTORCH_ALLOC_CONF, KEYS, "", "")
/* JAX, "GPU memory allocation": the other allocators take nothing in advance. */
VG_SETTING(XLA_PYTHON_CLIENT_PREALLOCATE, SAME, "XLA_PYTHON_CLIENT_ALLOCATOR", "platform|cuda_async")
VG_SETTING(XLA_PYTHON_CLIENT_MEM_FRACTION, AT_MOST, "XLA_PYTHON_CLIENT_ALLOCATOR", "platform|cuda_async")
VG_SETTING(XLA_PYTHON_CLIENT_ALLOCATOR, SAME, "", "")
VG_SETTING(TF_FORCE_GPU_ALLOW_GROWTH, SAME, "", "")
VG_SETTING(CUPY_GPU_MEMORY_LIMIT, ANY, "", "")
VG_SETTING(CUDA_MODULE_LOADING, SAME, "", "")
VG_SETTING(CUDA_VISIBLE_DEVICES, SAME, "", "")
VG_SETTING(VRAMGUARD_POLICY, POLICY, "", "")
VG_SETTING(VRAMGUARD_NEED, ANY, "", "")
/* clang-format on */
