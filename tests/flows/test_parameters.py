"""A flow takes the model's fields one by one, and answers wrong ones in plain words."""

from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from prefect import flow
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, Field

from astrid_training.checked import check_parameters
from astrid_training.errors import CollectionRefusedError
from astrid_training.params import PreprocessSpec, TrainingDataCollectionParams
from flows.parameters import as_flow_parameters, flat_parameters

FIELDS = TrainingDataCollectionParams.model_fields


@flat_parameters(TrainingDataCollectionParams)
def collect(
    params: TrainingDataCollectionParams,
    trigger: Literal["manual", "batch"] = "manual",
    batch: dict[str, Any] | None = None,
) -> tuple[TrainingDataCollectionParams, str, dict[str, Any] | None]:
    """Collect a dataset.

    Args:
        params: what to collect.
        trigger: who asked for it,
            in one word.
        batch: the batch that closed.

    Returns:
        What came in.
    """
    return params, trigger, batch


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """What Prefect's form, its API and its command line know of the flow."""
    return parameter_schema(collect).model_dump()


def test_every_field_is_a_parameter_in_the_models_order_before_the_flows_own(
    schema: dict[str, Any],
) -> None:
    assert list(schema["properties"]) == [*FIELDS, "trigger", "batch"]
    assert schema["required"] == []
    assert [p["position"] for p in schema["properties"].values()] == list(range(len(FIELDS) + 2))


@pytest.mark.parametrize("name", FIELDS)
def test_each_parameter_shows_the_fields_title_description_and_default(
    schema: dict[str, Any], name: str
) -> None:
    default = TrainingDataCollectionParams().model_dump(mode="json")[name]

    shown = schema["properties"][name]

    assert shown["title"] == name
    assert shown["description"] == FIELDS[name].description
    assert shown["default"] == default


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("max_samples", {"type": "integer", "minimum": 1}),
        ("confidence_threshold", {"type": "number", "minimum": 0.5, "maximum": 1}),
        ("name", {"maxLength": 200, "minLength": 1, "pattern": r"^[A-Za-z0-9][A-Za-z0-9._ -]*$"}),
        ("trigger", {"enum": ["manual", "batch"], "description": "who asked for it, in one word."}),
        ("batch", {"anyOf": [{"additionalProperties": True, "type": "object"}, {"type": "null"}]}),
        ("preprocess", {"$ref": "#/definitions/PreprocessSpec"}),
    ],
)
def test_bounds_reach_the_form(schema: dict[str, Any], name: str, bounds: dict[str, Any]) -> None:
    assert bounds.items() <= schema["properties"][name].items()


def test_nested_models_keep_the_descriptions_of_their_own_fields(schema: dict[str, Any]) -> None:
    shown = schema["definitions"]["PreprocessSpec"]["properties"]["stamp_size"]

    assert shown["description"] == PreprocessSpec.model_fields["stamp_size"].description


def test_docstring_lists_the_parameters_once_and_keeps_its_other_sections() -> None:
    doc = collect.__doc__ or ""

    assert doc.startswith("Collect a dataset.\n\nArgs:\n    name: ")
    assert doc.count("Args:") == 1
    assert "params" not in doc
    assert doc.rstrip().endswith("Returns:\n    What came in.")


def test_a_docstring_without_args_gets_them_at_its_end() -> None:
    class Model(BaseModel):
        steps: int = Field(3, description="How many.")

    @flat_parameters(Model)
    def train(params: Model) -> int:
        """Train."""
        return params.steps

    assert train.__doc__ == "Train.\n\nArgs:\n    steps: How many.\n"
    assert train() == 3


def test_one_value_given_leaves_the_others_at_their_defaults() -> None:
    params, trigger, batch = collect(max_samples=5)

    assert params == TrainingDataCollectionParams(max_samples=5)
    assert params.model_fields_set == {"max_samples"}
    assert (trigger, batch) == ("manual", None)


def test_json_values_become_the_models_types() -> None:
    params, trigger, batch = collect(
        date_range=["2024-01-01T00:00:00", "2024-02-01T01:00:00+01:00"],
        preprocess={"stamp_size": 32},
        trigger="batch",
        batch={"batch_id": "b1"},
    )

    assert params.date_range == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
    assert params.preprocess == PreprocessSpec(stamp_size=32)
    assert (trigger, batch) == ("batch", {"batch_id": "b1"})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_samples": 0}, r"max_samples: input should be greater than or equal to 1 \(got 0\)"),
        (
            {"date_range": ["2024-03-01T00:00:00Z", "2024-01-01T00:00:00Z"]},
            "parameters refused: date_range starts at 2024-03-01.* give the earlier one first",
        ),
        ({"preprocess": {"stampsize": 3}}, "preprocess.stampsize: extra inputs are not permitted"),
        ({"split": {"train": 0.5}}, "split: train .* = 0.7; make them sum to 1"),
        ({"trigger": "nobody"}, "trigger: input should be 'manual' or 'batch'"),
        ({"max_samples": 0, "name": ""}, "name: .*; max_samples: "),
        ({"survey_ids": ["ztf\0"]}, "a text holds the character NUL"),
        ({"description": "\0"}, "a text holds the character NUL"),
    ],
)
def test_wrong_values_are_refused_in_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CollectionRefusedError, match=sentence) as refused:
        collect(**values)

    assert "\n" not in str(refused.value)


def test_other_ways_in_are_refused_in_the_same_words() -> None:
    with pytest.raises(CollectionRefusedError, match=r"parameters refused: max_samples: .*got 0"):
        check_parameters(TrainingDataCollectionParams, {"max_samples": 0})


def test_an_unknown_parameter_is_a_type_error_as_of_any_function() -> None:
    with pytest.raises(TypeError, match="max_sample"):
        collect(max_sample=5)


def test_a_flow_runs_parameters_hold_only_what_was_given_and_come_back_as_the_same_model() -> None:
    params = TrainingDataCollectionParams(
        date_range=(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
        preprocess=PreprocessSpec(stamp_size=32),
    )

    sent = as_flow_parameters(params)

    assert sent == {
        "date_range": ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"],
        "preprocess": {"stamp_size": 32},
    }
    assert collect(**sent)[0] == params


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("validate", [False, True])
def test_a_flow_run_takes_the_parameters_one_by_one(validate: bool) -> None:  # noqa: FBT001
    collection = flow(name="flat", validate_parameters=validate)(collect)

    params, trigger, _ = collection(max_samples=5, preprocess={"stamp_size": 32})

    expected = {"max_samples": 5, "preprocess": PreprocessSpec(stamp_size=32)}
    assert params == TrainingDataCollectionParams.model_validate(expected)
    assert trigger == "manual"


@pytest.mark.usefixtures("stack")
def test_a_flow_run_with_turned_round_dates_fails_in_its_first_act() -> None:
    collection = flow(name="flat", validate_parameters=False)(collect)

    state: Any = collection(
        date_range=["2024-03-01T00:00:00Z", "2024-01-01T00:00:00Z"], return_state=True
    )

    assert state.is_failed()
    assert "give the earlier one first" in str(state.message)
