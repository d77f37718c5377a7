"""Where things are, and the environment that tests run programs in."""
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / os.environ.get("BUILD", "build")
SIMGPU = BUILD / "simgpu"
PROGRAMS = BUILD / "test" / "runtime"
VARIANTS = ("13", "12", "static")


def clean_environment(**settings):
    """The environment without anything that would change the outcome, plus `settings`."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("SIMGPU_", "VRAMGUARD", "PROBE_", "CUDA_", "LD_"))}
    kept.update({k: str(v) for k, v in settings.items()})
    return kept
