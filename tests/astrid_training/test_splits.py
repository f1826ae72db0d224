"""A place on the sky has one split, for ever, wherever and whenever it is seen."""

import dataclasses
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from astrid_training.groups import Places, find_objects, link_radius
from astrid_training.params import SplitPolicy
from astrid_training.sky import close_pairs, sky_key, unit_vectors
from astrid_training.splits import (
    QUARANTINE,
    Assignment,
    Division,
    LedgerMember,
    Sighting,
    assign_splits,
    hashed_split,
    split_by_time,
)

Numbers = Sequence[float] | NDArray[np.float64]
POLICY = SplitPolicy()
START = datetime(2024, 3, 1, tzinfo=UTC)
STAMP_ARCSEC = 64.0
FWHM_ARCSEC = 2.0
REACH_ARCSEC = STAMP_ARCSEC / 2 + 1.5 * FWHM_ARCSEC
STEP = 1.4 / 3600  # degrees, within the link radius


@dataclass
class Seen:
    """Samples of a made-up sky; what is left out is the same for all, or distinct."""

    ra: Numbers
    dec: Numbers
    keys: Sequence[str] = ()
    exposure: Sequence[str] = ()
    reference: Sequence[str | None] = ()
    mover: Sequence[str | None] = ()
    field: Sequence[str | None] = ()
    days: Sequence[float] = dataclasses.field(default_factory=list)

    def sighting(self) -> Sighting:
        n = len(self.ra)
        places = Places(
            sample_key=list(self.keys or (f"key{i:04d}" for i in range(n))),
            ra_deg=np.array(self.ra, float),
            dec_deg=np.array(self.dec, float),
            radius_arcsec=link_radius(np.full(n, FWHM_ARCSEC)),
            half_arcsec=np.full(n, REACH_ARCSEC),
            exposure=list(self.exposure or (f"exposure {i}" for i in range(n))),
            reference=list(self.reference or [None] * n),
            mover=list(self.mover or [None] * n),
            field=list(self.field or [None] * n),
        )
        times = [START + timedelta(days=day) for day in self.days or range(n)]
        return Sighting(places, times, np.full(n, STAMP_ARCSEC))

    def divide(self, ledger: Sequence[LedgerMember] = (), policy: SplitPolicy = POLICY) -> Division:
        return assign_splits(self.sighting(), ledger, policy)

    def assign(self, ledger: Sequence[LedgerMember] = ()) -> list[Assignment]:
        return self.divide(ledger).assignments


def ledger_of(seen: Seen, ledger: Sequence[LedgerMember] = ()) -> list[LedgerMember]:
    """Return the ledger after a dataset of these samples."""
    places = seen.sighting().places
    new = [
        LedgerMember(
            places.sample_key[n],
            one.group_key,
            one.split,
            places.ra_deg[n],
            places.dec_deg[n],
            places.radius_arcsec[n],
            places.half_arcsec[n],
            places.exposure[n],
            places.reference[n],
            places.mover[n],
            places.field[n],
            one.tile,
        )
        for n, one in enumerate(seen.assign(ledger))
        if one.reason is None
    ]
    known = {member.sample_key for member in ledger}
    return [*ledger, *(member for member in new if member.sample_key not in known)]


def member(key: str, group: str, split: str, ra: float, dec: float) -> LedgerMember:
    return LedgerMember(key, group, split, ra, dec, 1.5, 0, "", None, None, None, None)


def test_pairs_within_the_radius_are_one_object_at_ra_0_and_at_the_poles() -> None:
    pairs: list[tuple[Numbers, Numbers]] = [([10, 10 + 1.2 / 3600], [0, 0])]
    pairs += [([359.9999, 0.0001], [5, 5])]
    pairs += [([0, 180], [89.9999, 89.9999]), ([0, 180], [-89.9999, -89.9999])]
    for ra, dec in pairs:
        one, other = Seen(ra, dec).assign()
        assert one.group_key == other.group_key


def test_a_chain_of_neighbours_is_one_group() -> None:
    groups = Seen([0, 0, 0, 0], [0, STEP, 2 * STEP, 2 * STEP + 0.01]).assign()

    assert groups[0] == groups[1] == groups[2]
    assert groups[3].group_key != groups[0].group_key


def test_one_place_seen_thousands_of_times_does_not_cost_its_square() -> None:
    count = 3000
    places = Seen([5.0] * count + [5.0 + STEP], [0.0] * (count + 1)).sighting().places
    tracemalloc.start()
    objects = find_objects(places)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(objects.tolist()) == {0}
    assert peak < 1000 * count  # bytes; its pairs would take 24,000 a sample


def test_wide_psfs_link_wider() -> None:
    assert link_radius(np.array([1.0, 4.5])).tolist() == [1.5, 3.375]


def test_a_group_is_named_by_its_earliest_member() -> None:
    groups = Seen([0, 0], [0, STEP], days=[5, 2]).assign()

    assert {one.group_key for one in groups} == {sky_key(0, STEP)}


@pytest.mark.parametrize("shared", ["exposure", "reference"])
@pytest.mark.parametrize(
    ("offset_arcsec", "joined"), [(REACH_ARCSEC - 0.1, "joined"), (REACH_ARCSEC + 0.1, "apart")]
)
@pytest.mark.parametrize("dec", [0.0, 60.0, 89.9])
@pytest.mark.parametrize("along", ["north", "east"])
def test_a_target_in_the_others_stamp_joins_its_group(
    shared: str, offset_arcsec: float, joined: str, dec: float, along: str
) -> None:
    step = offset_arcsec / 3600
    if along == "north":
        ra, decs = [359.99, 359.99], [dec - step / 2, dec + step / 2]
    else:
        turn = np.degrees(np.arcsin(np.sin(np.radians(step / 2)) / np.cos(np.radians(dec))))
        ra, decs = [(-turn) % 360, turn], [dec, dec]
    names: dict[str, Any] = {shared: ["e", "e"]}

    one, other = Seen(ra, decs, **names).assign()

    assert (one.group_key == other.group_key) is (joined == "joined")


def test_neighbours_in_other_exposures_over_other_references_are_strangers() -> None:
    one, other = Seen([0, 0], [0, 10 / 3600], reference=["r", "s"]).assign()

    assert one.group_key != other.group_key


def test_overlapping_stamps_are_counted_and_not_joined() -> None:
    division = Seen([0, 0, 0], [0, 50 / 3600, 1], exposure=["e", "e", "e"]).divide()

    assert division.facts["shared_background"] == 1
    assert division.facts["groups"] == 3


def test_what_one_night_saw_over_one_reference_is_joined_if_asked() -> None:
    one, two, other = Seen([0, 1, 2], [0, 0, 0], field=["n", "n", "m"]).assign()

    assert one.group_key == two.group_key != other.group_key


def test_what_moves_is_joined_by_designation_and_never_by_place() -> None:
    seen = Seen(
        ra=[0, 0, 7, 3, 3],
        dec=[0, 0, 5, 1, 1],
        exposure=["e"] * 5,
        mover=["433", None, "433", "", ""],
    )
    named, still, elsewhere, one, other = seen.assign()

    assert named.group_key == elsewhere.group_key
    assert len({named.group_key, still.group_key, one.group_key, other.group_key}) == 4
    assert seen.divide().facts["moving_unlinked"] == 2


def test_the_ledger_knows_a_moving_object_wherever_it_is() -> None:
    ledger = ledger_of(Seen([0], [0], mover=["433"], keys=["old"]))

    (found,) = Seen([90], [40], mover=["433"], keys=["new"]).assign(ledger)

    assert (found.group_key, found.known) == (ledger[0].group_key, True)


def test_the_hash_keeps_the_ratios() -> None:
    splits = [hashed_split(POLICY, f"group{n}") for n in range(20_000)]

    assert splits.count("train") / 20_000 == pytest.approx(0.8, abs=0.01)
    assert splits.count("val") / 20_000 == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    "other",
    [
        SplitPolicy(train=0.6, val=0.2, test=0.2),
        SplitPolicy(version=2),
        SplitPolicy(name="mine"),
        SplitPolicy(by_night=True),
        SplitPolicy(strategy="time", val_from=START, test_from=START + timedelta(9)),
        SplitPolicy(strategy="time", val_from=START, test_from=START + timedelta(9), gap_nights=2),
    ],
)
def test_every_other_policy_has_a_ledger_of_its_own(other: SplitPolicy) -> None:
    assert other.salt != POLICY.salt
    assert len(other.salt) <= 100


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": 0.7}, "make them sum to 1"),
        ({"strategy": "time"}, "needs val_from and test_from"),
        ({"val_from": START}, "are for strategy time"),
        (
            {"strategy": "time", "val_from": START, "test_from": START + timedelta(hours=20)},
            "leaves no time to validate",
        ),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SplitPolicy.model_validate(fields)


def test_the_ledger_wins_over_the_hash() -> None:
    other = {"train": "test", "val": "train", "test": "train"}
    (natural,) = Seen([10], [10]).assign()
    kept = member("k", natural.group_key, other[natural.split], 10, 10)

    (found,) = Seen([10 + 0.5 / 3600], [10]).assign([kept])

    assert found == Assignment(natural.group_key, other[natural.split], known=True)


def test_a_bridge_between_two_splits_is_quarantined_and_moves_nothing_else() -> None:
    ends = [member("end0", "A", "train", 0, 0), member("end1", "B", "test", 0, 2 * STEP)]

    one, bridge, other = Seen([0, 0, 0], [0, STEP, 2 * STEP], keys=["end0", "new", "end1"]).assign(
        ends
    )

    assert (bridge.split, bridge.reason) == (QUARANTINE, "bridge")
    assert bridge.detail == "would join groups of test and train"
    assert [(old.split, old.reason) for old in (one, other)] == [("train", None), ("test", None)]


def test_a_sample_that_is_called_an_asteroid_later_keeps_its_split() -> None:
    other = {"train": "test", "val": "train", "test": "train"}
    (natural,) = Seen([10], [10], mover=[""]).assign()
    kept = member("key0000", "G", other[natural.split], 10, 10)

    (found,) = Seen([10], [10], mover=[""]).assign([kept])

    assert (found.group_key, found.split) == ("G", other[natural.split])


def test_a_new_epoch_of_a_known_object_keeps_its_split_beside_a_bridge() -> None:
    far = 30 / 3600
    ends = [member("end0", "A", "train", 0, 0), member("end1", "B", "test", 0, 2 * far)]

    seen = Seen([0, 0], [far, 0.2 / 3600], reference=["r", "r"])
    bridge, epoch = seen.assign([dataclasses.replace(end, reference="r") for end in ends])

    assert bridge.reason == "bridge"
    assert (epoch.split, epoch.reason) == ("train", None)


def test_times_divide_with_a_gap_and_what_was_seen_before_is_left_out() -> None:
    policy = SplitPolicy(
        strategy="time", val_from=START + timedelta(10), test_from=START + timedelta(20)
    )
    seen = Seen(
        ra=[0, 1, 2, 3, 0, 4],
        dec=[0, 0, 0, 0, 0, 0],
        days=[0, 9.5, 12, 20, 25, 19.5],
    )

    found = seen.divide((), policy).assignments

    assert [one.split for one in found] == ["train", "", "val", "test", "train", ""]
    assert [one.reason for one in found] == [
        None,
        "between_splits",
        None,
        None,
        "seen_before",
        "between_splits",
    ]
    assert split_by_time(policy, START + timedelta(19)) is None


def test_a_tested_object_never_trains_though_older_exposures_of_it_are_found() -> None:
    policy = SplitPolicy(
        strategy="time", val_from=START + timedelta(10), test_from=START + timedelta(20)
    )
    tested = member("k", "G", "test", 5, 5)

    (older,) = Seen([5], [5], days=[0]).divide([tested], policy).assignments

    assert (older.split, older.reason) == ("test", "seen_before")


SIDE_DEG = 3072 / 3600


def crowd(count: int, seed: int = 1) -> Seen:
    """Return one exposure of 3072 x 3072 px of 1 arcsec with `count` objects."""
    rng = np.random.default_rng(seed)
    return Seen(
        ra=(359.8 + rng.uniform(0, SIDE_DEG, count) / np.cos(np.radians(20))) % 360,
        dec=20 + rng.uniform(0, SIDE_DEG, count),
        exposure=["e"] * count,
        reference=["r"] * count,
        days=[0] * count,
    )


def test_a_crowded_field_is_cut_and_leaves_no_split_empty() -> None:
    seen = crowd(7281)  # 10,000 per square degree

    division = seen.divide()

    splits = [one.split for one in division.assignments]
    assert {"train", "val", "test"} == set(splits)
    assert min(splits.count(name) for name in ("val", "test")) > 100
    assert division.facts["cut_groups"] > 0
    assert division.facts["largest_group"] < 0.1 * 7281


def test_a_cut_never_goes_through_an_object() -> None:
    seen = crowd(14_562, seed=2)
    objects = find_objects(seen.sighting().places)

    found = seen.assign()

    groups: dict[int, set[str]] = {}
    for thing, one in zip(objects.tolist(), found, strict=True):
        groups.setdefault(thing, set()).add(one.group_key)
    assert all(len(names) == 1 for names in groups.values())
    assert any(one.tile is not None for one in found)


@pytest.mark.parametrize("share", [0.01, 1.0])
@pytest.mark.parametrize("count", [300, 4000])
def test_a_field_that_grows_moves_no_old_sample(share: float, count: int) -> None:
    whole = crowd(count)
    old = int(count / (1 + share))
    ledger = ledger_of(
        Seen(whole.ra[:old], whole.dec[:old], (), ["e"] * old, ["r"] * old, days=[0] * old)
    )

    grown = whole.assign(ledger)

    assert [one.split for one in grown[:old]] == [one.split for one in ledger]
    assert [one.group_key for one in grown[:old]] == [one.group_key for one in ledger]


coordinates = st.lists(
    st.tuples(st.floats(0, 0.02), st.floats(0, 0.02)), min_size=1, max_size=25, unique=True
)


@settings(max_examples=60, deadline=None)
@given(
    coordinates,
    coordinates,
    st.sampled_from([(0.0, 0.0), (180.0, 45.0), (359.99, -30.0), (0.0, 89.99), (0.0, -90.0)]),
    st.integers(1, 3),
)
def test_more_data_moves_no_old_sample_and_no_place_has_two_splits(
    old: list[tuple[float, float]],
    new: list[tuple[float, float]],
    corner: tuple[float, float],
    exposures: int,
) -> None:
    """Near a pole the field is a cap around it, elsewhere a square across RA 0."""
    x, y = np.array([*old, *new]).T
    polar = abs(corner[1]) > 89
    ra = (18_000 * x if polar else corner[0] + x / np.cos(np.radians(corner[1]))) % 360
    dec = corner[1] + (np.minimum(y, 0.01) if corner[1] < 89 else y / 2)
    n = len(old)
    names = [f"exposure {i % exposures}" for i in range(len(ra))]
    first = Seen(ra[:n], dec[:n], exposure=names[:n], days=[0] * n)
    ledger = ledger_of(first)

    both = Seen(ra, dec, exposure=names, days=[0] * len(ra))
    grown = both.assign(ledger)

    for before, after in zip(ledger, grown[:n], strict=True):
        assert (after.group_key, after.split) == (before.group_key, before.split)
    vectors = unit_vectors(ra, dec)
    pairs, _ = close_pairs(vectors, both.sighting().places.radius_arcsec)
    for first_row, second_row in pairs:
        if first_row >= n or second_row >= n:  # what the old data kept apart stays apart
            splits = {grown[first_row].split, grown[second_row].split} - {QUARANTINE}
            assert len(splits) <= 1
