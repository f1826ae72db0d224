"""Which split a sample belongs to: decided by its place on the sky, once and for ever."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.digests import unit_hash
from astrid_training.groups import (
    Places,
    chained,
    components,
    find_objects,
    overlapping,
    visible_targets,
)
from astrid_training.healpix import tile_numbers, tile_order
from astrid_training.params import SplitPolicy
from astrid_training.sky import sky_key

__all__ = [
    "QUARANTINE",
    "SPLITS",
    "Assignment",
    "Division",
    "LedgerMember",
    "Sighting",
    "assign_splits",
    "hashed_split",
    "split_by_time",
]

SPLITS = ("train", "val", "test")
QUARANTINE = "quarantine"
"""Where samples go that would join two splits."""

CROWD_OBJECTS = 200
CROWD_SHARE = 0.05
CROWD_SHARE_OBJECTS = 20
"""A group of more than 200 objects, or of 20 and more than 5 % of all samples, is cut by tiles."""
TILE_STAMPS = 8
"""A tile is at least as wide as this many stamps."""


@dataclass(frozen=True, slots=True)
class LedgerMember:
    """A sample of an earlier dataset, with the split its group was given."""

    sample_key: str
    group_key: str
    split: str
    ra_deg: float
    dec_deg: float
    radius_arcsec: float
    """The link radius that it was grouped with."""
    half_arcsec: float
    exposure: str
    reference: str | None
    mover: str | None
    field: str | None
    tile: str | None
    """Order and number of the tile that its group was cut to; None for a whole group."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A sample's group and split."""

    group_key: str
    split: str
    """train, val, test or quarantine."""
    known: bool
    """True when the ledger holds the group."""
    tile: str | None = None
    reason: str | None = None
    """Why the sample leaves, if it does: bridge, between_splits, seen_before or held back."""
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What is wanted of the samples that are divided."""

    places: Places
    observed: Sequence[datetime]
    """Times; of equal ones the lesser sample key is the earlier."""
    stamp_arcsec: NDArray[np.float64]
    """(n,) side of the stamp."""


@dataclass(frozen=True, slots=True)
class Division:
    """All samples, divided."""

    assignments: list[Assignment]
    facts: dict[str, Any]
    """objects, groups, largest_group, cut_groups, shared_background, moving_unlinked."""


def hashed_split(policy: SplitPolicy, group_key: str) -> str:
    """Return the split of a group that no dataset has seen: a hash of its key, salted by policy."""
    u = unit_hash(policy.salt, group_key)
    if u < policy.train:
        return "train"
    return "val" if u < policy.train + policy.val else "test"


def split_by_time(policy: SplitPolicy, observed: datetime) -> str | None:
    """Return the split of a time, None for the gaps before validation and before test."""
    if policy.val_from is None or policy.test_from is None:
        raise ValueError("strategy time needs val_from and test_from; give both")
    gap = timedelta(days=policy.gap_nights)
    if observed >= policy.test_from:
        return "test"
    if policy.val_from <= observed < policy.test_from - gap:
        return "val"
    return "train" if observed < policy.val_from - gap else None


def assign_splits(
    sighting: Sighting, ledger: Sequence[LedgerMember], policy: SplitPolicy
) -> Division:
    """Return group and split of each sample, and what was seen on the way.

    A sample of the ledger keeps what it has. A new one takes, of these, the first that has a split:
    its object, if the ledger knows it; its group, or its tile where the group is cut; else the hash
    of the key of the earliest member. Where the object, or the group, has members in two splits, the
    new sample would join them, and is quarantined.

    Args:
        sighting: the samples.
        ledger: members of earlier datasets under this policy.
        policy: strategy, ratios and salt.
    """
    n = len(sighting.places)
    places = sighting.places + _places_of(ledger)
    objects = find_objects(places)
    visible = visible_targets(places, objects)
    fields = [
        None if moves else field for field, moves in zip(places.field, places.moves, strict=True)
    ]
    groups = components(len(places), _linked(objects), visible, chained(fields))
    order = sorted(range(n), key=lambda i: (sighting.observed[i], places.sample_key[i]))
    tiles = _cut(sighting, ledger, objects, groups, order)
    assignments = _Divider(sighting, ledger, policy, objects, groups, tiles).divide(order)
    return Division(assignments, _facts(sighting, objects[:n], groups[:n], tiles, assignments))


def _places_of(ledger: Sequence[LedgerMember]) -> Places:
    def column(name: str) -> list[Any]:
        return [getattr(member, name) for member in ledger]

    texts = ("sample_key", "exposure", "reference", "mover", "field")
    numbers = ("ra_deg", "dec_deg", "radius_arcsec", "half_arcsec")
    columns: dict[str, Any] = {name: column(name) for name in texts}
    columns |= {name: np.array(column(name), float) for name in numbers}
    return Places(**columns)


def _linked(objects: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs that hold the samples of each object together."""
    _, first = np.unique(objects, return_index=True)
    return np.stack([first[objects], np.arange(len(objects))], axis=1)


def _cut(
    sighting: Sighting,
    ledger: Sequence[LedgerMember],
    objects: NDArray[np.int64],
    groups: NDArray[np.int64],
    order: Sequence[int],
) -> dict[int, str]:
    """Return the tile of each object of the groups that are crowded, or were cut before."""
    n = len(sighting.places)
    orders = {
        int(group): int(member.tile.split("/")[0])
        for group, member in zip(groups[n:], ledger, strict=True)
        if member.tile is not None
    }
    for group in _crowded(objects, groups) - orders.keys():
        rows = np.flatnonzero(groups[:n] == group)
        if rows.size:
            orders[group] = tile_order(TILE_STAMPS * float(sighting.stamp_arcsec[rows].max()))
    tiles: dict[int, str] = {}
    for index in order:  # an object lies in the tile of its earliest member
        level = orders.get(int(groups[index]))
        if level is not None and int(objects[index]) not in tiles:
            place = sighting.places
            number = tile_numbers(level, place.ra_deg[[index]], place.dec_deg[[index]])[0]
            tiles[int(objects[index])] = f"{level}/{number}"
    return tiles


def _crowded(objects: NDArray[np.int64], groups: NDArray[np.int64]) -> set[int]:
    if not groups.size:
        return set()
    _, first = np.unique(objects, return_index=True)
    held = np.bincount(groups[first], minlength=groups.max() + 1)
    share = np.bincount(groups) / groups.size
    crowded = (held > CROWD_OBJECTS) | ((share > CROWD_SHARE) & (held >= CROWD_SHARE_OBJECTS))
    return {int(group) for group in np.flatnonzero(crowded)}


class _Divider:
    """Decides group by group."""

    def __init__(
        self,
        sighting: Sighting,
        ledger: Sequence[LedgerMember],
        policy: SplitPolicy,
        objects: NDArray[np.int64],
        groups: NDArray[np.int64],
        tiles: dict[int, str],
    ) -> None:
        n = len(sighting.places)
        self._sighting, self._policy = sighting, policy
        self._objects, self._groups, self._tiles = objects[:n].tolist(), groups[:n].tolist(), tiles
        self._own = {member.sample_key: member for member in ledger}
        self._of_object: defaultdict[int, list[LedgerMember]] = defaultdict(list)
        self._of_group: defaultdict[tuple[int, str | None], list[LedgerMember]] = defaultdict(list)
        for member, thing, group in zip(ledger, objects[n:], groups[n:], strict=True):
            self._of_object[int(thing)].append(member)
            self._of_group[int(group), member.tile].append(member)
            if member.tile is not None:
                self._of_group[int(group), None].append(member)
        self._decided: dict[tuple[int, str | None] | int, Assignment] = {}

    def divide(self, order: Iterable[int]) -> list[Assignment]:
        """Return the assignments in the samples' order.

        Args:
            order: indices from the earliest sample to the latest.
        """
        found: dict[int, Assignment] = {}
        for index in order:
            found[index] = self._timed(index, self._assignment(index))
        return [found[index] for index in range(len(found))]

    def _assignment(self, index: int) -> Assignment:
        own = self._own.get(self._sighting.places.sample_key[index])
        if own is not None:
            return Assignment(own.group_key, own.split, known=True, tile=own.tile)
        thing = self._objects[index]
        members = self._of_object.get(thing)
        unit: tuple[int, str | None] | int = thing
        if not members:
            unit = (self._groups[index], self._tiles.get(thing))
            members = self._of_group.get(unit, [])
        if unit not in self._decided:
            decided = _decide(members) or self._new(index)
            if decided is None:
                return Assignment("", "", known=False, reason="between_splits")
            self._decided[unit] = decided
        return self._decided[unit]

    def _new(self, index: int) -> Assignment | None:
        """Return the assignment of a group whose earliest member this is; None in a gap of time."""
        places = self._sighting.places
        key = sky_key(places.ra_deg[index], places.dec_deg[index])
        if places.mover[index] is not None:  # it is there once, and so may be others
            key = f"{key}~{places.mover[index] or places.sample_key[index]}"[:64]
        tile = self._tiles.get(self._objects[index])
        if self._policy.strategy == "group":
            return Assignment(key, hashed_split(self._policy, key), known=False, tile=tile)
        split = split_by_time(self._policy, self._sighting.observed[index])
        return None if split is None else Assignment(key, split, known=False, tile=tile)

    def _timed(self, index: int, given: Assignment) -> Assignment:
        """Return the assignment, with the reason if the sample's own time asks for another split."""
        if self._policy.strategy == "group" or given.reason is not None:
            return given
        observed = self._sighting.observed[index]
        own = split_by_time(self._policy, observed)
        if own == given.split:
            return given
        reason = "between_splits" if own is None else "seen_before"
        detail = f"{observed.isoformat()} is {own or 'between two splits'}, its group {given.split}"
        return Assignment(given.group_key, given.split, given.known, given.tile, reason, detail)


def _decide(members: Sequence[LedgerMember]) -> Assignment | None:
    """Return what the ledger says of a group with these members, None if it says nothing."""
    if not members:
        return None
    splits = sorted({member.split for member in members})
    least = min(members, key=lambda member: member.group_key)
    if len(splits) == 1:
        return Assignment(least.group_key, splits[0], known=True, tile=least.tile)
    detail = f"would join groups of {' and '.join(splits)}"
    return Assignment(least.group_key, QUARANTINE, known=True, reason="bridge", detail=detail)


def _facts(
    sighting: Sighting,
    objects: NDArray[np.int64],
    groups: NDArray[np.int64],
    tiles: dict[int, str],
    assignments: Sequence[Assignment],
) -> dict[str, Any]:
    background = overlapping(sighting.places, objects, sighting.stamp_arcsec)
    apart = groups[background[:, 0]] != groups[background[:, 1]]
    sizes: defaultdict[str, int] = defaultdict(int)
    for one in assignments:
        sizes[one.group_key] += 1
    cut = {group for thing, group in zip(objects, groups, strict=True) if int(thing) in tiles}
    return {
        "objects": len(np.unique(objects)),
        "groups": len(sizes),
        "largest_group": max(sizes.values(), default=0),
        "cut_groups": len(cut),
        "tiles": len(set(tiles.values())),
        "shared_background": int(apart.sum()),
        "moving_unlinked": sum(mover == "" for mover in sighting.places.mover),
    }
