"""A collection as a process of its own, so that it can be killed: what it needs comes on stdin, what it made goes out."""

import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import create_engine

from astrid_training.store import Credentials, Store


def main() -> None:
    asked = json.load(sys.stdin)
    spec = importlib.util.spec_from_file_location("parts", asked["conftest"])
    assert spec
    assert spec.loader
    parts = importlib.util.module_from_spec(spec)
    sys.modules["parts"] = parts
    spec.loader.exec_module(parts)
    store = Store(asked["store_url"], Credentials(**asked["credentials"]))
    home = Path(asked["home"])
    sky = parts.Sky(create_engine(asked["database_url"]), home, home / "truth.jsonl", store)
    published = parts._collect_from(sky)(**asked["params"])
    sys.stdout.write(json.dumps(asdict(published)))


if __name__ == "__main__":
    main()
