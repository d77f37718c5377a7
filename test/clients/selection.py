"""Which tests of each client are run: those that need only the driver API and no results of kernels.

A simulated GPU runs no kernel, and the machine need not have NVIDIA's compiler: tests that compile
or look at what a kernel computed are left out by name.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent


class Group:
    """A part of a client's tests that runs in one process.

    names: what the framework is given; without: the tests left out, by the end of their names.
    """

    def __init__(self, client, title, framework, names, without=()):
        self.client, self.title, self.framework = client, title, framework
        self.names, self.without = names, tuple(without)


# The environment that holds each client, the package whose version is shown, and in words what of
# it is left out.
CLIENTS = {
    "numba-cuda": ("numba-cuda", "numba-cuda", "compile or run kernels"),
    "cuda-bindings": ("numba-cuda", "cuda-bindings", ""),
    "PyCUDA": ("numba-cuda", "pycuda", "compile or run kernels"),
    "cuda-python": (
        "cuda-python",
        "cuda-python",
        "are about core dumps, green contexts, conditional or changed graph nodes, or nvidia-smi",
    ),
}

# numba-cuda: module, and the names of its tests that compile or run a kernel.
NUMBA = """
cudadrv.test_array_attr
cudadrv.test_context_stack: cudajit_in_attached_primary_context
cudadrv.test_cuda_array_slicing: array_assign_all array_assign_column array_assign_deep_subarray
    array_assign_row array_assign_subarray broadcast no_sync_default_stream no_sync_supplied_stream
    rank scalar strides sync
cudadrv.test_cuda_auto_context
cudadrv.test_cuda_devicerecord: structured_array2 structured_array3 structured_array4
cudadrv.test_cuda_driver: get_arch_option_illegal_arch_specific cuda_cache_config
    cuda_core_graph_builder_launch_user_facing cuda_core_stream_launch_user_facing
    cuda_core_stream_operations cuda_driver_basic cuda_driver_stream_operations
    cuda_set_shared_memory_carveout
cudadrv.test_cuda_memory
cudadrv.test_cuda_ndarray: device_array_like_2d_f_transpose device_array_like_2d_transpose
    kernel_with_buffer kernel_with_strided_memory_view devicearray_transpose_T
    devicearray_transpose_ok TestRecarray.test_recarray
cudadrv.test_deallocations
cudadrv.test_detect: is_supported_version
cudadrv.test_emm_plugins
cudadrv.test_events
cudadrv.test_host_alloc
cudadrv.test_init
cudadrv.test_managed_alloc: managed_array_attach_global managed_array_attach_host
cudadrv.test_pinned
cudadrv.test_profiler
cudadrv.test_reset_device
cudadrv.test_select_device
cudapy.test_array: array_like_2d_view_f_transpose array_like_2d_view_transpose_device
    array_reshape carray farray gpu_array_interleaved gpu_array_strided issue_4628
cudapy.test_cuda_array_interface: array_views fortran_contiguous
    from_dtype_caching_distiguish_custom_dtypes gufunc_arg kernel_arg launch_no_sync launch_sync
    launch_sync_disabled launch_sync_two_streams ufunc_arg zero_size_array
cudapy.test_ipc
cudapy.test_multigpu: multigpu_context with_context
cudapy.test_multiprocessing
cudapy.test_multithreads: concurrent_compiling spawn_concurrent_compilation
cudapy.test_slicing: slice_as_arg
cudapy.test_stream_api
"""

CUDA_PYTHON_WITHOUT = """
    test_cuda_coredump_attr test_device_get_name test_graph_poly test_cuDeviceGetDevResource
    test_conditional
"""

# PyCUDA compiles a kernel for most of what its tests do: those that do not, by name.
PYCUDA = {
    "test_driver.py": """
        TestDriver::test_memory TestDriver::test_gpuarray_cai TestDriver::test_bitlog
        TestDriver::test_mempool_2 TestDriver::test_mempool TestDriver::test_multi_context
        TestDriver::test_additional_primary_context TestDriver::test_register_host_memory
        test_pointer_holder_base
    """,
    "test_gpuarray.py": """
        TestGPUArray::test_numpy_integer_shape TestGPUArray::test_ndarray_shape
        TestGPUArray::test_len TestGPUArray::test_unit_multiply_array TestGPUArray::test_stack
        TestGPUArray::test_stride_preservation TestGPUArray::test_reshape TestGPUArray::test_view
        TestGPUArray::test_squeeze TestGPUArray::test_get_set TestGPUArray::test_copy_strides
    """,
}


def numba_groups():
    text = NUMBA.replace("\n    ", " ")
    for line in text.strip().splitlines():
        module, _, names = line.partition(":")
        without = [name if "." in name else ".test_" + name for name in names.split()]
        yield Group("numba-cuda", module, "unittest", ["numba.cuda.tests." + module], without)


def groups(packages, pycuda_sources):
    """All groups. packages: the folder of cuda-python's packages; pycuda_sources: PyCUDA's."""
    yield from numba_groups()
    without = CUDA_PYTHON_WITHOUT.split()
    for module in ("test_cuda", "test_interoperability"):
        path = packages / "cuda" / "tests" / (module + ".py")
        yield Group("cuda-python", module, "pytest", [str(path)], without)
    yield Group(
        "cuda-bindings", "ours: its wheel has none", "pytest", [str(HERE / "bindings_tests.py")]
    )
    for file, tests in PYCUDA.items():
        path = str(pycuda_sources / "test" / file)
        names = ["%s::%s" % (path, test) for test in tests.split()]
        yield Group("PyCUDA", file[: -len(".py")], "pytest", names)
