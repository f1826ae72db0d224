"""Two datasets compared over REST."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from astrid_training.compare import compare
from astrid_training.store import Store
from deployments.api.compare import ComparisonRecord
from tests.astrid_training.simulated_samples import sky
from tests.deployments.two_datasets import NEWER, OLDER, publish_versions

PATH = f"/training/datasets/{OLDER}/compare/nightly"
TABLES = sky(1, fields=12), sky(2, fields=12)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


@pytest.fixture
def api(connect: Any, database: Engine, tmp_path: Path, store: Store) -> TestClient:
    publish_versions(database, store, *TABLES)
    client: TestClient = connect(database, tmp_path, store.url)
    return client


def test_the_answer_is_the_comparison_with_as_many_keys_as_asked_for(
    api: TestClient, store: Store
) -> None:
    record = ComparisonRecord.model_validate(api.get(PATH).json())
    assert (record.before.version_id, record.after.version_id) == (OLDER, NEWER)
    assert record.changes["added"].count == 12 * 32
    assert len(record.changes["added"].keys) == 20
    assert len(record.drift) == len(compare(*TABLES).drifts)
    fewer = api.get(PATH, params={"keys": 0}).json()
    assert fewer["changes"]["added"] == {**record.changes["added"].model_dump(), "keys": []}

    wrong = [
        (api.get(PATH, params={"keys": 1001}), 422, "invalid"),
        (api.get(f"/training/datasets/{OLDER}/compare/nothing"), 404, "not-found"),
        (api.get(PATH, headers={"Authorization": "Bearer none"}), 401, "token-needed"),
    ]
    for key in store.keys("samples"):
        store.delete(key)
    wrong.append((api.get(PATH), 404, "not-found"))
    for answer, status, code in wrong:
        assert answer.status_code == status
        assert answer.json()["type"] == f"urn:astrid-training:problem:{code}"
