"""A step's key changes with what shapes its result, and with nothing else."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from prefect.states import Completed

from astrid_training.params import MaskRule, PreprocessSpec
from astrid_training.records import Downloaded, Reject, SourceFile
from tasks import caching
from tasks.caching import call_checked, step_options

RUN = SimpleNamespace(task_run=SimpleNamespace(flow_run_id=UUID(int=1)))
OTHER = SimpleNamespace(task_run=SimpleNamespace(flow_run_id=UUID(int=2)))
MODULES = ("astrid_training.masks",)


def key(
    inputs: dict[str, Any], name: str = "step", version: int = 1, run: Any = RUN, **options: Any
) -> str:
    made: str = step_options(name, version, MODULES, run_name="run", **options)["cache_key_fn"](
        run, inputs
    )
    return made


def test_equal_inputs_give_one_key_in_any_order_and_any_run() -> None:
    inputs = {"a": MaskRule(), "b": Downloaded([SourceFile("p", "e", 1)], [], [])}

    assert key(inputs) == key(dict(reversed(inputs.items()))) == key(inputs, run=OTHER)


@pytest.mark.parametrize(
    "other",
    [
        {"spec": PreprocessSpec(softening=4)},
        {"spec": PreprocessSpec(), "more": None},
        {"spec": Reject("k", "s", "r")},
    ],
)
def test_other_inputs_give_another_key(other: dict[str, Any]) -> None:
    assert key({"spec": PreprocessSpec()}) != key(other)


def test_two_steps_with_the_same_inputs_share_nothing() -> None:
    keys = {key({}), key({}, name="other"), key({}, version=2)}

    assert len(keys) == 3
    assert all(character.isalnum() or character in "-_" for one in keys for character in one)


def test_a_step_that_reads_the_database_is_remembered_within_its_run_only() -> None:
    assert key({}, within_run=True) == key({}, within_run=True)
    assert key({}, within_run=True) != key({}, within_run=True, run=OTHER)


def test_an_edit_of_the_code_or_of_a_data_file_makes_results_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = key({})
    text = caching._text
    monkeypatch.setattr(caching, "_text", lambda name: text(name) + "# edited")

    assert key({}) != before


def test_data_files_are_read_as_such() -> None:
    assert "psf_fwhm_px" in caching._text("astrid_training.surveys/profiles.yaml")


def test_a_remembered_result_whose_objects_have_gone_is_made_again() -> None:
    calls = []

    class Step:
        """Stands for a task: what matters is which form of it is called."""

        def __call__(self, given: int, *, return_state: bool) -> Any:
            assert return_state
            calls.append("cached")
            return Completed(name="Cached", data="stale")

        def with_options(self, *, refresh_cache: bool) -> Any:
            assert refresh_cache
            return self.anew

        def anew(self, given: int) -> str:
            calls.append("anew")
            return f"fresh {given}"

    step: Any = Step()

    assert call_checked(step, lambda result: result != "stale", 7) == ("fresh 7", False)
    assert call_checked(step, lambda result: True, 7) == ("stale", True)
    assert calls == ["cached", "anew", "cached"]
