"""What a child process needs in its environment for NumPy to be quick on this machine's processor."""

from pathlib import Path

import numpy as np

__all__ = ["environment"]

ZEN_4 = ("AuthenticAMD", "25")
"""Vendor and family; those of its models with AVX-512 are Zen 4."""


def environment(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Return the variables to set before a child imports NumPy; empty where nothing helps.

    On AMD Zen 4 the AVX-512 instruction with which NumPy sorts, a compressing store to memory, is
    microcode. Measured there: sorting 1,024 rows of 4,096 float32 takes 47 ms with it and 16.6 ms
    without, float64 90 and 29 ms, one partition 28 and 6 ms; arithmetic takes the same. No result
    depends on it (docs/explanation/decisions/0012-same-bits-on-every-processor.md).

    Args:
        cpuinfo: what Linux says of the processor; not there on other systems.
    """
    if not cpuinfo.is_file():
        return {}
    lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if (facts.get("vendor_id"), facts.get("cpu family")) != ZEN_4:
        return {}
    known = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    wide = [name for name in known if name.startswith("AVX512") or name == "X86_V4"]
    return {"NPY_DISABLE_CPU_FEATURES": " ".join(wide)} if wide else {}
