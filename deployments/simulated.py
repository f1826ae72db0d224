"""A simulated sky in this home's database and store."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from astrid_training.database import open_database, query
from astrid_training.digests import digest_value
from astrid_training.settings import Settings
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import open_store

__all__ = ["plans_for", "simulate_sky"]


def plans_for(base: SkyPlan, names: str | None, layout: str | None) -> list[SkyPlan]:
    """Return `base` for each survey that is named, in the layout of its name.

    Args:
        base: the knobs that all share.
        names: of the surveys, comma separated; None: one, named after the layout with `sim_`.
        layout: of all; None: each survey's is the one that its name says.

    Raises:
        PlanError: if no name is given, or no layout is named so.
    """
    given = names if names is not None else f"sim_{layout or base.layout}"
    unique = dict.fromkeys(name.strip() for name in given.split(","))
    return [base.named(name, layout) for name in unique]


def simulate_sky(
    settings: Settings, plan: SkyPlan, say: Callable[[str], None], *, again: bool = True
) -> dict[str, Any]:
    """Make the sky of `plan` and return what was made.

    Args:
        settings: where database and store are.
        plan: what to simulate.
        say: told of progress.
        again: make it anew even if database and store have it; rows and files come out the same.
    """
    folder = settings.home / "simulated"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{plan.survey}-{digest_value([plan.key, plan.fields])[:12]}"
    truth, done = folder / f"{name}.truth.jsonl", folder / f"{name}-{_places(settings)}.done"
    if done.exists() and not again:
        say(f"{plan.survey} is simulated already")
        return {"survey": plan.survey, "truth_path": str(truth), "added": {}}
    store = open_store(settings)

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    def progress(fields: int, of: int) -> None:
        say(f"  simulated field {fields} of {of}")

    with open_database(settings.database_url).begin() as connection:
        report = simulate(plan, connection, put, truth, progress)
        connection.execute(query("simulate_analyze"))
    done.touch()
    reviewed = ", ".join(f"{name} {count}" for name, count in report.reviewed.items())
    say(f"{sum(report.reviewed.values())} reviewed subjects ({reviewed})")
    say(f"{report.files} files, {report.bytes / 1e6:.0f} MB; the truth is in {truth}")
    return asdict(report) | {"truth_path": str(truth)}


def _places(settings: Settings) -> str:
    """Return a name for the database and the store, made without their passwords."""
    shown = settings.shown()
    names = ("database_url", "store_url", "store_endpoint_url")
    return digest_value([shown.get(name) for name in names])[:12]
