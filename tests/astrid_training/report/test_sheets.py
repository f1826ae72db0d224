"""The stamps that are shown are the doubtful, the contested, the contradicted and the poor ones."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.report.sheets import PER_THEME, Sheet, class_sheets, theme_sheets


def _with(samples: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        place = samples.column_names.index(name)
        samples = samples.set_column(place, name, pa.array(values, samples.schema.field(name).type))
    return samples


@pytest.fixture(scope="module")
def samples(published: Any) -> pa.Table:
    """Samples of which each theme has its own: the first three by key doubtful, the next contested …"""
    table = published.samples.slice(0, 60)
    rows = np.arange(60)
    real = table["is_anomaly"].to_pylist()
    model = [0.9 if label != (6 <= row < 9) else 0.1 for row, label in zip(rows, real, strict=True)]
    return _with(
        table,
        confidence=np.where(rows < 3, 0.71 + 0.01 * rows, 0.9),
        n_validators=np.full(60, 3, np.int32),
        agreement=[1 / 3 if 3 <= row < 6 else 1.0 for row in rows],
        model_score=model,
        quality_score=[None if row == 30 else 0.2 if 9 <= row < 12 else 0.9 for row in rows],
    )


@pytest.fixture(scope="module")
def sheets(
    published: Any, samples: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Sheet]:
    packs = PackCache(published.store, tmp_path_factory.mktemp("packs"))
    return {sheet.title: sheet for sheet in theme_sheets(samples, packs, PreprocessSpec())}


def _keys(sheet: Sheet) -> list[str]:
    return [one.stamp.sample_key for one in sheet.shown]


@pytest.mark.parametrize(
    ("title", "rows", "note"),
    [
        ("Most uncertain", [0, 1, 2], "review"),
        ("Most contested", [3, 4, 5], "3 reviewers, 33% of pairs agree"),
        ("Against the model", [6, 7, 8], "model "),
        ("Poorest observations", [9, 10, 11], "quality 0.20"),
    ],
)
def test_each_theme_begins_with_its_own(
    samples: pa.Table, sheets: dict[str, Sheet], title: str, rows: list[int], note: str
) -> None:
    wanted = [samples["sample_key"][row].as_py() for row in rows]

    assert _keys(sheets[title])[:3] == wanted
    assert all(note in one.note for one in sheets[title].shown[:3])


def test_what_nobody_contests_or_contradicts_is_not_shown_as_such(sheets: dict[str, Sheet]) -> None:
    assert len(sheets["Most contested"].shown) == len(sheets["Against the model"].shown) == 3


def test_random_ones_are_the_same_in_whatever_order_the_samples_come(
    published: Any, samples: pa.Table, sheets: dict[str, Sheet], tmp_path: Any
) -> None:
    shuffled = samples.take(pa.array(np.random.default_rng(1).permutation(60)))
    again = theme_sheets(shuffled, PackCache(published.store, tmp_path), PreprocessSpec())

    assert len(_keys(sheets["Random"])) == PER_THEME
    assert {sheet.title: _keys(sheet) for sheet in again} == {
        title: _keys(sheet) for title, sheet in sheets.items()
    }
    assert _keys(sheets["Random"]) != sorted(samples["sample_key"].to_pylist())[:PER_THEME]


def test_what_nobody_reviewed_is_neither_uncertain_nor_contradicted(
    published: Any, samples: pa.Table, tmp_path: Any
) -> None:
    places = _with(samples, label_source=["sky"] * 60)
    shown = {
        sheet.title: len(sheet.shown)
        for sheet in theme_sheets(places, PackCache(published.store, tmp_path), PreprocessSpec())
    }

    assert [
        shown[title] for title in ("Most uncertain", "Most contested", "Against the model")
    ] == [0, 0, 0]
    assert shown["Random"] == PER_THEME


def test_each_class_shows_its_splits_in_their_order(published: Any, tmp_path: Any) -> None:
    sheets = class_sheets(published.samples, PackCache(published.store, tmp_path), PreprocessSpec())

    assert [sheet.title for sheet in sheets[:3]] == [
        "asteroid (real)",
        "supernova (real)",
        "variable_star (real)",
    ]
    for sheet in sheets[:3]:
        assert [one.stamp.split for one in sheet.shown] == ["train"] * 3 + ["val"] * 3 + [
            "test"
        ] * 3
