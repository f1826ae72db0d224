"""Why subjects leave a selection: reasons in order, of which the first that holds is told."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Problems", "first_problems"]

Detail: TypeAlias = str | Callable[[int], str]
"""The facts; where they differ, made from a subject's number."""

Problems: TypeAlias = Mapping[str, tuple[NDArray[np.bool_], Detail]]
"""Reason -> (n,) whom it concerns, and the facts. The first one that concerns a subject is told."""


def first_problems(problems: Problems, size: int) -> tuple[list[str | None], list[str | None]]:
    """Return reason and detail of each of `size` subjects, None where there is no problem."""
    reasons: list[str | None] = [None] * size
    details: list[str | None] = [None] * size
    open_still = np.ones(size, bool)
    for reason, (hit, detail) in problems.items():
        for subject in np.flatnonzero(hit & open_still).tolist():
            reasons[subject] = reason
            details[subject] = detail if isinstance(detail, str) else detail(subject)
        open_still &= ~hit
    return reasons, details
