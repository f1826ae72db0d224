"""A collection's first step gives the recipe, or fails with what is wrong with the installation."""

import pytest
from prefect.logging import disable_run_logger

from astrid_training.errors import GoldenVectorError, ProcessorError
from astrid_training.params import DEFAULT_PROCESSOR, PreprocessSpec
from astrid_training.processors import Recipe
from tasks.check_processor import check_processor

SPEC = PreprocessSpec()


def check(processor: str) -> Recipe:
    with disable_run_logger():
        return check_processor.fn(processor, SPEC)


def test_the_recipe_of_a_sound_installation_is_returned() -> None:
    assert check(DEFAULT_PROCESSOR) == Recipe.of(DEFAULT_PROCESSOR, SPEC)


def test_other_pixels_fail_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrid_training.scaling.MAD_TO_SIGMA", 1.5)

    with pytest.raises(GoldenVectorError, match=r"golden vector plain/asinh: .* instead of"):
        check(DEFAULT_PROCESSOR)


def test_a_processor_that_is_not_there_fails_the_step() -> None:
    with pytest.raises(ProcessorError, match="no_such cannot be imported"):
        check("no_such:Processor")
