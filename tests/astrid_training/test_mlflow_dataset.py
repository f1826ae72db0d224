"""MLflow knows our datasets by its entry points: they load back, and their digest is ours."""

import dataclasses
import inspect
import json
import re
import runpy
import sys
import tomllib
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.data
import pytest
from mlflow import MlflowClient
from mlflow.data.dataset import Dataset
from mlflow.data.dataset_registry import DatasetRegistry, get_registered_constructors
from mlflow.data.dataset_source_registry import get_registered_sources

from astrid_training import mlflow_dataset
from astrid_training.lineage import start_training_run
from astrid_training.mlflow_dataset import AstridDataset, AstridDatasetSource, from_astrid
from astrid_training.records import TrainingDataset

STORE = "s3://astrid/training"


def test_mlflow_has_found_both_by_the_entry_points() -> None:
    sources: list[Any] = get_registered_sources()
    constructors: dict[str, Any] = get_registered_constructors()

    assert AstridDatasetSource in sources
    assert constructors["from_astrid"] is from_astrid
    assert mlflow.data.from_astrid is from_astrid  # type: ignore[attr-defined]  # put there by MLflow


def test_the_project_declares_what_mlflow_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads(
        (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    (constructor,) = project["entry-points"]["mlflow.dataset_constructor"].items()
    (source,) = project["entry-points"]["mlflow.dataset_source"].values()
    made = SimpleNamespace(name=constructor[0], load=lambda: _of(constructor[1]))
    monkeypatch.setattr("mlflow.data.dataset_registry.get_entry_points", lambda _group: [made])
    registry: Any = DatasetRegistry()  # type: ignore[no-untyped-call]  # MLflow's

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a constructor that MLflow drops is only warned of
        registry.register_entrypoints()

    assert registry.constructors == {"from_astrid": from_astrid}
    assert issubclass(inspect.signature(from_astrid).return_annotation, Dataset)
    assert _of(source) is AstridDatasetSource


def test_imported_before_mlflow_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlflow.data")

    with pytest.raises(ImportError, match=r"`import mlflow\.data` first"):
        runpy.run_path(mlflow_dataset.__file__)


def _of(target: str) -> Any:
    module, name = target.split(":")
    assert module == mlflow_dataset.__name__
    return getattr(mlflow_dataset, name)


def test_what_mlflow_keeps_is_name_digest_schema_profile_and_source(published: Any) -> None:
    kept = from_astrid(published.record, columns=published.samples.schema).to_dict()

    assert (kept["name"], kept["digest"]) == ("validated-detections", published.record.version_id)
    assert len(kept["digest"]) <= 36
    columns = {one["name"]: one["type"] for one in json.loads(kept["schema"])["mlflow_colspec"]}
    assert columns["observation_time"] == "datetime"
    assert columns["is_anomaly"] == "boolean"
    assert columns["snr"] == "double"
    profile = json.loads(kept["profile"])
    assert profile["num_rows"] == 240
    assert profile["content_digest"] == published.record.digests["content"]
    assert profile["source"] == published.record.samples_key
    assert kept["source_type"] == "astrid_training"
    assert json.loads(kept["source"])["dataset"] == str(published.record.id)
    assert "dataset_id" not in json.loads(kept["source"])  # MLflow's pages would lead astray


def test_the_input_of_a_run_leads_to_its_samples_in_the_store_of_the_settings(
    published: Any, mlflow_uri: str, mlflow: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = published.record.samples_key
    # MLflow keeps the first source that it is told of a name and digest
    other = dataclasses.replace(published.record, version_id="e" * 16)
    run_id = start_training_run(other, {}, mlflow_uri, source_uri=f"{STORE}/{key}")
    monkeypatch.setenv("ASTRID_STORE_URL", published.store.url)

    (given,) = mlflow.get_run(run_id).inputs.dataset_inputs  # type: ignore[union-attr]
    source: Any = _source(given)

    assert isinstance(source, AstridDatasetSource)
    assert source.uri == f"{STORE}/{key}"
    assert source.load_samples().equals(published.samples)


def test_its_splits_are_those_of_the_dataset_of_that_id(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrid_training.dataset.load_training_dataset", lambda wanted: [wanted])
    told = from_astrid(published.record).source.to_json()

    assert AstridDatasetSource.from_json(told).load() == [str(published.record.id)]


def test_a_record_resolves_to_its_source(published: Any) -> None:
    from mlflow.data.dataset_source_registry import resolve_dataset_source

    source = resolve_dataset_source(published.record)

    assert source.to_dict() == from_astrid(published.record).source.to_dict()


@pytest.mark.parametrize("wrong", [{"name": "other"}, {"digest": "0" * 8}])
def test_another_name_or_digest_is_refused(published: Any, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=re.escape("leave it out")):
        from_astrid(published.record, **wrong)


def test_a_dataset_is_looked_up_by_its_name(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(_engine: object, wanted: str) -> TrainingDataset:
        assert wanted == "nightly"
        record: TrainingDataset = published.record
        return record

    monkeypatch.setattr("astrid_training.catalogue.get_dataset", found)
    monkeypatch.setenv("ASTRID_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")

    assert isinstance(from_astrid("nightly"), AstridDataset)


def _source(given: Any) -> Any:
    from mlflow.data import get_source

    return get_source(given)
