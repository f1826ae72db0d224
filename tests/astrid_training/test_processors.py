"""A dotted path leads to what prepares pixels, has its part in their name, or is refused in words."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from astrid_training.catalogue import get_dataset
from astrid_training.dataset import splits_from
from astrid_training.errors import ParityError, ProcessorError
from astrid_training.golden import check_recipe
from astrid_training.params import (
    DEFAULT_PROCESSOR,
    PreprocessSpec,
    TrainingDataCollectionParams,
)
from astrid_training.processor import ALGORITHMS, AstronomicalImageProcessor, fingerprint
from astrid_training.processors import Recipe, recipe_of
from astrid_training.records import PublishedDataset
from astrid_training.training import TrainingParams, load_unet, train_unet
from tests.astrid_training import other_processor

MODULE = "tests.astrid_training.other_processor"
HALVED = f"{MODULE}:Halved"
SPEC = PreprocessSpec()

Collect = Callable[..., PublishedDataset]


def test_our_own_class_is_the_default_and_its_fingerprint_that_of_the_spec() -> None:
    assert TrainingDataCollectionParams().processor == DEFAULT_PROCESSOR
    recipe = Recipe.of(DEFAULT_PROCESSOR, SPEC)

    assert recipe.fingerprint == fingerprint(SPEC)
    assert isinstance(recipe.load(), AstronomicalImageProcessor)


def test_path_version_and_spec_stand_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [
        Recipe.of(DEFAULT_PROCESSOR, SPEC),
        Recipe.of(HALVED, SPEC),
        Recipe.of(HALVED, PreprocessSpec(softening=4)),
        Recipe.of(f"{MODULE}:Subclass", SPEC),
    ]
    monkeypatch.setattr(other_processor.Halved, "VERSION", "2")
    recipes.append(Recipe.of(HALVED, SPEC))
    monkeypatch.setattr(other_processor.Halved, "VERSION", 2)
    recipes.append(Recipe.of(HALVED, SPEC))

    assert len({recipe.fingerprint for recipe in recipes}) == len(recipes)


def test_a_changed_step_of_ours_changes_the_name_of_what_may_build_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Recipe.of(HALVED, SPEC)
    monkeypatch.setattr("astrid_training.processors.ALGORITHMS", {**ALGORITHMS, "scale": 99})

    assert Recipe.of(HALVED, SPEC) != before


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("no.such_package:Class", "no.such_package cannot be imported"),
        ("astrid_training.nothing:Class", "install its package wherever collections, trainings"),
        (f"{MODULE}:Nobody", "has no class 'Nobody'; write the path as package.module:Class"),
        (f"{MODULE}:NOT_A_CLASS", "has no class 'NOT_A_CLASS'"),
        (f"{MODULE}:Unversioned", "VERSION is None; give the class a text or a number"),
        (f"{MODULE}:WithoutMany", r"no apply_many; it needs apply_many\(frames, x, y, fwhm_px\)"),
        (f"{MODULE}:WithoutSpec", "cannot be made from a PreprocessSpec alone"),
        (f"{MODULE}:OtherSize", "its spec has other channels, stamp_size, margin"),
        (
            f"{MODULE}:Doubles",
            r"its pixels are float64 of shape \(3, 3, 72, 72\) instead of float32",
        ),
        (f"{MODULE}:Holes", "its pixels are not all finite; fill holes with 0"),
        (f"{MODULE}:Drifting", "pixels differ when it is asked again"),
        (f"{MODULE}:OfCompany", "pixels differ when it is asked for one stamp at a time"),
    ],
)
def test_what_is_no_processor_is_refused_with_cause_and_cure(path: str, cause: str) -> None:
    with pytest.raises(ProcessorError, match=cause) as caught:
        check_recipe(path, SPEC)

    assert str(caught.value).startswith(f"processor {path}: ")


@pytest.mark.parametrize("name", ["Halved", "Subclass"])
def test_what_keeps_to_the_interface_is_taken(name: str) -> None:
    recipe = check_recipe(f"{MODULE}:{name}", SPEC)

    assert recipe.load().spec == SPEC


@pytest.mark.parametrize("path", ["Class", "module:", "a/b.py:Class", "module:A.B", "../x:Y", ""])
def test_a_path_is_a_module_and_a_class(path: str) -> None:
    with pytest.raises(ValidationError, match="processor"):
        TrainingDataCollectionParams(processor=path)


def test_a_recipe_of_other_code_is_not_followed() -> None:
    recipe = dataclasses.replace(Recipe.of(DEFAULT_PROCESSOR, SPEC), fingerprint="e" * 64)

    with pytest.raises(ParityError, match="expected spec eeeeeeeeeeee"):
        recipe.load()


def test_a_spec_that_this_version_does_not_know_is_a_parity_error(published: Any) -> None:
    spec = {**published.record.preprocess_spec, "deblend": True}

    with pytest.raises(ParityError, match="use the version that made it"):
        recipe_of(dataclasses.replace(published.record, preprocess_spec=spec))


def test_a_dataset_of_before_processors_could_be_named_is_ours(published: Any) -> None:
    params = {**published.record.collection_params}
    params.pop("processor")

    recipe = recipe_of(dataclasses.replace(published.record, collection_params=params))

    assert recipe == Recipe.of(DEFAULT_PROCESSOR, PreprocessSpec())


def test_another_processor_goes_the_whole_way(
    sky: Any, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = collect(name="ours"), collect(name="theirs", processor=HALVED)
    records = [get_dataset(sky.engine, str(made.dataset_id)) for made in (ours, theirs)]
    splits = [splits_from(record, sky.store, tmp_path / "cache") for record in records]

    assert records[0].collection_params["processor"] == DEFAULT_PROCESSOR
    assert records[1].collection_params["processor"] == HALVED
    assert records[1].spec_fingerprint == Recipe.of(HALVED, PreprocessSpec()).fingerprint
    assert records[0].spec_fingerprint != records[1].spec_fingerprint
    where = {key: index for index, key in enumerate(splits[0].train.keys)}
    shared = [key for key in splits[1].train.keys if key in where]
    assert len(shared) > 10
    for sample in (splits[1].train[splits[1].train.keys.index(key)] for key in shared):
        whole = splits[0].train[where[sample.key]]
        assert_array_equal(sample.image, whole.image / 2)
        assert_array_equal(sample.mask, whole.mask)

    few = TrainingParams(steps=1, batch_size=4, width=2)
    result = train_unet(splits[1], few, tmp_path / "model")
    assert json.loads(result.metadata_path.read_text())["processor"] == HALVED
    load_unet(tmp_path / "model")

    monkeypatch.setattr(other_processor.Halved, "VERSION", "2")
    with pytest.raises(ParityError):
        splits_from(records[1], sky.store, tmp_path / "cache")
    with pytest.raises(ParityError):
        train_unet(splits[1], few, tmp_path / "again")
    with pytest.raises(ParityError):
        load_unet(tmp_path / "model")
    again = collect(name="theirs", processor=HALVED)
    newer = get_dataset(sky.engine, str(again.dataset_id))
    assert not again.reused
    assert newer.digests["content"] == records[1].digests["content"]
    splits_from(newer, sky.store, tmp_path / "cache")


def test_a_processor_that_is_not_installed_here_is_named(published: Any, tmp_path: Path) -> None:
    params = {**published.record.collection_params, "processor": "astrid.pixels:Processor"}
    record = dataclasses.replace(published.record, collection_params=params)

    with pytest.raises(ProcessorError, match=r"astrid\.pixels cannot be imported"):
        splits_from(record, published.store, tmp_path)


def test_pixels_of_two_processors_are_never_mixed(sky: Any, collect: Collect) -> None:
    collect(name="ours")

    built = collect(name="theirs", processor=HALVED)

    samples = get_dataset(sky.engine, str(built.dataset_id))
    assert np.isfinite(samples.quality_score)
    with sky.engine.connect() as connection:
        counts = connection.exec_driver_sql(
            "SELECT count(DISTINCT spec_fingerprint), count(DISTINCT image_pack) "
            "FROM training_image_catalogue WHERE image_pack IS NOT NULL"
        ).one()
    assert counts[0] == 2
    assert counts[1] % 2 == 0
