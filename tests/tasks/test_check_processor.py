"""A collection's first step gives the recipe, or fails with what is wrong with the installation."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

import astrid_training
from astrid_training import workers
from astrid_training.errors import GoldenVectorError, ProcessorError
from astrid_training.params import DEFAULT_PROCESSOR, PreprocessSpec
from astrid_training.processors import Recipe
from tasks.check_processor import check_processor

SPEC = PreprocessSpec()


def check(processor: str) -> Recipe:
    with disable_run_logger():
        return check_processor.fn(processor, SPEC)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the library, from which the workers that start now import."""
    copy = tmp_path / "astrid_training"
    shutil.copytree(Path(astrid_training.__file__).parent, copy)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(workers, "_shared", [])
    yield copy
    for started in workers._shared:
        started.close()


def test_the_recipe_of_a_sound_installation_is_returned() -> None:
    assert check(DEFAULT_PROCESSOR) == Recipe.of(DEFAULT_PROCESSOR, SPEC)


def test_other_pixels_fail_the_step(installation: Path) -> None:
    module = installation / "scaling.py"
    code = module.read_text(encoding="utf-8")
    assert "1.4826" in code
    module.write_text(code.replace("1.4826", "1.5826"), encoding="utf-8")

    with pytest.raises(GoldenVectorError, match=r"golden vector plain/asinh: .* instead of"):
        check(DEFAULT_PROCESSOR)


def test_a_processor_that_is_not_there_fails_the_step() -> None:
    with pytest.raises(ProcessorError, match="no_such cannot be imported"):
        check("no_such:Processor")
