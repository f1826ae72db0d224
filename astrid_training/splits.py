"""Which split a sample belongs to: decided by its place on the sky, once and for ever."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.digests import unit_hash
from astrid_training.params import SplitPolicy
from astrid_training.sky import friends_of_friends, sky_key, unit_vectors

__all__ = ["QUARANTINE", "SPLITS", "Assignment", "LedgerMember", "assign_splits", "hashed_split"]

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


def assign_splits(
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    fwhm_arcsec: NDArray[np.float64],
    first_seen: Sequence[tuple[object, ...]],
    ledger: Sequence[LedgerMember],
    policy: SplitPolicy,
) -> list[Assignment]:
    """Return group and split of each sample.

    Samples within max(1.5 arcsec, 0.75 FWHM), over all observations and through any chain, are one
    group. A group that touches members of earlier datasets keeps their split; one that touches two
    splits is quarantined; a new one is hashed by the key of its earliest member.

    Args:
        ra_deg: (n,) degrees.
        dec_deg: (n,) degrees.
        fwhm_arcsec: (n,) PSF FWHM of each sample's exposure.
        first_seen: (n,) sortable, the earliest first; ties must be broken by the caller.
        ledger: members of earlier datasets under this policy.
        policy: ratios and salt.
    """
    ra = np.concatenate([ra_deg, [member.ra_deg for member in ledger]])
    dec = np.concatenate([dec_deg, [member.dec_deg for member in ledger]])
    radius = np.maximum(LINK_ARCSEC, LINK_FWHM * fwhm_arcsec)
    radius = np.concatenate([radius, np.full(len(ledger), LINK_ARCSEC)])
    group = friends_of_friends(unit_vectors(ra, dec), radius)

    known: defaultdict[int, list[LedgerMember]] = defaultdict(list)
    for member, number in zip(ledger, group[len(ra_deg) :], strict=True):
        known[int(number)].append(member)
    earliest: dict[int, int] = {}
    for index in sorted(range(len(ra_deg)), key=first_seen.__getitem__):
        earliest.setdefault(int(group[index]), index)
    decided = {
        number: _decide(known[number], sky_key(ra_deg[index], dec_deg[index]), policy)
        for number, index in earliest.items()
    }
    return [decided[int(number)] for number in group[: len(ra_deg)]]


def _decide(known: Sequence[LedgerMember], new_key: str, policy: SplitPolicy) -> Assignment:
    splits = {member.split for member in known}
    if not splits:
        return Assignment(new_key, hashed_split(policy, new_key), known=False)
    key = min(member.group_key for member in known)
    split = splits.pop() if len(splits) == 1 else QUARANTINE
    return Assignment(key, split, known=True)
