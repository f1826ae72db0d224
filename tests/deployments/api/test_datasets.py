"""A published dataset over REST: its record, quality, report, and its load."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from astrid_training.cards.stored import documents, put_documents
from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.dataset import splits_from
from astrid_training.local_cache import LocalCache
from astrid_training.records import TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.warming import WarmDataset, warm_dataset
from deployments.api import load as loading
from deployments.api.lineage import DatasetLineage
from deployments.api.models import DatasetRecord, LoadedDataset, QualityReport

Look = Callable[..., Any]


@pytest.fixture
def published(sky: Any, collect: Any) -> TrainingDataset:
    return get_dataset(sky.engine, collect(name="nightly").dataset_id)


@pytest.fixture
def api(connect: Any, sky: Any) -> TestClient:
    client: TestClient = connect(sky.engine, sky.home, sky.store.url)
    return client


def place(dataset: TrainingDataset, more: str = "") -> str:
    return f"/training/datasets/{dataset.id}{more}"


def test_a_dataset_is_told_judged_reported_and_loaded(
    sky: Any, published: TrainingDataset, api: TestClient
) -> None:
    # one test: to publish takes longer than to look
    whole = api.get(place(published))
    record = DatasetRecord.model_validate(whole.json())
    assert (record.dataset_id, record.splits, record.digests) == (
        published.id,
        published.splits,
        published.digests,
    )
    assert record.funnel[0].reason == "selected"
    assert record.funnel[-1].reason == "kept"
    for other in (published.version_id, "nightly"):
        assert api.get(f"/training/datasets/{other}").json() == whole.json()
    _check_etag(sky, published, api, whole.headers["ETag"])

    quality = api.get(place(published, "/quality")).json()
    assert QualityReport.model_validate(quality).quality_score == published.quality_score
    assert quality == {**published.quality_report, "metrics": {"note": "looked at"}}

    _check_lineage(published, api)
    _check_report(sky, published, api)
    _check_card(sky, published, api)
    _check_load(sky, published, api)


def _check_lineage(published: TrainingDataset, api: TestClient) -> None:
    for wanted in (published.id, published.digests["content"][:12]):
        told = DatasetLineage.model_validate(api.get(f"/training/datasets/{wanted}/lineage").json())
        assert told.dataset["id"] == str(published.id)
        assert told.labels["events"] > 50
        assert told.sources["objects"] > 5
        assert told.packs["images"]["bytes"] > 1e6
        assert any("MLflow was not asked" in sentence for sentence in told.unknown)
    assert api.get(f"/training/datasets/{'9' * 12}/lineage").status_code == 404


def _check_etag(sky: Any, published: TrainingDataset, api: TestClient, tag: str) -> None:
    known = {"If-None-Match": f'"other", W/{tag}'}
    same = api.get(place(published), headers=known)
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    TrainingDatasetManager(sky.engine).update_dataset_metrics(
        str(published.id), {"note": "looked at"}
    )
    assert api.get(place(published), headers=known).json()["metrics"] == {"note": "looked at"}


def _check_report(sky: Any, published: TrainingDataset, api: TestClient) -> None:
    missing = api.get(place(published, "/report"))
    assert (missing.status_code, "astrid-training report" in missing.text) == (404, True)
    sky.store.put(f"reports/{published.id}.html", b"<!DOCTYPE html><p>\xc3\xa9")
    page = api.get(place(published, "/report"))
    assert page.text == "<!DOCTYPE html><p>é"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "sandbox" in policy
    assert "script" not in policy


def _check_card(sky: Any, published: TrainingDataset, api: TestClient) -> None:
    missing = api.get(place(published, "/card"))
    assert (missing.status_code, "--to-store" in missing.text) == (404, True)
    written = documents(published, read_samples(sky.store, published.samples_key), sky.store)
    put_documents(published.id, written, sky.store)
    card, croissant = (api.get(place(published, f"/{name}")) for name in ("card", "croissant"))
    assert (card.content, croissant.content) == tuple(written.values())
    assert card.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert croissant.headers["Content-Type"] == "application/ld+json"
    assert croissant.json()["name"] == "nightly"


def _check_load(sky: Any, published: TrainingDataset, api: TestClient) -> None:
    loaded = LoadedDataset.model_validate(api.post(place(published, "/load")).json())
    assert loaded.splits == {name: published.splits[name] for name in ("train", "val", "test")}
    assert (loaded.spec_fingerprint, loaded.digests) == (
        published.spec_fingerprint,
        published.digests,
    )
    assert loaded.in_place
    assert loaded.objects_verified > 3
    images, masks = (loaded.paths[kind] for kind in ("images", "masks"))
    assert sum(len(np.load(path, mmap_mode="r")) for path in images) >= sum(loaded.splits.values())
    assert all(Path(path).is_file() for path in masks)

    pack = Path(images[0])
    content = bytearray(pack.read_bytes())
    content[-1] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    damaged = api.post(place(published, "/load"))
    assert damaged.status_code == 409
    assert damaged.json()["objects"] == [{"key": f"images/{pack.name}", "problem": "damaged"}]
    pack.unlink()
    gone = api.post(place(published, "/load")).json()
    assert gone["objects"] == [{"key": f"images/{pack.name}", "problem": "missing"}]

    TrainingDatasetManager(sky.engine).revoke(str(published.id), "wrong labels")
    assert api.post(place(published, "/load")).status_code == 410
    assert api.post(place(published, "/load?allow_revoked=true")).status_code == 409
    events = api.get(place(published)).json()["events"]
    assert [(one["event"], one["reason"]) for one in events] == [("revoked", "wrong labels")]


def test_what_was_warmed_is_what_the_loader_reads(
    sky: Any, published: TrainingDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrid_training.stored_pixels.PACKS_IN_PLACE", 0)
    warm = warm_dataset(sky.engine, sky.store, published, sky.home / "cache", 10**9)
    monkeypatch.setattr(LocalCache, "_make_room", None)  # no second copy
    splits = splits_from(published, sky.store, sky.home / "cache")

    assert not warm.in_place
    assert [len(warm.images), len(warm.masks)] == [1, 1]
    assert splits.train._pixels.images.files == warm.images


class Loading:
    """Stands for loads that take as long as the test wants."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = threading.Event()

    def __call__(self, *_: Any) -> WarmDataset:
        self.begun += 1
        assert self.may_end.wait(20)
        return WarmDataset(1, in_place=True, images=[], masks=[])


def test_a_long_load_is_shared_and_asked_for_again(
    published: TrainingDataset, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Loading()
    monkeypatch.setattr(loading, "warm_dataset", slow)
    monkeypatch.setattr(loading, "PATIENCE_S", 0.05)
    answers = [api.post(place(published, "/load")) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["type"].endswith("still-loading")
    assert answers[0].headers["Retry-After"] == "15"
    assert slow.begun == 1

    monkeypatch.setattr(loading, "PATIENCE_S", 20)
    threading.Timer(0.1, slow.may_end.set).start()
    assert api.post(place(published, "/load")).status_code == 200
