"""The leak gate over 100,000 samples: groups, shared boxes, near duplicates.

Beside it the physical limit: one look at the compared pixels.
"""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from astrid_training.digests import sample_key
from astrid_training.division import Divided
from astrid_training.leaks import check_leaks, near_duplicates
from astrid_training.packs import PackCache, put_array
from astrid_training.params import PreprocessSpec, SplitPolicy
from astrid_training.splits import Assignment, hashed_split
from astrid_training.store import Store
from benchmarks.rows import Row, at_most
from benchmarks.timing import interleave

SAMPLES = 100_000
PACK = 2048
SPEC = PreprocessSpec(channels=("difference",))


def make_samples(store: Store) -> Divided:
    """Write packs of noise and return 100,000 samples all over the sky, divided."""
    rng, side = np.random.default_rng(1), SPEC.padded_size
    rows: list[int] = []
    packs: list[str] = []
    for start in range(0, SAMPLES, PACK):
        count = min(PACK, SAMPLES - start)
        stamps = rng.standard_normal((count, 1, side, side), np.float32)
        packs += [put_array(store, "images", stamps)] * count
        rows += range(count)
    keys = [sample_key("det", str(number)) for number in range(SAMPLES)]
    splits = [hashed_split(SplitPolicy(), key) for key in keys]
    samples = pa.table(
        {
            "sample_key": keys,
            "group_key": keys,
            "split": splits,
            "is_anomaly": [number % 2 == 0 for number in range(SAMPLES)],
            "image_digest": keys,
            "image_pack": packs,
            "pack_row": pa.array(rows, pa.int32()),
            "survey": ["ztf"] * SAMPLES,
            "source_kind": ["raw"] * SAMPLES,
            "observation_id": [str(number // 10) for number in range(SAMPLES)],
            "observation_time": [datetime(2024, 1, 1, tzinfo=UTC)] * SAMPLES,
            "reference_path": [f"r{number // 100}" for number in range(SAMPLES)],
            "pixel_scale": np.ones(SAMPLES),
            "frame_x": rng.uniform(0, 3072, SAMPLES),
            "frame_y": rng.uniform(0, 3072, SAMPLES),
            "ra_deg": rng.uniform(0, 360, SAMPLES),
            "dec_deg": np.degrees(np.arcsin(rng.uniform(-1, 1, SAMPLES))),
        }
    )
    given = [Assignment(key, split, known=False) for key, split in zip(keys, splits, strict=True)]
    return Divided(samples, given, SplitPolicy(), {}, 0)


def report() -> list[Row]:
    """Return the rows of the table of results."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder).as_uri())
        packs = PackCache(store, Path(folder) / "cache")
        divided = make_samples(store)
        everything = np.arange(SAMPLES)

        def read() -> None:
            for pack in dict.fromkeys(divided.samples["image_pack"].to_pylist()):
                packs.open("images", pack)[:, 0, 4:68, 4:68].max()

        times = interleave(
            {
                "gate": lambda: check_leaks(divided, packs, SPEC),
                "near": lambda: near_duplicates(divided.samples, everything, packs, SPEC),
                "read": read,
            }
        )
    limit = times["read"].cpu_s
    near, gate = times["near"].cpu_s, times["gate"].cpu_s
    pixels = f"one look at the pixels {limit:.2f} CPU-s"
    return [
        Row(
            f"near duplicates, {SAMPLES:,} samples",
            f"{near:.1f} CPU-s",
            pixels,
            near / limit,
            at_most(near, 5, "CPU-s"),
        ),
        Row(f"the whole leak gate, {SAMPLES:,} samples", f"{gate:.1f} CPU-s", pixels, gate / limit),
    ]
