"""No file that others may have written is read in a way that runs what it holds."""

import ast
import io
import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from astrid_training.calibration import Calibration
from astrid_training.checkpoints import LAST, CheckpointError, Checkpoints
from astrid_training.dataset import splits_from
from astrid_training.digests import digest_bytes
from astrid_training.errors import StoreCorruptError
from astrid_training.networks import METADATA, STATE, NetworkError, load_network, save_network
from astrid_training.packs import PackCache, pack_key, put_table, read_table
from astrid_training.store import Store
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet
from deployments.options import given_parameters

pytestmark = pytest.mark.trust

ROOT = Path(__file__).parents[2]
PACKAGES = ("astrid_training", "blocks", "deployments", "flows", "sql", "tasks")
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
MAY_IMPORT = {
    "astrid_training/workers.py": "pipes between a process and those that it started",
    "astrid_training/checkpoints.py": "the name of an error that torch raises",
    "astrid_training/networks.py": "the same",
}
MAY_CALL = {"astrid_training/workers.py"}
WORDS = re.compile(rf"{'|'.join(PICKLES)}|yaml|(np|numpy|torch)\W.*load")
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}


def wrong_in(source: str, name: str) -> list[str]:
    """Return what a source does that can run what a file holds."""
    return [
        f"{name}:{node.lineno} {wrong}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
        and (wrong := _wrong(node, name))
    ]


def _wrong(node: ast.Import | ast.ImportFrom | ast.Call, name: str) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        imported = [alias.name for alias in node.names]
        modules = imported if isinstance(node, ast.Import) else [node.module or ""]
        found = {module.partition(".")[0] for module in modules} & PICKLES
        if set(modules) & {"numpy", "torch", "yaml"} and "load" in imported:
            return "imports load by its name"
        unsafe = set(imported) & {"read_pickle", "to_pickle", *UNSAFE_YAML} - {"load"}
        return f"imports {found or unsafe}" if unsafe or (found and name not in MAY_IMPORT) else ""
    called = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    module, _, function = called.rpartition(".")
    if module in PICKLES and "load" in function and name not in MAY_CALL:
        return f"calls {called}"
    if function == "read_pickle" or (module == "yaml" and function in UNSAFE_YAML):
        return f"calls {called}"
    if called in {"np.load", "numpy.load"} and given.get("allow_pickle") != "False":
        return "np.load without allow_pickle=False"
    if given.get("allow_pickle", "False") != "False":
        return f"{called} with allow_pickle"
    if called == "torch.load" and given.get("weights_only") != "True":
        return "torch.load without weights_only=True"
    return ""


def test_no_source_reads_pickles() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 250
    names = {path.relative_to(ROOT).as_posix(): path for path in files}
    texts = {name: path.read_text("utf-8") for name, path in names.items()}
    suspects = {name: text for name, text in texts.items() if WORDS.search(text)}
    found = [one for name, text in suspects.items() for one in wrong_in(text, name)]
    assert found == []
    assert set(MAY_IMPORT) <= set(names)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import joblib.memory",
        "from pandas import read_pickle",
        "import pandas as pd; pd.read_pickle('x')",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "from yaml import full_load",
        "from torch import load",
    ],
)
def test_what_would_read_them_is_found(source: str) -> None:
    assert len(wrong_in(source, "astrid_training/x.py")) == 1


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.made),)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Path]:
    """What a bomb of the test would make; it was not made."""
    folder = tmp_path / "made"
    yield folder
    assert not folder.exists()


def test_the_bombs_are_live(tmp_path: Path) -> None:
    live: list[tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = [
        (pickle.dumps, pickle.loads),
        (_torch_of, _as_torch),
        (_array_of, _as_array),
    ]
    for number, (write, read) in enumerate(live):
        folder = tmp_path / str(number)
        read(write(Bomb(folder)))
        assert folder.is_dir()


def _array_of(bomb: Bomb) -> bytes:
    array = np.empty((4, 3, 88, 88), object)
    array[:] = None
    array[0, 0, 0, 0] = bomb
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _torch_of(bomb: Bomb) -> bytes:
    stream = io.BytesIO()
    torch.save({"key": "key", "model": bomb}, stream)
    return stream.getvalue()


def _as_torch(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=False)


def _as_array(data: bytes) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=True)


FORMS = [pickle.dumps, _torch_of]


def test_a_pack_of_objects_is_refused(made: Path, tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/store")
    data = _array_of(Bomb(made))
    digest = digest_bytes(data)
    store.put(pack_key("images", digest), data)

    with pytest.raises(StoreCorruptError, match="no readable pack"):
        PackCache(store, tmp_path / "cache").open("images", digest)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_loader_that_meets_a_pack_of_objects_fails(
    made: Path, tmp_path: Path, published_few: Any, *, in_place: bool
) -> None:
    store = Store(f"file://{tmp_path}/store")
    for info in published_few.store.objects(""):
        data = published_few.store.get(info.key)
        store.put(info.key, _array_of(Bomb(made)) if info.key.startswith("images/") else data)

    with pytest.raises(ValueError, match=r"collect again"):
        splits_from(published_few.record, store, tmp_path / "cache", in_place=in_place).train[0]


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_that_holds_a_pickle_is_damaged(
    made: Path, tmp_path: Path, form: Callable[[Bomb], bytes]
) -> None:
    (tmp_path / LAST).write_bytes(form(Bomb(made)))
    model = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(model.parameters())

    with pytest.raises(CheckpointError, match=r"is damaged .*remove it"):
        Checkpoints(tmp_path, "key").resume(model, optimiser, torch.amp.GradScaler(enabled=False))


@pytest.fixture
def network(published_few: Any, tmp_path: Path) -> Path:
    """The folder of a network, not trained."""
    params = TrainingParams(width=4)
    model = UNet(len(params.channels), params.width)
    folder = tmp_path / "network"
    save_network(folder, model, ["sim"], published_few.record, params, Calibration(), {})
    load_network(folder)
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_a_network_that_holds_a_pickle_is_not_loaded(
    made: Path, tmp_path: Path, network: Path, form: Callable[[Bomb], bytes]
) -> None:
    (tmp_path / METADATA).write_bytes((network / METADATA).read_bytes())
    (tmp_path / STATE).write_bytes(form(Bomb(made)))

    with pytest.raises(NetworkError, match="train again"):
        load_network(tmp_path)


def test_a_table_whose_metadata_hold_a_pickle_is_a_table(made: Path, tmp_path: Path) -> None:
    held = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Bomb(made)),
    }
    field = pa.field("x", pa.int64(), metadata=held)
    store = Store(f"file://{tmp_path}/store")
    digest = put_table(store, "samples", pa.table([[1]], schema=pa.schema([field])))

    assert read_table(store, "samples", digest)["x"].to_pylist() == [1]


def test_yaml_makes_no_objects(made: Path, tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(f"name: !!python/object/apply:os.mkdir ['{made}']\n")

    with pytest.raises(yaml.YAMLError):
        given_parameters(TrainingParams, {}, file)
