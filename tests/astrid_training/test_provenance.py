"""From a dataset's digest, or from a model, to all that it comes from and all that was made of it."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from astrid_training.astrid_models import keep_model_row
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import query
from astrid_training.lineage import start_training_run
from astrid_training.mlflow_trail import find_in_mlflow, follow_mlflow
from astrid_training.models import NetworkSignature, RegisteredModel, register_trained_model
from astrid_training.provenance import Ends, find_meant, label_events, trace
from astrid_training.records import TrainingDataset
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.trainings import close_training_run, open_training_run, training_runs

REGISTERED = RegisteredModel("astrid-unet", "3", "m-113", "b" * 32)
METRICS = {"test_f1": 0.9, "test_precision": 0.8, "test_recall": 1.0, "odd": float("nan")}


def digests_of(number: int) -> dict[str, str]:
    """Five digests in hex that no other number's begin like."""
    kinds = ("query", "source", "label", "content", "split")
    return {kind: f"{place}{number}" * 32 for place, kind in enumerate(kinds)}


def add(engine: Engine, dataset: TrainingDataset, parent: UUID | None = None) -> None:
    fields = ("collection_params", "preprocess_spec", "splits", "classes", "quality_report")
    values = {
        name: getattr(dataset, name)
        for name in (*query("dataset_add").compile().params,)
        if hasattr(dataset, name)
    }
    values |= {name: json.dumps(getattr(dataset, name)) for name in fields}
    values |= {f"{name}_digest": digest for name, digest in dataset.digests.items()}
    values |= {
        "funnel": json.dumps([dataclasses.asdict(row) for row in dataset.funnel]),
        "parent_id": parent,
        "split_policy": "v1",
    }
    with engine.begin() as connection:
        connection.execute(query("dataset_add"), values)


@pytest.fixture(scope="module")
def engine(databases: Any, _migrated: str, published: Any) -> Iterator[Engine]:
    """A database with two versions of a dataset: the first superseded, the second with a training."""
    engine = databases.make(_migrated)
    first = dataclasses.replace(
        published.record, id=UUID(int=1), version_id="a1" * 8, digests=digests_of(1)
    )
    second = dataclasses.replace(
        published.record, version_id="b2" * 8, digests=digests_of(2), code_version="0.1.0+g123"
    )
    add(engine, first)
    with engine.begin() as connection:
        connection.execute(text("UPDATE training_datasets SET status = 'superseded'"))
    add(engine, second, first.id)
    TrainingDatasetManager(engine).set_mlflow_run(str(second.id), "d" * 32)
    row = open_training_run(engine, str(second.id), {"steps": 2}, "key")
    model = keep_model_row(engine, REGISTERED, second, {"channels": ["difference"]}, METRICS)
    close_training_run(
        engine,
        row.id,
        metrics={"test_f1": 0.9},
        mlflow_run_id=REGISTERED.run_id,
        registered=REGISTERED,
        model_id=model,
    )
    yield engine
    databases.drop(engine)


@pytest.fixture
def record(engine: Engine) -> TrainingDataset:
    return TrainingDatasetManager(engine).get_dataset("b2" * 8)


def test_a_dataset_is_found_by_whatever_names_it(engine: Engine, record: TrainingDataset) -> None:
    names = {
        str(record.id): "id",
        record.version_id: "version",
        record.version_id[:12]: "version",
        record.name: "name",
        "d" * 32: "MLflow run",
        **{digest: f"{kind} digest" for kind, digest in record.digests.items()},
        **{digest[:12].upper(): f"{kind} digest" for kind, digest in record.digests.items()},
    }

    for name, by in names.items():
        meant = find_meant(engine, name)
        assert meant is not None, name
        assert (meant.dataset_id, meant.by) == (str(record.id), by)


@pytest.mark.parametrize("name", ["b2b2b2b2b2b", "nothing", "", "99" * 20, "a\0b", "%", "_" * 16])
def test_what_names_nothing_finds_nothing(engine: Engine, name: str) -> None:
    assert find_meant(engine, name) is None


def test_a_model_is_found_by_whatever_names_it(engine: Engine, record: TrainingDataset) -> None:
    (training,) = training_runs(engine, str(record.id))
    names = [str(training.id), REGISTERED.run_id, "m-113", "astrid-unet/3", str(training.model_id)]

    for name in names:
        meant = find_meant(engine, name)
        assert meant is not None, name
        assert (meant.dataset_id, meant.training_id) == (str(record.id), str(training.id))


def test_one_that_several_datasets_share_means_the_one_in_use_and_says_so(
    engine: Engine, record: TrainingDataset
) -> None:
    shared = dataclasses.replace(record, id=uuid4(), name="copy", digests=record.digests)
    add(engine, shared)
    with engine.begin() as connection:
        change = text("UPDATE training_datasets SET status = 'revoked' WHERE id = :id")
        connection.execute(change, {"id": shared.id})

    meant = find_meant(engine, record.digests["content"])

    assert meant is not None
    assert meant.dataset_id == str(record.id)
    assert meant.others == (f"copy {record.version_id}",)


def test_it_tells_what_the_dataset_was_made_from_and_what_was_made_of_it(
    published: Any, engine: Engine, record: TrainingDataset
) -> None:
    meant = find_meant(engine, record.version_id)
    assert meant is not None
    sources = Sources(published.store)
    for number in range(3):
        published.store.put(f"raw/{number}.fits", b"12345")

    found = trace(engine, published.store, sources, meant, Ends(events=True, sources=True))

    assert found.parameters["survey_ids"] == ["sim_ztf"]
    assert (found.labels["events"], found.labels["reviewers"]) == (240, 1)
    assert len(found.labels["list"]) == 240
    assert (found.sources["objects"], found.sources["bytes"]) == (240 * 2 + 1, 15)
    assert found.sources["missing"] == 240 * 2 + 1 - 3
    assert found.sources["list"][0]["role"] == "difference"
    assert found.packs["images"]["objects"] == 7
    assert found.packs["samples"]["keys"] == [record.samples_key]
    assert found.flow_run["id"] == "8d0f"
    assert found.code_version == "0.1.0+g123"
    assert found.parent is not None
    assert found.parent["version_id"] == "a1" * 8
    (training,) = found.trainings
    assert training["registered"] == ["astrid-unet/3"]
    assert training["mlflow"] == {"run_id": "b" * 32, "model_id": "m-113"}
    assert training["astrid_model_id"]


def test_the_parent_names_its_child(published: Any, engine: Engine, record: Any) -> None:
    meant = find_meant(engine, "a1" * 8)
    assert meant is not None

    found = trace(engine, published.store, None, meant, Ends())

    assert [(one["id"], one["how"]) for one in found.children] == [
        (str(record.id), "supersedes it")
    ]
    assert found.trainings == []
    assert "sizes of source objects were not asked for" in found.unknown[0]


def test_what_cannot_be_asked_is_said_and_the_rest_told(
    engine: Engine, record: TrainingDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    meant = find_meant(engine, record.version_id)
    assert meant is not None

    found = trace(engine, Store(tmp_path.as_uri()), None, meant, Ends())
    follow_mlflow(found, "http://127.0.0.1:9")

    samples, mlflow = found.unknown
    assert samples.startswith("label events, source objects and packs are not known")
    assert "MLflow at http://127.0.0.1:9 does not answer" in mlflow
    assert found.trainings[0]["registered"] == ["astrid-unet/3"]


def test_mlflow_adds_trainings_and_versions_that_only_it_knows(
    published: Any,
    engine: Engine,
    record: TrainingDataset,
    mlflow: MlflowClient,
    mlflow_uri: str,
    tmp_path: Path,
) -> None:
    run_id = start_training_run(record, {"steps": 3}, mlflow_uri)
    signature = NetworkSignature(("difference",), record.spec_fingerprint)
    made = register_trained_model(
        run_id,
        mlflow_uri,
        tmp_path,
        name="by-hand",
        dataset=record,
        metrics={"test_f1": 0.7},
        signature=signature,
    )
    mlflow.set_terminated(run_id)

    for name in (run_id, made.model_id, "by-hand/1", "models:/by-hand/1"):
        meant = find_in_mlflow(mlflow_uri, name)
        assert meant is not None, name
        assert (meant.dataset_id, meant.mlflow_run_id) == (str(record.id), run_id)
    assert meant is not None
    found = trace(engine, published.store, None, meant, Ends())
    follow_mlflow(found, mlflow_uri)

    by_hand = found.trainings[-1]
    assert (by_hand["training_run_id"], by_hand["status"]) == (None, "completed")
    assert by_hand["registered"] == ["by-hand/1"]
    assert by_hand["mlflow"]["model_id"] == made.model_id
    assert by_hand["metrics"]["test_f1"] == 0.7
    assert f"MLflow has no run {'d' * 32} any more" in found.unknown


@pytest.mark.parametrize("name", ["nothing/1", "m-nothing", "0" * 32])
def test_what_mlflow_does_not_know_is_none(
    mlflow: MlflowClient, mlflow_uri: str, name: str
) -> None:
    assert find_in_mlflow(mlflow_uri, name) is None


def test_events_come_by_time_with_what_became_of_them(published: Any) -> None:
    votes = [
        {"validator": "ada", "at": "2026-03-02", "event_id": "2", "state": "counts"},
        {"validator": "ada", "at": "2026-03-01", "event_id": "1", "state": "superseded"},
    ]
    row = published.samples.slice(0, 1)
    place = row.schema.get_field_index("votes")
    row = row.set_column(place, "votes", [[json.dumps(votes)]])

    told = label_events(row, in_full=True)

    assert (told["events"], told["reviewers"]) == (2, 1)
    assert (told["first"], told["last"]) == ("2026-03-01", "2026-03-02")
    assert told["states"] == {"counts": 1, "superseded": 1}
    assert [one["event_id"] for one in told["list"]] == ["1", "2"]


def test_astrids_row_of_a_model_is_brought_up_to_date(
    engine: Engine, record: TrainingDataset
) -> None:
    first = keep_model_row(engine, REGISTERED, record, {"width": 8}, METRICS)
    again = keep_model_row(engine, REGISTERED, record, {"width": 8}, {"test_f1": 0.95})

    assert first == again
    with engine.connect() as connection:
        asked = text("SELECT * FROM models WHERE CAST(id AS text) = :id")
        row = connection.execute(asked, {"id": first}).one()
    assert (row.name, row.version, row.model_type, row.is_active) == (
        "astrid-unet",
        "3",
        "UNET",
        False,
    )
    assert (float(row.f1_score), row.precision) == (0.95, None)
    assert row.training_dataset == f"{record.name} {record.version_id}"
    assert (row.model_path, row.mlflow_run_id) == ("models:/astrid-unet/3", "b" * 32)
    assert row.hyperparameters == {"width": 8}
