"""Every review as a vote: who said what of which subject, how sure, and whether it counts."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrid_training.taxonomy import Taxonomy

__all__ = [
    "COUNTS",
    "EXPERT_SHIFT",
    "LEGACY_VALIDATOR",
    "REVIEWS",
    "STATES",
    "Votes",
    "cast_votes",
    "votes_json",
]

LEGACY_VALIDATOR = "legacy:detections"
"""Who is taken to have voted where a detection has a decided status and no review."""

STATES = ("counts", "superseded", "contradiction", "unmapped_label")
COUNTS, SUPERSEDED, CONTRADICTION, UNMAPPED = range(4)
"""What becomes of a vote. A later vote of the same person supersedes; a person's, a machine's."""

SHIFTS = {"LOW": -0.7, "MEDIUM": 0.0, "HIGH": 0.5, "EXPERT": 1.3}
"""What a stated confidence adds to the log-odds of being right."""

LOWERED = {"LOW": -1.4, "MEDIUM": -0.7, "HIGH": 0.0, "EXPERT": 0.5}
"""The same when the label ends in a question mark: one level down."""

EXPERT_SHIFT = SHIFTS["EXPERT"]
UNSAID = "artifact"  # a rejection whose kind nobody named
AXES = ("real", "bogus", "abstain", "unmapped")

REVIEWS = pa.schema(
    [
        ("event_id", pa.string()),
        ("detection_id", pa.string()),
        ("validator", pa.string()),
        ("is_valid", pa.bool_()),
        ("label", pa.string()),
        ("level", pa.string()),  # LOW, MEDIUM, HIGH, EXPERT or null
        ("image_quality", pa.string()),  # EXCELLENT, GOOD, FAIR, POOR or null
        ("source", pa.string()),  # human, machine or gold: an adjudicated verdict
        ("selected_for", pa.string()),  # why the subject was shown: queue, random_audit or null
        ("at", pa.timestamp("us", "UTC")),
        ("changed", pa.bool_()),  # after the as-of time, so that it may have been another then
    ]
)
"""One row a review."""


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes as columns, sorted by subject, time and event."""

    subject: NDArray[np.int64]
    """(n,) numbers from 0."""
    validator: NDArray[np.int64]
    """(n,) places in `names`."""
    is_valid: NDArray[np.bool_]
    kind: NDArray[np.int64]
    """(n,) class that was named, places in `classes`; -1 where none was."""
    shift: NDArray[np.float64]
    """(n,) what the stated confidence adds to the log-odds of being right."""
    machine: NDArray[np.bool_]
    gold: NDArray[np.bool_]
    state: NDArray[np.int64]
    """(n,) places in `STATES`."""
    level: NDArray[np.int64]
    """(n,) places in `levels`; -1 where none was stated."""
    names: list[str]
    """Validators, sorted."""
    levels: list[str]
    """Stated levels, sorted."""
    classes: list[str]
    """Classes of the taxonomy, sorted."""
    reviews: pa.Table
    """(n,) rows of `REVIEWS` that they are."""

    def __len__(self) -> int:
        return len(self.subject)

    def take(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the chosen votes, (n,) of this length."""
        return replace(
            self,
            subject=self.subject[chosen],
            validator=self.validator[chosen],
            is_valid=self.is_valid[chosen],
            kind=self.kind[chosen],
            shift=self.shift[chosen],
            machine=self.machine[chosen],
            gold=self.gold[chosen],
            state=self.state[chosen],
            level=self.level[chosen],
            reviews=self.reviews.filter(pa.array(chosen)),
        )


def cast_votes(reviews: pa.Table, subject: NDArray[np.int64], words: Taxonomy) -> Votes:
    """Return the reviews as votes with their states; a review that is there twice is one vote.

    Of each validator the latest vote on a subject by (time, event) counts, and where a person voted,
    machines do not. What counts is looked at before slips are set aside: who corrects a good review
    into a contradictory one has taken the good one back.

    Args:
        reviews: rows of `REVIEWS` in any order.
        subject: (n,) the subject that each one is of.
        words: what labels mean.
    """
    numbered = reviews.append_column("subject", pa.array(subject, pa.int64()))
    numbered = numbered.sort_by([(key, "ascending") for key in ("subject", "at", "event_id")])
    numbered = numbered.filter(pa.array(_first_mention(numbered["event_id"])))
    reviews, subject = numbered.select(REVIEWS.names), numbered["subject"].to_numpy()

    axis, kind, doubtful, classes = _meanings(reviews["label"], words)
    validator, names = _numbered(reviews["validator"])
    level, levels = _numbered(reviews["level"])
    is_valid = _booleans(reviews["is_valid"])
    machine = _booleans(pc.equal(reviews["source"], "machine"))
    latest = _latest(subject, validator)
    judged = np.zeros(int(subject.max(initial=-1)) + 1, bool)
    judged[subject[~machine]] = True
    state = np.full(len(subject), COUNTS)
    state[axis == AXES.index("unmapped")] = UNMAPPED
    state[np.where(is_valid, axis == AXES.index("bogus"), axis == AXES.index("real"))] = (
        CONTRADICTION
    )
    state[~latest | (machine & judged[subject])] = SUPERSEDED
    return Votes(
        subject=subject,
        validator=validator,
        is_valid=is_valid,
        kind=kind,
        shift=_shifts(level, levels, doubtful),
        machine=machine,
        gold=_booleans(pc.equal(reviews["source"], "gold")),
        state=state,
        level=level,
        names=names,
        levels=levels,
        classes=classes,
        reviews=reviews,
    )


def _first_mention(event_ids: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return which rows are not the same event as the row before."""
    codes = event_ids.combine_chunks().dictionary_encode().indices.to_numpy()
    first: NDArray[np.bool_] = np.diff(codes, prepend=-1) != 0
    return first


def _meanings(
    labels: pa.ChunkedArray, words: Taxonomy
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], list[str]]:
    """Return axis, class and doubt of each label, and the classes; each word is looked up once."""
    encoded = pc.fill_null(labels, "").combine_chunks().dictionary_encode()
    classes, said = (
        sorted(words.axes),
        [words.meaning(word) for word in encoded.dictionary.to_pylist()],
    )
    place = {name: number for number, name in enumerate(classes)}
    named = [meaning.axis in {"real", "bogus"} and meaning.name != UNSAID for meaning in said]
    kinds = [
        place[m.name] if names and m.name else -1 for m, names in zip(said, named, strict=True)
    ]
    code = encoded.indices.to_numpy()
    axis = np.array([AXES.index(meaning.axis) for meaning in said], np.int64)
    doubtful = np.array([meaning.doubtful for meaning in said], bool)
    return axis[code], np.array(kinds, np.int64)[code], doubtful[code], classes


def _numbered(texts: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Return places in the sorted list of different texts, -1 for null, and the list."""
    encoded = texts.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    order = sorted(found)
    number = {text: place for place, text in enumerate(order)}
    place = np.array([number[text] for text in found] + [-1], np.int64)
    code = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
    return place[code], order


def _booleans(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = pc.fill_null(values, False).to_numpy()  # noqa: FBT003 - null is false
    return known


def _latest(subject: NDArray[np.int64], validator: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which votes are their validator's last on their subject; they are sorted by time."""
    order = np.lexsort((validator, subject))
    last = np.ones(len(order), bool)
    last[:-1] = (np.diff(subject[order]) != 0) | (np.diff(validator[order]) != 0)
    latest = np.empty(len(order), bool)
    latest[order] = last
    return latest


def _shifts(
    level: NDArray[np.int64], levels: Iterable[str], doubtful: NDArray[np.bool_]
) -> NDArray[np.float64]:
    stated = [*levels, "MEDIUM"]  # the last one is also what -1, none stated, is taken for
    usual = np.array([SHIFTS[name] for name in stated])
    lowered = np.array([LOWERED[name] for name in stated])
    return np.where(doubtful, lowered[level], usual[level])


def votes_json(votes: Votes, subjects: int) -> pa.Array:
    """Return a JSON list of all votes of each subject, by time, each with its state."""
    reviews = votes.reviews
    pieces = [
        '{"event_id": "',
        reviews["event_id"].combine_chunks(),
        '", "validator": ',
        _quoted(reviews["validator"]),
        ', "is_valid": ',
        _chosen(votes.is_valid, ["false", "true"]),
        ', "label": ',
        _quoted(reviews["label"]),
        ', "level": ',
        _quoted(reviews["level"]),
        ', "image_quality": ',
        _quoted(reviews["image_quality"]),
        ', "source": ',
        _quoted(reviews["source"]),
        ', "at": "',
        pc.strftime(reviews["at"].combine_chunks(), "%Y-%m-%dT%H:%M:%S+00:00"),
        '", "state": ',
        _chosen(votes.state, [json.dumps(state) for state in STATES]),
        "}",
    ]
    entries = pc.binary_join_element_wise(*pieces, "")
    ends = np.searchsorted(votes.subject, np.arange(subjects + 1)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(ends), entries)
    return pc.binary_join_element_wise("[", pc.binary_join(lists, ", "), "]", "")


def _quoted(texts: pa.ChunkedArray) -> pa.Array:
    encoded = texts.combine_chunks().dictionary_encode()
    quoted = [json.dumps(text) for text in encoded.dictionary.to_pylist()] + ["null"]
    return pa.array(quoted).take(pc.fill_null(encoded.indices, len(quoted) - 1))


def _chosen(numbers: NDArray[np.generic], texts: list[str]) -> pa.Array:
    return pa.array(texts).take(pa.array(numbers.astype(np.int64)))
