/* Frameworks that allocate GPU memory by themselves, and what their users can do when it is short:
 *
 *   VG_FRAMEWORK(NAME, name, modules, paths, pool, advice)
 *
 * modules  how the file names of its libraries begin, separated by '|'
 * paths    what the paths of its Python files contain, likewise
 * pool     of those that hand out memory of a pool which they take in large pieces: what they say
 *          when it is full, and what sets its size, without a full stop; "" for the others
 * advice   in the framework's own words, without a full stop; read in its documentation
 *
 * A new row is recognised and advised by itself (view/framework.h). PyTorch is not here: what it
 * holds is known in more detail (view/advice_blocks.c). */
/* clang-format off */
VG_FRAMEWORK(VLLM, "vLLM", "", "/vllm/",
    "",
    "a lower gpu_memory_utilization, a smaller max_model_len, or quantised weights")
VG_FRAMEWORK(JAX, "JAX", "xla_|libjax|pjrt_", "/jax/|/jaxlib/",
    "JAX says RESOURCE_EXHAUSTED then, and XLA_PYTHON_CLIENT_MEM_FRACTION sets how large the pool may become",
    "XLA_PYTHON_CLIENT_PREALLOCATE=false, which takes memory only when it is needed; or "
    "XLA_PYTHON_CLIENT_MEM_FRACTION=.50, which takes less")
VG_FRAMEWORK(TENSORFLOW, "TensorFlow", "libtensorflow|_pywrap_tensorflow", "/tensorflow/|/keras/",
    "TensorFlow raises ResourceExhaustedError then",
    "TF_FORCE_GPU_ALLOW_GROWTH=true, which takes memory only when it is needed; "
    "or tf.config.LogicalDeviceConfiguration(memory_limit=...)")
VG_FRAMEWORK(ONNXRUNTIME, "ONNX Runtime", "libonnxruntime|onnxruntime", "/onnxruntime/",
    "ONNX Runtime says \"Failed to allocate memory\" then, and gpu_mem_limit sets how large the pool may become",
    "gpu_mem_limit and arena_extend_strategy=kSameAsRequested of the CUDAExecutionProvider")
VG_FRAMEWORK(RMM, "RMM", "librmm", "/rmm/",
    "RMM throws out_of_memory then, and maximum_pool_size sets how large the pool may become",
    "a smaller initial_pool_size or maximum_pool_size of RMM's pool")
VG_FRAMEWORK(CUPY, "CuPy", "", "/cupy/|/cupyx/",
    "",
    "cupy.get_default_memory_pool().free_all_blocks(), or a limit for CuPy's pool: "
    "CUPY_GPU_MEMORY_LIMIT=50%")
VG_FRAMEWORK(NUMBA, "numba", "", "/numba/|/numba_cuda/",
    "",
    "fewer or smaller device arrays at a time (del those that are no longer needed)")
VG_FRAMEWORK(TINYGRAD, "tinygrad", "", "/tinygrad/",
    "",
    "fewer or smaller tensors at a time")
VG_FRAMEWORK(DRJIT, "Dr.Jit", "libdrjit", "/drjit/|/mitsuba/",
    "",
    "fewer samples or pixels in one launch, and dr.flush_malloc_cache() between launches")
VG_FRAMEWORK(WARP, "Warp", "warp.so", "/warp/",
    "",
    "fewer or smaller arrays at a time; wp.set_mempool_release_threshold() for what its pool keeps")
VG_FRAMEWORK(LLAMA, "llama.cpp", "libggml|libllama|llama-", "/llama_cpp/",
    "",
    "fewer layers on the GPU (-ngl), a shorter context (-c), or a smaller quantisation of the model")
/* clang-format on */
