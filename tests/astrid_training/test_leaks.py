"""Nothing that judges a model shows what it was trained on, whatever the sky."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astrid_training.division import Divided
from astrid_training.groups import pixel_scales, places_of
from astrid_training.leaks import PACKS_OPEN, LeaksFoundError, check_leaks, near_duplicates
from astrid_training.packs import PackCache, put_array
from astrid_training.params import PreprocessSpec, SplitPolicy
from astrid_training.splits import Assignment, Sighting, assign_splits
from astrid_training.store import Store

SPEC = PreprocessSpec(channels=("science", "difference"), stamp_size=16, margin=2)
POLICY = SplitPolicy(train=0.5, val=0.25, test=0.25)
FRAMES = 40
"""Different stamps in the pack; as many again show the same pixels with more noise."""
SCALE = 1.0


class Pack(NamedTuple):
    cache: PackCache
    digest: str


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("packs")
    store = Store(folder.as_uri())
    rng, side = np.random.default_rng(3), SPEC.padded_size
    stamps = rng.normal(0, 1, (FRAMES, 2, side, side))
    noisier = stamps + rng.normal(0, 0.2, stamps.shape)
    digest = put_array(store, "images", np.concatenate([stamps, noisier]).astype(np.float32))
    return Pack(PackCache(store, folder / "cache"), digest)


def table(
    ra: Sequence[float],
    dec: Sequence[float],
    exposure: Sequence[int],
    stamp: Sequence[int],
    digest: str,
    middle: tuple[float, float] | None = None,
) -> pa.Table:
    """Return samples; those of one exposure lie on one frame, whose middle is `middle`."""
    n = len(ra)
    x, y = pixels(np.array(ra), np.array(dec), middle) if middle else (np.full(n, np.nan),) * 2
    return pa.table(
        {
            "sample_key": [f"{number:032d}" for number in range(n)],
            "group_key": pa.nulls(n, pa.string()),
            "split": pa.nulls(n, pa.string()),
            "survey": ["ztf"] * n,
            "ra_deg": np.array(ra, float),
            "dec_deg": np.array(dec, float),
            "fwhm_arcsec": np.full(n, 2.0),
            "pixel_scale": np.full(n, SCALE),
            "observation_id": [f"exposure {number}" for number in exposure],
            "observation_time": [
                datetime(2024, 1, 1, tzinfo=UTC) + timedelta(int(e)) for e in exposure
            ],
            "reference_path": ["reference"] * n,
            "source_kind": ["raw"] * n,
            "is_anomaly": [number % 2 == 0 for number in range(n)],
            "anomaly_type": ["supernova"] * n,
            "designation": pa.nulls(n, pa.string()),
            "frame_x": x,
            "frame_y": y,
            "image_digest": [f"stamp {number}" for number in stamp],
            "image_pack": [digest] * n,
            "pack_row": pa.array(list(stamp), pa.int32()),
        }
    )


def pixels(
    ra: NDArray[np.float64], dec: NDArray[np.float64], middle: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns and rows of a tangent plane with north up."""
    a, d = np.radians(ra - middle[0]), np.radians(dec)
    d0 = np.radians(middle[1])
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
    x = np.cos(d) * np.sin(a) / depth
    y = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)) / depth
    arcsec = np.degrees(1) * 3600 / SCALE
    return 500 - x * arcsec, 500 + y * arcsec


def divided(samples: pa.Table, splits: Sequence[str] | None = None) -> Divided:
    """Return the samples divided by the policy, or as told with a group each."""
    if splits is None:
        side = SPEC.stamp_size
        times = samples["observation_time"].to_pylist()
        sighting = Sighting(places_of(samples, side), times, side * pixel_scales(samples))
        division = assign_splits(sighting, [], POLICY)
        given, facts = division.assignments, division.facts
    else:
        given = [Assignment(f"group {n}", split, known=False) for n, split in enumerate(splits)]
        facts = {}
    for name in ("group_key", "split"):
        values = pa.array([getattr(one, name) for one in given], pa.string())
        samples = samples.set_column(samples.column_names.index(name), name, values)
    return Divided(samples, given, POLICY, facts, 0)


def reasons(found: Any) -> dict[int, str]:
    return {int(reject.sample_key): reject.reason for reject in found.set_aside}


def test_a_training_stamp_that_overlaps_a_tested_one_is_set_aside(pack: Pack) -> None:
    step = 17 / 3600  # targets out of each other's stamp, stamps overlap by their margins
    samples = table([0, 0, 0, 1], [0, step, 1, 0], [0, 0, 0, 0], [0, 1, 2, 3], pack.digest, (0, 0))

    found = check_leaks(divided(samples, ["train", "test", "train", "train"]), pack.cache, SPEC)

    assert reasons(found) == {0: "guard"}
    assert found.set_aside[0].detail == f"its stamp overlaps that of {1:032d}"
    assert found.proof["set_aside"] == {"guard": 1}
    assert found.proof["shared_boxes"] == 0


def test_another_exposure_over_the_same_reference_shares_its_pixels(pack: Pack) -> None:
    samples = table([0, 0], [0, 17 / 3600], [0, 1], [0, 1], pack.digest, (0, 0))
    strangers = samples.set_column(
        samples.column_names.index("reference_path"), "reference_path", pa.array(["r", "s"])
    )

    assert reasons(check_leaks(divided(samples, ["val", "train"]), pack.cache, SPEC)) == {
        1: "guard"
    }
    assert not reasons(check_leaks(divided(strangers, ["val", "train"]), pack.cache, SPEC))


def test_on_a_turned_frame_its_own_pixels_decide(pack: Pack) -> None:
    samples = table([0, 0], [0, 25 / 3600], [0, 0], [0, 1], pack.digest, (0, 0))
    samples = samples.drop_columns(["reference_path"]).append_column(
        "reference_path", pa.nulls(2, pa.string())
    )
    turned = samples.set_column(
        samples.column_names.index("frame_x"), "frame_x", pa.array([500.0, 517.7])
    ).set_column(samples.column_names.index("frame_y"), "frame_y", pa.array([500.0, 517.7]))

    assert not reasons(check_leaks(divided(samples, ["train", "test"]), pack.cache, SPEC))
    assert reasons(check_leaks(divided(turned, ["train", "test"]), pack.cache, SPEC))


def test_of_samples_with_the_same_pixels_one_stays(pack: Pack) -> None:
    samples = table([0, 10, 20, 30], [0] * 4, [3, 1, 2, 0], [0, 0, 0, 1], pack.digest)
    parts = divided(samples, ["train", "test", "test", "train"])

    found = check_leaks(parts, pack.cache, SPEC)
    known = replace(parts.assignments[0], known=True)
    again = check_leaks(
        replace(parts, assignments=[known, *parts.assignments[1:]]), pack.cache, SPEC
    )

    assert reasons(found) == {0: "duplicate", 2: "duplicate"}  # test before train, older first
    assert reasons(again) == {1: "duplicate", 2: "duplicate"}  # a published one stays
    assert found.proof["shared_pixels"] == 0


def test_near_duplicates_leave_the_training_side(pack: Pack) -> None:
    samples = table([0, 10, 20, 30], [0] * 4, range(4), [0, FRAMES, 1, FRAMES + 1], pack.digest)

    found = check_leaks(divided(samples, ["train", "test", "val", "train"]), pack.cache, SPEC)

    assert reasons(found) == {0: "near_duplicate", 3: "near_duplicate"}
    assert found.proof["candidates"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks at open maps under /proc")
def test_more_packs_than_a_process_may_hold_open_are_compared(tmp_path: Path) -> None:
    store, count = Store((tmp_path / "store").as_uri()), PACKS_OPEN + 40
    rng, side = np.random.default_rng(5), SPEC.padded_size
    stamps = rng.normal(0, 1, (count, 1, 2, side, side)).astype(np.float32)
    packs = [put_array(store, "images", one) for one in stamps]
    packs[-1] = put_array(store, "images", stamps[0] + np.float32(0.01))
    places = [index * 3.0 for index in range(count)]
    samples = table(places, [0] * count, range(count), [0] * count, "")
    samples = samples.set_column(
        samples.column_names.index("image_pack"), "image_pack", pa.array(packs)
    )
    cache = _Watched(store, tmp_path / "cache")
    splits = ["test", *["train"] * (count - 1)]

    found, _ = near_duplicates(divided(samples, splits).samples, np.arange(count), cache, SPEC)

    assert list(found) == [count - 1]
    assert PACKS_OPEN - 1 <= cache.most <= PACKS_OPEN


class _Watched(PackCache):
    """Counts the packs that are mapped when another one is opened."""

    most = 0

    def open(self, kind: str, digest: str) -> NDArray[Any]:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        folder = str(self.path(kind, digest).parent)
        self.most = max(self.most, sum(folder in line for line in maps) + 1)
        return super().open(kind, digest)


def test_near_duplicates_within_training_do_no_harm(pack: Pack) -> None:
    samples = table([0, 10, 20], [0] * 3, range(3), [0, FRAMES, 1], pack.digest)

    assert not reasons(check_leaks(divided(samples, ["train", "train", "test"]), pack.cache, SPEC))


def test_a_group_in_two_splits_fails_the_gate(pack: Pack) -> None:
    parts = divided(table([0, 10], [0, 0], [0, 1], [0, 1], pack.digest), ["train", "test"])
    names = pa.array(["one group", "one group"])
    broken = parts.samples.set_column(
        parts.samples.column_names.index("group_key"), "group_key", names
    )

    with pytest.raises(LeaksFoundError, match="1 sky groups are in two splits"):
        check_leaks(replace(parts, samples=broken), pack.cache, SPEC)


def test_what_would_bridge_leaves_with_its_reason(pack: Pack) -> None:
    parts = divided(table([0, 10], [0, 0], [0, 1], [0, 1], pack.digest), ["train", "quarantine"])
    bridge = replace(parts.assignments[1], reason="bridge", detail="would join two")

    found = check_leaks(
        replace(parts, assignments=[parts.assignments[0], bridge]), pack.cache, SPEC
    )

    assert reasons(found) == {1: "bridge"}


def test_the_proof_counts_groups_of_each_kind_in_each_split(pack: Pack) -> None:
    samples = table([0, 10, 20, 30], [0] * 4, range(4), range(4), pack.digest)

    found = check_leaks(divided(samples, ["train", "train", "val", "train"]), pack.cache, SPEC)

    assert found.proof["groups_per_split"] == {
        "train": {"real": 1, "bogus": 2},
        "val": {"real": 1, "bogus": 0},
        "test": {"real": 0, "bogus": 0},
    }


def test_nothing_at_all_leaks_nothing(pack: Pack) -> None:
    found = check_leaks(divided(table([], [], [], [], pack.digest)), pack.cache, SPEC)

    assert not found.set_aside
    assert found.proof["groups"] == 0


samples_of_a_sky = st.lists(
    st.tuples(
        st.floats(0, 120),
        st.floats(0, 120),
        st.integers(0, 2),
        st.integers(0, 2 * FRAMES - 1),
    ),
    min_size=2,
    max_size=40,
)
corners = st.sampled_from([(0.0, 0.0), (359.99, 50.0), (180.0, -30.0), (20.0, 89.99), (0.0, -90.0)])


@settings(max_examples=80, deadline=None)
@given(samples_of_a_sky, corners)
@example([(0, 41, 0, 3), (0, 74, 0, 0), (1, 7, 0, 2), (1, 29, 0, 1)], (20.0, 89.99))
def test_no_group_no_pixel_and_no_copy_is_on_both_sides(
    pack: Pack, drawn: list[tuple[float, float, int, int]], corner: tuple[float, float]
) -> None:
    east, north, exposure, stamp = (np.array(column) for column in zip(*drawn, strict=True))
    ra, dec = on_sky(east / 3600, north / 3600, corner)
    samples = table(ra, dec, exposure.tolist(), stamp.tolist(), pack.digest, corner)
    parts = divided(samples)

    found = check_leaks(parts, pack.cache, SPEC)

    away = set(reasons(found))
    left = [row for n, row in enumerate(parts.samples.to_pylist()) if n not in away]
    train = [row for row in left if row["split"] == "train"]
    judged = [row for row in left if row["split"] != "train"]
    for one, other in product(train, judged):
        assert one["group_key"] != other["group_key"]
        assert one["pack_row"] % FRAMES != other["pack_row"] % FRAMES
        apart = max(abs(one["frame_x"] - other["frame_x"]), abs(one["frame_y"] - other["frame_y"]))
        if one["observation_id"] == other["observation_id"]:
            assert apart >= SPEC.stamp_size + SPEC.margin


def on_sky(
    east_deg: NDArray[np.float64], north_deg: NDArray[np.float64], middle: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """Return RA and Dec of offsets on the tangent plane at `middle`."""
    x, y = np.radians(east_deg), np.radians(north_deg)
    d0 = np.radians(middle[1])
    ra = middle[0] + np.degrees(np.arctan2(x, np.cos(d0) - y * np.sin(d0)))
    dec = np.degrees(np.arcsin((np.sin(d0) + y * np.cos(d0)) / np.sqrt(1 + x**2 + y**2)))
    return (ra % 360).tolist(), dec.tolist()
