"""What NumPy is told to leave out, and on which processors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from astrid_training.cpu import environment


def cpuinfo(folder: Path, vendor: str, family: int) -> Path:
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\n")
    return file


@pytest.mark.parametrize(("vendor", "family"), [("GenuineIntel", 6), ("AuthenticAMD", 26)])
def test_other_processors_need_nothing(tmp_path: Path, vendor: str, family: int) -> None:
    assert environment(cpuinfo(tmp_path, vendor, family)) == {}


def test_systems_without_cpuinfo_need_nothing(tmp_path: Path) -> None:
    assert environment(tmp_path / "none") == {}


def test_on_zen_4_a_child_has_no_avx512_and_says_nothing_about_it(tmp_path: Path) -> None:
    variables = environment(cpuinfo(tmp_path, "AuthenticAMD", 25))
    wide = [name for name in found() if name.startswith("AVX512") or name == "X86_V4"]
    assert variables == ({"NPY_DISABLE_CPU_FEATURES": " ".join(wide)} if wide else {})

    code = "import numpy; print(numpy.show_config(mode='dicts')['SIMD Extensions']['found'])"
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )

    assert child.stdout.strip() == str([name for name in found() if name not in wide])


def found() -> list[str]:
    names: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return names
