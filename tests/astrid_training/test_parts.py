"""Parts of files: what is noted to be here is here, whatever was cut short."""

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.parts import AbsentBytesError, Extent, Part, joined

CONTENT = bytes(range(1, 201))
EXTENTS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 200)).map(lambda two: (min(two), max(two))),
    max_size=5,
)


def part_of(folder: Path, *extents: Extent) -> Part:
    part = Part(folder / "file.part", len(CONTENT))
    part.add([(start, CONTENT[start:stop]) for start, stop in extents])
    return part


@given(EXTENTS, st.integers(0, 50))
def test_joined_extents_hold_the_same_bytes_and_lie_apart(extents: list[Extent], gap: int) -> None:
    merged = joined(extents, gap)

    assert {n for one in extents for n in range(*one)} <= {n for one in merged for n in range(*one)}
    assert all(a[1] + gap < b[0] for a, b in pairwise(merged))
    assert joined(extents) == joined(joined(extents))


@given(EXTENTS, EXTENTS)
def test_absent_bytes_are_those_that_are_wanted_and_not_here(
    here: list[Extent], wanted: list[Extent]
) -> None:
    part = Part(Path("no such file"), 200)
    part.extents = joined(here)
    bytes_of = [{n for one in some for n in range(*one)} for some in (wanted, here)]

    absent = part.absent(wanted)

    assert {n for one in absent for n in range(*one)} == bytes_of[0] - bytes_of[1]
    assert all(part.covers(*one) for one in here)
    assert not any(part.covers(*one) for one in absent)


def test_bytes_lie_at_their_place_in_a_file_of_full_size(tmp_path: Path) -> None:
    part = part_of(tmp_path, (20, 40), (100, 120))

    assert part.path.stat().st_size == len(CONTENT)
    assert Part(part.path, len(CONTENT)).read(25, 40) == CONTENT[25:40]


@pytest.mark.parametrize("extent", [(0, 20), (35, 45), (39, 101), (120, 121)])
def test_holes_are_never_read_as_zeros(tmp_path: Path, extent: Extent) -> None:
    part = part_of(tmp_path, (20, 40), (100, 120))

    with pytest.raises(AbsentBytesError, match="were not fetched"):
        part.read(*extent)


def test_two_who_fetch_at_once_both_find_what_both_wrote(tmp_path: Path) -> None:
    first, second = (Part(tmp_path / "file.part", len(CONTENT)) for _ in range(2))
    first.add([(0, CONTENT[:10])])
    second.add([(50, CONTENT[50:60])])

    assert Part(first.path, len(CONTENT)).extents == [(0, 10), (50, 60)]


@pytest.mark.parametrize("rest", [b"\n60-6", b"\n60-", b"\n", b"\n60-\n70-80", b"\n90-300;"])
def test_an_entry_that_was_cut_short_counts_for_nothing(tmp_path: Path, rest: bytes) -> None:
    part = part_of(tmp_path, (20, 40))
    with (tmp_path / "file.part.extents").open("ab") as log:
        log.write(rest)

    assert Part(part.path, len(CONTENT)).extents == [(20, 40)]
    part.add([(110, CONTENT[110:115])])
    assert Part(part.path, len(CONTENT)).extents == [(20, 40), (110, 115)]


@pytest.mark.parametrize("size", [None, 150])
def test_entries_without_their_file_count_for_nothing(tmp_path: Path, size: int | None) -> None:
    part = part_of(tmp_path, (20, 40))
    if size is None:
        part.path.unlink()
    else:
        part.path.write_bytes(bytes(size))

    assert Part(part.path, len(CONTENT)).extents == []


KILLED = """
import os, signal, sys
from pathlib import Path
from astrid_training import parts
content = bytes(range(1, 201))
part = parts.Part(Path(sys.argv[1]), len(content))
part.add([(0, content[:20])])
setattr(os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
part.add([(100, content[100:150])])
"""


@pytest.mark.parametrize("moment", ["pwrite", "fsync", "write"])
def test_who_is_killed_on_the_way_leaves_no_note_of_what_may_not_be_there(
    tmp_path: Path, moment: str
) -> None:
    path = tmp_path / "file.part"

    done = subprocess.run([sys.executable, "-c", KILLED, path, moment], check=False)

    assert done.returncode == -signal.SIGKILL
    part = Part(path, len(CONTENT))
    assert part.extents == [(0, 20)]
    part.add([(100, CONTENT[100:150])])
    assert Part(path, len(CONTENT)).read(100, 150) == CONTENT[100:150]
