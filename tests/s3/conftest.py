"""Swift's S3 interface, in an environment of its own, where it can be installed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from astrid_training.store import Credentials
from deployments.embedded.processes import free_port

SWIFT = "swift==2.38.3"  # a real server: it checks signatures, MD5 and conditions
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "astrid-training"
LAUNCHER = Path(__file__).with_name("swift_launcher.py")
USER = ("test", "tester", "secret-of-swift")


def python_with_swift() -> Path:
    """Return the Python of the environment that has swift, made at the first call."""
    place = CACHE / SWIFT.replace("==", "-") / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    python = place / "bin" / "python"
    done = place / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        said = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", SWIFT], capture_output=True, text=True
        )
        if said.returncode != 0:
            pytest.skip(f"swift cannot be installed: {said.stderr.strip()[-300:]}")
        done.touch()
    return python


def check_attributes(folder: Path) -> None:
    """Skip where files take no extended attributes, in which Swift keeps what it knows of them."""
    probe = folder / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.swift.metadata", b"x")
    except OSError as error:
        pytest.skip(f"files under {folder} take no extended attributes: {error.strerror}")


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory, s3_server: Any) -> Iterator[Any]:
    """Swift as one process; two seconds to start once it is installed."""
    folder = tmp_path_factory.mktemp("swift")
    check_attributes(folder)
    port = free_port(None)
    account, user, secret = USER
    command = [*map(str, (python_with_swift(), LAUNCHER, folder, port, account, user, secret))]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(address, process, log)
        keys = Credentials(address, f"{account}:{user}", secret)
        yield type(s3_server)(keys, page=100)  # as the launcher sets it
    finally:
        process.kill()
        process.wait()


def wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(address, trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


@pytest.fixture(params=["moto", pytest.param("swift", marks=pytest.mark.s3)])
def server(request: pytest.FixtureRequest) -> Any:
    """Each S3 server in turn."""
    name = "s3_server" if request.param == "moto" else "swift_server"
    return request.getfixturevalue(name)
