"""Blocks open the places that they describe, once per process, and show no secret."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr

import blocks
from astrid_training.records import SourceFile
from astrid_training.settings import resolve
from astrid_training.store import Credentials, Store
from astrid_training.web import HostNotAllowedError
from astrid_training.workplace import Workplace
from blocks import AstridDatabase, AstridStore, Notifier, TrackingServer, TrainingTarget, places
from blocks.storage import aws_credentials
from deployments.bootstrap import _blocks, save_blocks

URL = "postgresql+psycopg://astrid:p4ssw0rd@db.example:5432/astrid"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "blocks.md"
KINDS: list[type[Block]] = [AstridDatabase, AstridStore, Notifier, TrackingServer, TrainingTarget]


@pytest.fixture(scope="module")
def _on_server(stack: Any) -> None:
    save_blocks(stack.settings)


@pytest.fixture
def _saved(_on_server: None) -> Iterator[None]:
    """The session's server, with our blocks saved and none loaded yet."""
    places.clear()
    yield
    places.clear()


@pytest.fixture
def bucket() -> AstridStore:
    keys = aws_credentials("KEY-ID", "s3cr3t", endpoint_url="https://r2.example", region="auto")
    return AstridStore(url="s3://bucket/prefix", credentials=keys, source_bucket="surveys")


def test_database_block_makes_the_engine_of_its_url_and_shows_no_password() -> None:
    block = AstridDatabase(url=SecretStr(URL))

    assert block.engine().url.render_as_string(hide_password=False) == URL
    assert block.engine() is block.engine()
    for shown in (repr(block), str(block), repr(block.engine()), block.model_dump_json()):
        assert "p4ssw0rd" not in shown


def test_a_folder_is_opened_without_credentials(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "frame.fits").write_bytes(b"SIMPLE")
    block = AstridStore(url=tmp_path.as_uri())

    block.open().put("images/a.npy", b"pixels")

    assert (tmp_path / "images" / "a.npy").read_bytes() == b"pixels"
    assert block.sources().local_path("raw/frame.fits") == tmp_path / "raw" / "frame.fits"


def test_a_bucket_is_opened_with_its_keys_and_bare_source_keys_lie_in_the_source_bucket(
    bucket: AstridStore,
) -> None:
    keys = bucket._keys

    assert bucket.open().url == "s3://bucket/prefix"
    assert (keys.access_key_id, keys.secret_access_key) == ("KEY-ID", "s3cr3t")
    assert (keys.endpoint_url, keys.region) == ("https://r2.example", "auto")
    assert bucket.sources().locate("raw/a.fits")[0].url == "s3://surveys"


def test_files_of_the_web_come_from_the_hosts_of_the_block_alone(bucket: AstridStore) -> None:
    with pytest.raises(HostNotAllowedError):
        bucket.sources().head("https://archive.example/a.fits")
    allowed = bucket.model_copy(update={"source_hosts": ["no-such-host.invalid"]})

    assert allowed.sources()._web._hosts == {"no-such-host.invalid"}


def test_bootstrap_gives_the_blocks_what_the_settings_say(tmp_path: Path) -> None:
    settings = resolve(
        tmp_path,
        database_url=URL,
        store_url="r2://bucket/prefix",
        store_endpoint_url="https://r2.example",
        store_access_key_id="KEY-ID",
        store_secret_access_key="s3cr3t",
        source_bucket="surveys",
        source_hosts="archive.example",
        source_folders="/data",
        mlflow_tracking_uri="http://mlflow.example",
    )

    (store,) = [block for block in _blocks(settings) if isinstance(block, AstridStore)]

    assert (store.url, store.source_bucket) == ("s3://bucket/prefix", "surveys")
    assert store.source_hosts == ["archive.example"]
    assert store.source_folders == ["/data"]
    assert store.workplace(tmp_path, URL).source_folders == ("/data",)
    assert store._keys == Credentials("https://r2.example", "KEY-ID", "s3cr3t", "auto")


def test_a_blocks_keys_open_the_store_and_the_source_bucket(s3_server: Any) -> None:
    keys = s3_server.credentials
    block = AstridStore(
        url=s3_server.make_store().url,
        credentials=aws_credentials(
            keys.access_key_id,
            keys.secret_access_key,
            endpoint_url=keys.endpoint_url,
            region=keys.region,
        ),
        source_bucket=s3_server.make_bucket(),
    )

    block.open().put("images/a.npy", b"pixels")
    Store(f"s3://{block.source_bucket}", block._keys).put("raw/a.fits", b"SIMPLE")

    assert block.open().get("images/a.npy") == b"pixels"
    assert block.sources().head("raw/a.fits")


def test_keys_that_are_lent_for_a_time_keep_their_token(bucket: AstridStore) -> None:
    assert bucket.credentials
    lent = bucket.credentials.model_copy(update={"aws_session_token": "t0ken"})

    keys = bucket.model_copy(update={"credentials": lent})._keys

    assert keys.session_token == "t0ken"
    assert "t0ken" not in repr(keys)


def test_store_block_shows_neither_key_nor_its_id(bucket: AstridStore) -> None:
    for shown in (repr(bucket), str(bucket), repr(bucket.open()), repr(bucket._keys)):
        assert "s3cr3t" not in shown
        assert "KEY-ID" not in shown


def test_boto3_is_kept_from_sending_checksums_that_r2_refuses(bucket: AstridStore) -> None:
    assert bucket.credentials
    assert bucket.credentials.aws_client_parameters.config == {
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_block_says_on_the_server_what_it_is_and_what_each_field_means(
    kind: type[Block],
) -> None:
    assert kind.get_block_type_name().startswith("AstrID ")
    assert kind.get_description()
    assert kind._documentation_url
    assert "Attributes:" in (inspect.getdoc(kind) or "")
    assert all(field.description for field in kind.model_fields.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_tells_every_field_in_the_codes_words(kind: type[Block]) -> None:
    sections = REFERENCE.read_text(encoding="utf-8").split("\n## ")
    (section,) = [one for one in sections if one.startswith(kind.get_block_type_name())]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]

    assert f"Slug `{kind.get_block_type_slug()}`. {kind.get_description()}" in section
    told = {row[0].strip("| `"): (row[2], row[3].removesuffix(" |")) for row in rows}
    assert told == {
        name: ("yes" if field.is_required() else "no", field.description)
        for name, field in kind.model_fields.items()
    }


def test_the_package_offers_every_block_to_prefect_block_register(stack: Any) -> None:
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "blocks"]

    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)

    assert stack
    assert "registered 5 blocks" in done.stdout
    assert blocks.__all__ == [kind.__name__ for kind in KINDS]


@pytest.mark.usefixtures("_saved")
def test_places_are_what_the_saved_blocks_say(stack: Any) -> None:
    settings = stack.settings

    url = places.database().url.render_as_string(hide_password=False)
    assert (url, places.store().url) == (settings.database_url, settings.store_url)
    assert places.tracking() == settings.mlflow_tracking_uri
    assert places.sources().locate("raw/a.fits")[0].url == settings.store_url


def test_a_machine_says_how_much_it_fetches_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(places, "workplace", lambda: Workplace("s3://bucket", tmp_path))
    monkeypatch.setenv("ASTRID_DOWNLOADS_AT_ONCE", "5")
    far = SourceFile("s3://bucket/a.fits", '"etag"', 4)

    with places.source_cache().connections([far]) as at_once:
        assert at_once == 5


@pytest.mark.usefixtures("_saved")
@pytest.mark.parametrize("place", [places.database, places.store, places.sources])
def test_threads_that_ask_at_once_share_one_place(place: Callable[[], object]) -> None:
    start = Barrier(4)

    def ask() -> object:
        start.wait(timeout=30)
        return place()

    with ThreadPoolExecutor(4) as pool:  # each with our settings, as Prefect's own threads have
        futures = [pool.submit(copy_context().run, ask) for _ in range(4)]
        found = [future.result() for future in futures]

    assert all(one is found[0] for one in found)


@pytest.mark.usefixtures("_saved")
def test_places_are_loaded_where_an_event_loop_runs_as_in_a_notebook() -> None:
    async def ask() -> Store:
        return places.store()

    assert asyncio.run(ask()) is places.store()


@pytest.mark.usefixtures("_saved")
def test_a_training_target_is_saved_once_and_then_an_operators(stack: Any) -> None:
    assert places.training_target().deployment == "train-model/default"
    own: Any = TrainingTarget(deployment="their/own", parameters={"seed": 3})
    own.save(places.NAME, overwrite=True, _sync=True)

    save_blocks(stack.settings)
    places.clear()
    kept = places.training_target()

    own = TrainingTarget()
    own.save(places.NAME, overwrite=True, _sync=True)
    assert (kept.deployment, kept.parameters) == ("their/own", {"seed": 3})


def test_without_a_saved_target_our_own_training_is_started(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack
    monkeypatch.setattr(places, "NAME", "nowhere")
    places.clear()

    assert places.training_target() == TrainingTarget()
    places.clear()


@pytest.mark.usefixtures("_saved")
def test_after_clear_a_place_is_loaded_again() -> None:
    before = places.store()

    places.clear()

    assert places.store() is not before


@pytest.mark.usefixtures("_saved")
@pytest.mark.parametrize("place", [places.database, places.store, places.sources, places.tracking])
def test_a_block_that_is_not_saved_is_named_with_its_cure(
    place: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "NAME", "nowhere")

    with pytest.raises(places.BlockNotFoundError, match=r"/nowhere .*astrid-training bootstrap"):
        place()
