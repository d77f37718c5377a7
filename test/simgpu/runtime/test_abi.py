"""Our declarations against a real toolkit's headers: sizes, offsets, constants, and the parameters of
every function we export or ask the driver for."""
import os
import re
import subprocess

import pytest

from c_declarations import Source, preprocess
from places import MAJORS, ROOT, toolkit_headers

RUNTIME = ROOT / "src/simgpu/runtime"
OURS = [f"-I{RUNTIME}", f"-I{ROOT}/src"]
OTHER_NAMES = {"uint3_bits": "dim3"}  # the same structure under our name


def need_toolkit(major):
    folder = toolkit_headers(major)
    if folder is None:
        pytest.skip(f"no CUDA {major} headers found (make check-abi CUDA{major}=1 fetches them)")
    return folder


def run_c(tmp_path, name, text, *flags):
    source = tmp_path / f"{name}.c"
    source.write_text(text)
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-w", *flags, "-o", tmp_path / name,
                    source], check=True)
    return subprocess.run([tmp_path / name], check=True, capture_output=True,
                          text=True).stdout.splitlines()


def declared_names(folder):
    return set(re.findall(r"\w+", preprocess(os.path.join(folder, "cuda_runtime_api.h"), "-dD", f"-I{folder}")))


@pytest.mark.parametrize("major", MAJORS)
def test_layouts_and_constants(major, tmp_path):
    folder = need_toolkit(major)
    ours = Source(preprocess(RUNTIME / "cudart_abi.h", f"-DCUDART_MAJOR={major}", *OURS))
    known = declared_names(folder)
    rows = []
    for name, members in ours.structures().items():
        name = "dim3" if name == "struct uint3_bits" else name
        if not name.split()[-1].startswith(("cuda", "dim3")):
            continue  # of the driver's ABI, which has a test of its own
        if major == 11 and name.split()[-1] not in known:
            continue  # came later; our version 11 has it all the same, and exports nothing that takes it
        rows.append(f'printf("{name} %zu\\n", sizeof({name}));')
        rows += [f'printf("{name}.{m} %zu %zu\\n", offsetof({name}, {m}), '
                 f"sizeof((({name} *)0)->{m}));" for m in members]
    rows += [f'printf("{c} %d\\n", (int){c});' for c in ours.constants()
             if c.startswith("cuda") and (major > 11 or c in known)]
    assert len(rows) > (360 if major == 11 else 400)
    body = "#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n" + "\n".join(rows) + "}\n"
    mine = run_c(tmp_path, "ours", '#include "cudart_abi.h"\n' + body,
                 f"-DCUDART_MAJOR={major}", *OURS)
    theirs = run_c(tmp_path, "theirs", "#include <cuda_runtime_api.h>\n" + body, f"-I{folder}")
    assert mine == theirs


def test_driver_layouts(tmp_path):
    """Our names for driver structures, and the runtime's that are passed on as the driver's."""
    folder = need_toolkit(13)
    ours = Source(preprocess(RUNTIME / "driver_types.h", *OURS)).structures()
    renamed = {"driver_copy_2d": "CUDA_MEMCPY2D", "driver_copy_3d": "CUDA_MEMCPY3D",
               "driver_array_3d": "CUDA_ARRAY3D_DESCRIPTOR", "driver_launch_config":
               "CUlaunchConfig", "driver_memset_node": "CUDA_MEMSET_NODE_PARAMS",
               "driver_kernel_node": "CUDA_KERNEL_NODE_PARAMS"}
    assert {"struct " + name for name in renamed} == \
        {name for name in ours if name.startswith("struct driver_")}
    same_size = {"struct cudaMemPoolProps": "CUmemPoolProps",
                 "struct cudaMemLocation": "CUmemLocation",
                 "struct cudaMemAccessDesc": "CUmemAccessDesc",
                 "struct cudaMemPoolPtrExportData": "CUmemPoolPtrExportData",
                 "struct cudaMemAllocNodeParams": "CUDA_MEM_ALLOC_NODE_PARAMS",
                 "struct cudaHostNodeParams": "CUDA_HOST_NODE_PARAMS",
                 "cudaGraphInstantiateParams": "CUDA_GRAPH_INSTANTIATE_PARAMS",
                 "cudaGraphExecUpdateResultInfo": "CUgraphExecUpdateResultInfo",
                 "cudaGraphEdgeData": "CUgraphEdgeData", "cudaIpcMemHandle_t": "CUipcMemHandle",
                 "cudaIpcEventHandle_t": "CUipcEventHandle",
                 "cudaLaunchAttribute": "CUlaunchAttribute",
                 "cudaLaunchAttributeValue": "CUlaunchAttributeValue"}

    def listing(name_of):
        rows = [f'printf("%zu\\n", sizeof({name_of(m, t)}));' for m, t in same_size.items()]
        for name, original in renamed.items():
            rows += [f'printf("{original}.{m} %zu\\n", offsetof({name_of("struct " + name, original)},'
                     f" {m}));" for m in ours["struct " + name]]
        return ("#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n" + "\n".join(rows)
                + "}\n")

    mine = run_c(tmp_path, "ours", '#include "driver_types.h"\n' + listing(lambda m, _: m), *OURS)
    theirs = run_c(tmp_path, "theirs", "#include <cuda.h>\n" + listing(lambda _, t: t),
                   f"-I{folder}")
    assert len(mine) > 60
    assert mine == theirs


def our_functions(major):
    """Those that are exported; what a version has not, it compiles all the same."""
    with open(RUNTIME / "exports.txt", encoding="utf-8") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    exported = {name for name, majors, _ in rows
                if int(majors.split("-")[0]) <= major <= int(majors.split("-")[-1])}
    functions = {}
    for source in sorted(RUNTIME.glob("*.c")):
        text = preprocess(source, f"-DCUDART_MAJOR={major}", *OURS)
        functions.update(Source(text).functions())
    return {name: params for name, params in functions.items()
            if name.startswith("cuda") and name in exported}


def their_functions(folder):
    """The public declarations and those that are given to code asking for internal names."""
    functions = {}
    for flags in ([], ["-D__CUDA_API_VERSION_INTERNAL"]):
        for header in ("cuda_profiler_api.h", "cuda_runtime_api.h"):
            path = os.path.join(folder, header)
            if os.path.exists(path):
                functions.update(Source(preprocess(path, f"-I{folder}", *flags)).functions())
    return functions


@pytest.mark.parametrize("major", MAJORS)
def test_runtime_parameters(major):
    theirs = their_functions(need_toolkit(major))
    compared = set()
    for name, params in our_functions(major).items():
        declared = name if name in theirs else re.sub("_pt[sd][sz]$", "", name)
        if declared not in theirs and declared != name:
            continue  # an older form's twin, of which the header has only the base
        if declared not in theirs and name.startswith("cudaProfiler"):
            continue  # its header comes in a package of its own
        assert declared in theirs, f"no header declares {name}"
        mine = [OTHER_NAMES.get(param, param) for param in params]
        assert mine == [OTHER_NAMES.get(param, param) for param in theirs[declared]], name
        compared.add(name)
    assert len(compared) > 200


def test_driver_parameters():
    """Every row of the driver table against the function type of that name and version."""
    folder = need_toolkit(13)
    types = Source(preprocess(os.path.join(folder, "cudaTypedefs.h"),
                              f"-I{folder}")).function_types()
    types.update(Source(preprocess(os.path.join(folder, "cudaProfilerTypedefs.h"),
                                   f"-I{folder}")).function_types())
    text = ('#include "driver_table.h"\n'
            "#define ROW(member, name, version, params) @@ name version 0 params @@\n"
            "#define TWO(member, name, version, ptsz, params) "
            "@@ name version 0 params @@ @@ name ptsz 2 params @@\n"
            "DRIVER_TABLE(ROW, TWO)\n")
    source = Source(subprocess.run(
        [os.environ.get("CC", "cc"), "-E", "-P", "-x", "c", *OURS, "-"], input=text, check=True,
        capture_output=True, text=True).stdout)
    found = re.findall(r'@@ "(\w+)" (\d+) (\d) \((.*?)\) @@', source.text, re.S)
    assert len(found) > 200
    structures = {"driver_launch_config": "CUlaunchConfig", "cudaMemLocation": "CUmemLocation",
                  "cudaIpcMemHandle_t": "CUipcMemHandle", "cudaIpcEventHandle_t":
                  "CUipcEventHandle"}
    for name, version, flags, params in found:
        names = [f"PFN_{name}_v{version}{suffix}"
                 for suffix in (("_ptsz", "_ptds") if flags == "2" else ("",))]
        expected = [types[n] for n in names if n in types]
        assert expected, f"{name} has no version {version} (flags {flags})"
        mine = [structures.get(param, param) for param in source.parameters(params)]
        assert mine == [re.sub("_v1$", "", param) for param in expected[0]], (name, version)
