import sys
from pathlib import Path

import pytest

from benchmarks import peers

ROOT = Path(peers.__file__).parents[1]


def test_a_peer_that_is_not_there_is_none() -> None:
    assert peers.peer("no_such_peer.part") is None


def test_a_peer_that_lacks_a_part_of_its_own_is_no_absent_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halved_peer.py").write_text("import no_such_part\n")
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        peers.peer("halved_peer")


def test_peers_stand_behind_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise AssertionError\n")
    (tmp_path / "small_peer.py").write_text("")
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    found = peers.peer("small_peer")

    assert found is not None
    assert found.__file__ == str(tmp_path / "small_peer.py")
    assert sys.path[-1] == str(tmp_path)


def test_no_peer_is_a_version_of_what_we_lock() -> None:
    def names(path: Path) -> set[str]:
        lines = (line.partition("==")[0].strip().lower() for line in path.read_text().splitlines())
        return {line for line in lines if line and not line.startswith("#")}

    assert not names(ROOT / "benchmarks" / "peers.txt") & names(ROOT / "constraints.txt")
