"""A result that was planted where a step's should be is not read, and none of it runs."""

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from prefect._internal.result_records import ResultRecord
from prefect.exceptions import MissingResult
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.serializers import CompressedSerializer, JSONSerializer, PickleSerializer

from astrid_training.errors import DatasetDamagedError
from astrid_training.params import MaskRule
from astrid_training.records import Reject
from tasks import results
from tasks.caching import step_options
from tasks.results import ForeignResultError, RecordSerializer

pytestmark = pytest.mark.trust

KEY = "step-0123"
RECORD = [Reject("k", "s", "r"), MaskRule(), {"plain": None}]


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def store_in(folder: Path) -> ResultStore:
    return ResultStore(
        result_storage=LocalFileSystem(basepath=str(folder)), serializer=RecordSerializer()
    )


def test_a_step_uses_it() -> None:
    options = step_options("step", 1, ("astrid_training.masks",), run_name="run")
    assert options["result_serializer"] == RecordSerializer()


def test_what_a_step_wrote_comes_back(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(RECORD, key=KEY)

    again = store_in(tmp_path)
    assert again.exists(KEY)
    assert again.read(KEY).result == RECORD


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ForeignResultError("said so"), ForeignResultError, "said so"),
        (MissingResult("gone"), MissingResult, "gone"),
        (
            DatasetDamagedError("nightly", {"images/x.npy": "missing"}),
            RuntimeError,
            f"astrid_training.errors.DatasetDamagedError: {DatasetDamagedError('nightly', {'images/x.npy': 'missing'})}",
        ),
        (pickle.PicklingError("odd"), RuntimeError, "_pickle.PicklingError: odd"),
    ],
)
def test_how_a_step_failed_comes_back(
    tmp_path: Path, error: Exception, kind: type[Exception], words: str
) -> None:
    store_in(tmp_path).write(error, key=KEY)

    found = store_in(tmp_path).read(KEY).result
    assert type(found) is kind
    assert str(found) == words


def pickled(path: Path) -> str:
    return base64.encodebytes(pickle.dumps(Bomb(path))).decode()


def called(name: str, path: Path) -> str:
    return json.dumps({"__class__": name, "data": {"cmd": f"touch {path}"}})


def plain(serializer: Any, result: str) -> dict[str, Any]:
    return {"metadata": {"storage_key": KEY, "serializer": serializer}, "result": result}


def planted(path: Path) -> dict[str, bytes]:
    """Return records that would each make the file if they were read as Prefect reads them."""
    ours, pickles = {"type": "astrid-records"}, {"type": "pickle", "picklelib": "cloudpickle"}
    squeezed = CompressedSerializer(serializer=PickleSerializer()).dumps(Bomb(path)).decode()
    calls = called("subprocess.getoutput", path)
    documents: dict[str, Any] = {
        "pickle": plain(pickles, pickled(path)),
        "no serializer": {"metadata": {}, "result": pickled(path)},
        "old form": {"serializer": pickles, "data": pickled(path)},
        "old form beside ours": {**plain(ours, pickled(path)), "serializer": pickles},
        "compressed": plain({"type": "compressed", "serializer": pickles}, squeezed),
        "compressed/pickle": plain({"type": "compressed/pickle"}, squeezed),
        "call by Prefect's JSON": plain({"type": "json"}, calls),
        "call by ours": plain(ours, calls),
        "call as an exception": plain(
            ours,
            json.dumps({"__exc_type__": "astrid_training.fits.open_fits", "message": str(path)}),
        ),
        "a decoder by name": plain(
            {"type": "json", "object_decoder": "subprocess.Popen"},
            json.dumps({"touch": 1, str(path): 2}),
        ),
        "a class of ours that is no record": plain(
            ours,
            json.dumps({"__class__": "astrid_training.store.Store", "data": {"url": "file:///"}}),
        ),
        "a function of ours": plain(
            ours,
            json.dumps(
                {
                    "__class__": "astrid_training.files.write_atomically",
                    "data": {"path": str(path), "data": "x"},
                }
            ),
        ),
        "deep": plain(ours, "[" * 100_000),
        "no text": {"metadata": {"serializer": ours}, "result": {"a": 1}},
    }
    twice = json.dumps(plain(ours, pickled(path)))
    more = twice.replace('"serializer"', f'"serializer": {json.dumps(pickles)}, "serializer"')
    raw = {name: json.dumps(document).encode() for name, document in documents.items()}
    return {**raw, "named twice": more.encode(), "raw pickle": pickle.dumps(Bomb(path))}


KINDS = sorted(planted(Path("unused")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_result_is_refused_and_does_not_run(tmp_path: Path, kind: str) -> None:
    made = tmp_path / "ran"
    (tmp_path / KEY).write_bytes(planted(made)[kind])
    store = store_in(tmp_path)

    assert not store.exists(KEY)  # so that the step is done anew
    with pytest.raises(ForeignResultError):
        store.read(KEY)
    assert not made.exists()


def test_the_bombs_are_live(tmp_path: Path) -> None:
    """What the tests above plant does run where it is read by what Prefect has for it."""
    made = tmp_path / "ran"
    PickleSerializer().loads(pickled(made).encode())
    assert made.exists()
    made.unlink()
    JSONSerializer().loads(called("subprocess.getoutput", made).encode())
    assert made.exists()


def test_what_is_read_is_what_was_checked(tmp_path: Path) -> None:
    """A name that stands twice is passed on once, whichever of the two another parser would take."""
    checked = results._checked(planted(tmp_path / "ran")["named twice"])

    assert checked.count(b'"serializer"') == 1
    assert json.loads(checked)["metadata"]["serializer"] == {"type": "astrid-records"}


def test_results_whose_metadata_lie_apart_are_refused(tmp_path: Path) -> None:
    made = tmp_path / "ran"
    with pytest.raises(ForeignResultError, match="unset the metadata storage"):
        ResultRecord.deserialize_from_result_and_metadata(
            result=pickled(made).encode(), metadata=b"{}"
        )
    assert not made.exists()
