"""Which split a sample belongs to: decided by its place on the sky, once and for ever."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.digests import unit_hash
from astrid_training.params import SplitPolicy
from astrid_training.sky import friends_of_friends, sky_key, unit_vectors

__all__ = [
    "QUARANTINE",
    "SPLITS",
    "Assignment",
    "LedgerMember",
    "assign_splits",
    "hashed_split",
    "link_radius",
]

SPLITS = ("train", "val", "test")
QUARANTINE = "quarantine"
"""Where samples go that would join two splits."""

LINK_ARCSEC = 1.5
LINK_FWHM = 0.75


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


@dataclass(frozen=True, slots=True)
class Assignment:
    """A sample's group and split."""

    group_key: str
    split: str
    """train, val, test or quarantine."""
    known: bool
    """True when the ledger holds the group."""


def hashed_split(policy: SplitPolicy, group_key: str) -> str:
    """Return the split of a group that no dataset has seen: a hash of its key, salted by policy."""
    u = unit_hash(policy.salt, group_key)
    if u < policy.train:
        return "train"
    return "val" if u < policy.train + policy.val else "test"


def link_radius(fwhm_arcsec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how near two samples are taken for one place, arcsec: max(1.5, 0.75 FWHM)."""
    return np.maximum(LINK_ARCSEC, LINK_FWHM * fwhm_arcsec)


def assign_splits(
    sample_keys: Sequence[str],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    radius_arcsec: NDArray[np.float64],
    observed: Sequence[object],
    ledger: Sequence[LedgerMember],
    policy: SplitPolicy,
) -> list[Assignment]:
    """Return group and split of each sample.

    Samples within their link radius, over all observations and through any chain, are one group. A
    sample of the ledger keeps what it has. A new one takes the split of the ledger's members in its
    group; if they have two, it is quarantined; if there are none, the group is hashed by the key of
    its earliest member.

    Args:
        sample_keys: (n,) lasting names.
        ra_deg: (n,) degrees.
        dec_deg: (n,) degrees.
        radius_arcsec: (n,) from `link_radius`.
        observed: (n,) times; of equal ones the lesser sample key is the earlier.
        ledger: members of earlier datasets under this policy.
        policy: ratios and salt.
    """
    n = len(sample_keys)
    ra = np.concatenate([ra_deg, [member.ra_deg for member in ledger]])
    dec = np.concatenate([dec_deg, [member.dec_deg for member in ledger]])
    radius = np.concatenate([radius_arcsec, [member.radius_arcsec for member in ledger]])
    group = friends_of_friends(unit_vectors(ra, dec), radius).tolist()

    known: defaultdict[int, list[LedgerMember]] = defaultdict(list)
    for member, number in zip(ledger, group[n:], strict=True):
        known[number].append(member)
    earliest: dict[int, int] = {}
    age = list(zip(observed, sample_keys, strict=True))
    for index in sorted(range(n), key=age.__getitem__):
        earliest.setdefault(group[index], index)
    decided = {
        number: _decide(known[number], sky_key(ra_deg[index], dec_deg[index]), policy)
        for number, index in earliest.items()
    }
    kept = {one.sample_key: Assignment(one.group_key, one.split, known=True) for one in ledger}
    return [
        kept.get(key) or decided[number] for key, number in zip(sample_keys, group[:n], strict=True)
    ]


def _decide(known: Sequence[LedgerMember], new_key: str, policy: SplitPolicy) -> Assignment:
    splits = {member.split for member in known}
    if not splits:
        return Assignment(new_key, hashed_split(policy, new_key), known=False)
    if len(splits) > 1:
        return Assignment(new_key, QUARANTINE, known=True)
    return Assignment(min(member.group_key for member in known), splits.pop(), known=True)
