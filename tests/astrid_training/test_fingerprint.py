"""A preprocessing has one name, which changes with all that can change a pixel."""

from typing import Any

import pytest

from astrid_training import processor as module
from astrid_training.errors import ParityError
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, check_parity, fingerprint

OTHER_SPECS: list[dict[str, Any]] = [
    {"channels": ("difference",)},
    {"channels": ("reference", "science", "difference")},
    {"stamp_size": 48},
    {"margin": 0},
    {"background": "median"},
    {"cell_px": 32},
    {"cosmic_rays": "lacosmic"},
    {"scale": "l2"},
    {"softening": 2.0},
    {"clip": 9.0},
    {"clip": None},
    {"missing_above": 1e20},
]


def test_the_fingerprint_changes_with_every_field_and_with_nothing_else() -> None:
    prints = [fingerprint(PreprocessSpec(**changed)) for changed in ({}, *OTHER_SPECS)]

    assert len(set(prints)) == len(prints)
    changed = {name for spec in OTHER_SPECS for name in spec}
    assert changed == set(PreprocessSpec.model_fields) - {"dtype", "orientation"}  # of one value
    assert fingerprint(PreprocessSpec(stamp_size=64)) == prints[0]
    assert AstronomicalImageProcessor().fingerprint == prints[0]
    assert len(prints[0]) == 64


@pytest.mark.parametrize("step", sorted(module.ALGORITHMS))
def test_the_fingerprint_changes_with_the_version_of_any_step(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = fingerprint(PreprocessSpec())

    raised = {**module.ALGORITHMS, step: module.ALGORITHMS[step] + 1}
    monkeypatch.setattr(module, "ALGORITHMS", raised)

    assert fingerprint(PreprocessSpec()) != before


def test_other_preprocessing_is_a_parity_error_that_names_both() -> None:
    check_parity("a" * 64, "a" * 64)
    with pytest.raises(ParityError) as caught:
        check_parity("a" * 64, "b" * 64)

    assert (caught.value.expected, caught.value.got) == ("a" * 64, "b" * 64)
