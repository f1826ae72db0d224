"""A copy of a dataset is made once, whole, by whoever comes first, and within its limit."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from astrid_training.dataset import TrainingSplits, splits_from
from astrid_training.errors import CacheFullError, StoreCorruptError
from astrid_training.packs import pack_key
from astrid_training.store import Store

PATIENCE_S = 60


def _copied(published: Any, cache: Path, **more: Any) -> TrainingSplits:
    return splits_from(published.record, published.store, cache, in_place=False, **more)


def _copies(cache: Path) -> list[Path]:
    return [path for path in (cache / "loader").iterdir() if path.is_dir()]


LOAD = """
import hashlib, os, pickle, sys, time
from pathlib import Path
import astrid_training.pack_parts as parts
from astrid_training.dataset import splits_from
from astrid_training.store import Store
slow = float(sys.argv[4])
read = parts.PackReader.read
def slowly(self, kind, part):
    time.sleep(slow)
    os.write(1, b"read\\n")  # whole, whichever threads write
    return read(self, kind, part)
parts.PackReader.read = slowly
record = pickle.loads(Path(sys.argv[1]).read_bytes())
train = splits_from(record, Store(sys.argv[2]), Path(sys.argv[3]), in_place=False).train
print(hashlib.sha256(b"".join(s.image.numpy().tobytes() for s in train)).hexdigest(), flush=True)
"""


def _loading(published: Any, folder: Path, slow_s: float) -> subprocess.Popen[str]:
    record = folder / "record.pickle"
    record.write_bytes(pickle.dumps(published.record))
    arguments = [record, published.store.url, folder / "cache", str(slow_s)]
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, *arguments], stdout=subprocess.PIPE, text=True
    )


def test_a_copy_holds_the_pixels_of_the_packs(published: Any, tmp_path: Path) -> None:
    there = splits_from(published.record, published.store, tmp_path, in_place=True)

    copied = _copied(published, tmp_path)

    for one, other in zip(there, copied, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert_array_equal(mine.image, theirs.image)
            assert_array_equal(mine.mask, theirs.mask)
            assert mine.key == theirs.key


def test_two_processes_at_once_make_one_copy_and_read_each_pack_once(
    published: Any, tmp_path: Path
) -> None:
    both = [_loading(published, tmp_path, 0.1) for _ in range(2)]

    said = [process.communicate(timeout=PATIENCE_S)[0].split() for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert sorted(len(set(words)) for words in said) == [1, 2]  # one read, the other waited
    assert len(_copies(tmp_path / "cache")) == 1


@pytest.mark.slow  # it waits until a copy is half made
def test_a_copy_whose_maker_was_killed_is_continued_and_whole(
    published: Any, tmp_path: Path
) -> None:
    first = _loading(published, tmp_path, 0.4)
    assert first.stdout is not None
    for _ in range(5):
        first.stdout.readline()
    time.sleep(0.2)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=PATIENCE_S)
    assert not (_copies(tmp_path / "cache")[0] / "complete").exists()

    second = _loading(published, tmp_path, 0)
    words = second.communicate(timeout=PATIENCE_S)[0].split()

    packs = 2 * -(-published.record.total_samples // 37)
    assert 0 < words.count("read") < packs
    (tmp_path / "other").mkdir()
    whole = _loading(published, tmp_path / "other", 0)
    assert words[-1] == whole.communicate(timeout=PATIENCE_S)[0].split()[-1]


def test_a_pack_with_a_changed_bit_never_reaches_a_copy(published: Any, tmp_path: Path) -> None:
    shutil.copytree(published.store.local_path(""), tmp_path / "store")
    store = Store((tmp_path / "store").as_uri())
    key = pack_key("images", published.samples["image_pack"][0].as_py())
    changed = bytearray(store.get(key))
    changed[-1] ^= 1
    store.put(key, bytes(changed))

    with pytest.raises(StoreCorruptError):
        splits_from(published.record, store, tmp_path / "cache", in_place=False)

    assert not (_copies(tmp_path / "cache")[0] / "complete").exists()


def test_the_copy_used_longest_ago_makes_room(published: Any, tmp_path: Path) -> None:
    splits = _copied(published, tmp_path)
    (old,) = _copies(tmp_path)
    size = sum(path.stat().st_size for path in old.glob("*.npy"))
    del splits

    kept = _copied(published, tmp_path, channels=("science",), limit_bytes=size + 4096)

    assert not old.exists()
    assert len(_copies(tmp_path)) == 1
    assert np.isfinite(kept.train[0].image).all()


def test_a_copy_in_use_never_makes_room(published: Any, tmp_path: Path) -> None:
    used = _copied(published, tmp_path)
    (old,) = _copies(tmp_path)
    size = sum(path.stat().st_size for path in old.glob("*.npy"))

    with pytest.raises(CacheFullError, match="ASTRID_LOADER_CACHE_GB"):
        _copied(published, tmp_path, channels=("science",), limit_bytes=size + 4096)

    assert old.exists()
    assert np.isfinite(used.train[0].image).all()
