"""Parameters, YAML and label text of any kind are taken as they are, or refused with a reason."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from astrid_training.checked import check_parameters
from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.review_params import ReviewQueueParams
from astrid_training.taxonomy import taxonomy
from astrid_training.training_params import TrainingParams
from deployments.options import given_parameters
from tests.fuzz.amounts import cases

MODELS = (TrainingDataCollectionParams, ReviewQueueParams, TrainingParams)

MOMENTS = st.sampled_from(
    [
        *(
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-01-01",
            "2026-01-01T00:00Z",
        ),
        *("1969-12-31", "+10000-01-01", "2026-02-30", "infinity", 1e300, -1e18, 10**400),
    ]
)
ODD = st.sampled_from(
    [
        0,
        -1,
        2**31,
        2**63,
        10**400,
        1e308,
        float("inf"),
        float("nan"),
        5e-324,
        "1",
        "",
        "\0",
        "\ud800",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), ODD, MOMENTS, st.text(max_size=20)
)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def fields_of(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Return values for some fields, of the right shape more often than not."""
    nested = {
        name: field.annotation
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    names = st.sampled_from([*model.model_fields, "no_such_field"])
    pairs = names.flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.one_of(
                *(ANY, LEAVES, st.lists(LEAVES, max_size=3), st.tuples(MOMENTS, MOMENTS).map(list)),
                *([fields_of(nested[name])] if name in nested else []),
            ),
        )
    )
    return st.lists(pairs, max_size=4).map(dict)


@pytest.mark.trust
@pytest.mark.parametrize("model", MODELS)
@cases(25, 1000)
@given(data=st.data())
def test_any_json_is_refused_or_comes_back_as_it_was(model: type[BaseModel], data: Any) -> None:
    values = data.draw(fields_of(model))
    try:
        made = model.model_validate(values)
    except ValidationError:
        with pytest.raises(CollectionRefusedError) as caught:
            check_parameters(model, values)
        assert len(str(caught.value)) < 20_000
        return

    told = json.dumps(made.model_dump(mode="json"), allow_nan=False)
    assert model.model_validate_json(told) == made
    assert "\\u0000" not in told


TEXTS = st.text(max_size=40) | st.sampled_from(["[" * 2000, "9" * 5000, "{", '{"a": NaN}', "null"])


@pytest.mark.trust
@cases(25, 1000)
@given(
    options=st.dictionaries(st.sampled_from(list(TrainingDataCollectionParams.model_fields)), TEXTS)
)
def test_options_of_any_text_are_refused_or_taken(options: dict[str, str]) -> None:
    told = ""
    try:
        given_parameters(TrainingDataCollectionParams, options)
    except CollectionRefusedError as error:
        told = str(error)

    assert len(told) < 20_000


DEEP = 300


def laughs(levels: int = 12) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)
    ]
    return "\n".join(lines)


def merges(levels: int = 12) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [
        f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}"
        for level in range(1, levels)
    ]
    return "\n".join(lines)


YAML: dict[str, str] = {
    "aliases of aliases": laughs(),
    "merges of merges": merges(),
    "a long text many times": "name: &n "
    + "x" * 100_000
    + f"\nbands: [{', '.join(['*n'] * 9999)}]",
    "a list that holds itself": "bands: &b [*b]",
    "a mapping that holds itself": "&m\nname: *m",
    "nested deeply": "name: " + "[" * 100_000,
    "nested, and closed": "name: " + "[" * 5000 + "]" * 5000,
    "nested as far as it goes": "name: " + "[" * DEEP + "]" * DEEP,
    "an object": "name: !!python/object/apply:os.system ['touch canary']",
    "a module": "name: !!python/name:os.system",
    "a tag of our own": "name: !ours x",
    "a whole number of 100,000 digits": "max_samples: " + "9" * 100_000,
    "a day that is none": "as_of: 2026-13-45",
    "a moment out of the calendar": "as_of: 0001-01-01 00:00:00+14:00",
    "a zone that is none": "as_of: 2026-01-01 00:00:00+99:99",
    "a set": "bands: !!set {a, b}",
    "bytes": "name: !!binary gICA",
    "no base64": "name: !!binary '*'",
    "several documents": "name: a\n---\nname: b",
    "keys that are lists": "? [a, b]\n: c",
    "keys that are mappings": "? {a: b}\n: c",
    "keys that are numbers": "1: 2",
    "NUL": "name: a\0b",
    "an escaped NUL": 'name: "a\\0b"',
    "half a character": 'name: "\\uD800"',
    "an anchor of 100,000 letters": "name: &" + "a" * 100_000 + " x",
    "a key of 500,000 letters": "a" * 500_000 + ": x",
    "sixty by sixty": "max_samples: " + ":".join(["59"] * 3000),
    "2 MB": "name: " + "x" * (2 << 20),
    "10,000 unknown fields": "\n".join(f"f{number}: 1" for number in range(10_000)),
    "a tag of integers": "max_samples: !!int x",
    "an empty integer": "max_samples: !!int ''",
    "an empty float": "max_samples: !!float ''",
    "a null that is a list": "name: !!null [a]",
    "pairs that are none": "name: !!omap [a]",
}


SOUND = {"a set", "an anchor of 100,000 letters"}
MOST_SECONDS = 10.0


@pytest.mark.trust
@pytest.mark.parametrize("name", YAML)
def test_a_hostile_file_of_parameters_is_refused_within_its_bounds(bounded: Any, name: str) -> None:
    found = bounded.read_bytes("parameters", "a.yaml", YAML[name].encode("utf-8", "surrogatepass"))

    assert found["outcome"] == ("read" if name in SOUND else "refused")
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < 300


@pytest.mark.trust
@pytest.mark.slow
@pytest.mark.parametrize("name", YAML)
def test_a_hostile_survey_profile_is_refused_within_its_bounds(
    bounded: Any, tmp_path: Any, name: str
) -> None:
    folder = tmp_path / "surveys"
    folder.mkdir()
    (folder / "a.yaml").write_bytes(YAML[name].encode("utf-8", "surrogatepass"))

    found = bounded.read("survey_profiles", tmp_path)

    assert found["outcome"] == "refused"
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < 300


PIECES = st.sampled_from(
    [
        *(
            "name: ",
            "bands: ",
            "&a ",
            "*a",
            "!!int ",
            "!!timestamp ",
            "!!binary ",
            "!!float ",
            "<<: ",
        ),
        *(
            "[",
            "]",
            "{",
            "}",
            "\n",
            "  ",
            "- ",
            "? ",
            ": ",
            ", ",
            "|",
            ">",
            "%YAML 1.1\n",
            "---\n",
            "'",
        ),
        *(
            '"',
            "\\",
            "2026-01-01",
            "12:30:45",
            "0x",
            "1e9",
            "~",
            "yes",
            ".inf",
            "-",
            "#",
            "\t",
            "\ufeff",
        ),
    ]
)


@pytest.mark.trust
@cases(10, 500)
@given(pieces=st.lists(PIECES | st.text(max_size=5), max_size=25))
def test_a_file_of_any_text_is_read_or_refused(bounded: Any, pieces: list[str]) -> None:
    text = "".join(pieces).encode("utf-8", "replace")

    assert bounded.read_bytes("parameters", "a.yaml", text)["outcome"] in {"read", "refused"}


WORDS = st.sampled_from(
    [*taxonomy().spellings, *(word.upper() for word in taxonomy().spellings), "SN?", "???", " ? "]
)
LABELS = st.text(max_size=60) | st.lists(
    WORDS | st.sampled_from(["\u202e", "\0", "\ufdfa", "\ud800", "_", " ", "-", "?", "ﬁ", "İ"]),
    max_size=6,
).map("".join)


@pytest.mark.trust
@cases(50)
@given(label=LABELS)
def test_a_label_of_any_text_means_one_class_or_none(label: str) -> None:
    words = taxonomy()
    meaning = words.meaning(label)

    assert (meaning.name is None) == (meaning.axis == "unmapped")
    assert meaning.name is None or words.axes[meaning.name] == meaning.axis
    assert words.meaning(f"  {label}\t").name == meaning.name
    assert words.meaning(meaning.name) == words.meaning(words.meaning(meaning.name).name)


@pytest.mark.trust
@pytest.mark.parametrize("piece", ["\ufdfa", "? ", "-_/.", "\u202e", "e\u0301", "İ", "\0", "x"])
def test_a_label_of_a_megabyte_is_understood_in_no_time(piece: str) -> None:
    begun = time.monotonic()
    taxonomy().meaning(piece * (1_000_000 // len(piece)))

    assert time.monotonic() - begun < 5
