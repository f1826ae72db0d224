"""At most so many subjects, spread evenly over strata, the same ones each time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astrid_training.digests import unit_hash

__all__ = ["sampling_rank", "take_evenly"]


def sampling_rank(salt: str, sampling_key: str) -> float:
    """Return where a sky group stands, from 0 to 1, when only some of them are taken.

    It is another number than the one that decides the split: by that one, the first groups to be
    taken would be those of train, and the last ones those of test.
    """
    return unit_hash(f"{salt}|sampling", sampling_key)


def take_evenly(
    strata: Sequence[str], sampling_keys: Sequence[str], keys: Sequence[str], salt: str, limit: int
) -> NDArray[np.bool_]:
    """Return (n,) which subjects are taken: from each stratum as many as the others allow.

    Within a stratum the order is a hash of the sky group, so that a larger limit only adds subjects,
    and neither brightness nor date decides.

    Args:
        strata: (n,) survey and class.
        sampling_keys: (n,) of the sky groups, see `ledger.sampling_keys`.
        keys: (n,) lasting names; they order subjects of one group.
        salt: of the hash.
        limit: most subjects.
    """
    size = len(keys)
    if size <= limit:
        return np.ones(size, bool)
    _, stratum = np.unique(np.asarray(strata, str), return_inverse=True)
    hashes = {key: sampling_rank(salt, key) for key in set(sampling_keys)}
    rank = np.array([hashes[key] for key in sampling_keys])
    name = np.asarray(keys, str)
    within = np.lexsort((name, rank, stratum))
    position = np.empty(size, np.int64)
    starts = np.searchsorted(stratum[within], stratum[within])
    position[within] = np.arange(size) - starts
    taken = np.zeros(size, bool)
    taken[np.lexsort((name, stratum, position))[:limit]] = True
    return taken
