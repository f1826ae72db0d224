"""How far reviewers agree: with each other, with themselves, and with the label."""

import numpy as np
from numpy.typing import NDArray

from astrid_training.votes import CONTRADICTION, COUNTS, SUPERSEDED, Votes

__all__ = ["agreeing_pairs", "consistency", "krippendorff_alpha"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def agreeing_pairs(yes: Floats | Ints, votes: Ints) -> Floats:
    """Return the share of agreeing pairs of votes on each subject; NaN with fewer than two votes.

    Args:
        yes: (n,) votes for real.
        votes: (n,) all votes.
    """
    no = votes - yes
    pairs = np.where(votes < 2, np.nan, votes * (votes - 1))
    share: Floats = (yes * (yes - 1) + no * (no - 1)) / pairs
    return share


def krippendorff_alpha(yes: Floats | Ints, votes: Ints) -> float | None:
    """Return agreement beyond chance: 1 perfect, 0 as by chance; None where it has no meaning.

    That is with no subject of two votes, or when all votes are alike.

    Args:
        yes: (n,) votes for real on each subject.
        votes: (n,) all votes on it.

    Source: Krippendorff 2011, Computing Krippendorff's alpha-reliability; nominal data.
    """
    several = votes >= 2
    yes, votes = yes[several], votes[several]
    total, real = float(votes.sum()), float(yes.sum())
    expected = 2 * real * (total - real) / (total * (total - 1)) if total else 0.0
    if not expected:
        return None
    observed = float((2 * yes * (votes - yes) / (votes - 1)).sum()) / total
    return 1 - observed / expected


def consistency(votes: Votes, subjects: int) -> dict[str, float | int | None]:
    """Return how consistent the reviews of people are; None, never 0, for what is not known.

    Keys: `n_multi` subjects with votes of several people, `pair_agreement` over all their pairs,
    `alpha` (Krippendorff's), `contradiction_rate` among the latest votes, `flip_rate` of verdicts
    among repeated reviews by the same person, `n_repeated` of those.

    Args:
        votes: all votes.
        subjects: how many subjects they are of.
    """
    counting = votes.take((votes.state == COUNTS) & ~votes.machine)
    n = np.bincount(counting.subject, minlength=subjects)
    yes = np.bincount(counting.subject[counting.is_valid], minlength=subjects)
    pairs = n * (n - 1)
    agreeing = yes * (yes - 1) + (n - yes) * (n - yes - 1)
    latest = (votes.state != SUPERSEDED) & ~votes.machine
    repeated, flips = _repeated(votes.take(~votes.machine))
    return {
        "n_multi": int((n >= 2).sum()),
        "pair_agreement": _share(agreeing.sum(), pairs.sum()),
        "alpha": krippendorff_alpha(yes, n),
        "contradiction_rate": _share((votes.state == CONTRADICTION).sum(), latest.sum()),
        "flip_rate": _share(flips, repeated),
        "n_repeated": repeated,
    }


def _repeated(votes: Votes) -> tuple[int, int]:
    """Return how often a person voted again on a subject, and how often with the other verdict."""
    order = np.lexsort((votes.validator, votes.subject))  # stable: votes stay sorted by time
    subject, validator, verdict = (
        column[order] for column in (votes.subject, votes.validator, votes.is_valid)
    )
    again = (np.diff(subject) == 0) & (np.diff(validator) == 0)
    return int(again.sum()), int((again & (verdict[1:] != verdict[:-1])).sum())


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
