"""A sky is made once for each database and store, not once for each home."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from astrid_training.settings import Settings, resolve
from astrid_training.simulate import SkyPlan
from deployments.simulated import simulate_sky

PLAN = SkyPlan(fields=1, epochs=1, frame_size=(220, 260), stars=20, galaxies=5, artifacts=1)


def test_another_database_or_store_gets_its_own_sky(
    database: Engine, databases: Any, tmp_path: Path
) -> None:
    other = databases.make(database.url.database)

    def settings(engine: Engine, store: str) -> Settings:
        url = engine.url.render_as_string(hide_password=False)
        return resolve(tmp_path / "home", database_url=url, store_url=str(tmp_path / store))

    def made(engine: Engine, store: str) -> bool:
        return bool(simulate_sky(settings(engine, store), PLAN, said.append, again=False)["added"])

    said: list[str] = []
    try:
        assert made(database, "a")
        assert not made(database, "a")
        assert made(database, "b")
        assert made(other, "b")
        assert list((tmp_path / "b").rglob("*.fits"))
        with other.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM surveys")).scalar_one() == 1
    finally:
        databases.drop(other)
    password = str(database.url.password)
    names = [path.name for path in (tmp_path / "home").rglob("*")]
    assert not [name for name in names if password in name]
