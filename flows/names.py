"""What a run is called: what it does, from what it was asked, so that equal requests have equal names."""

from collections.abc import Mapping
from typing import Any

from prefect.runtime import flow_run

__all__ = ["collection_name", "name_of_collection"]

LONGEST = 200


def collection_name() -> str:
    """Return the name of the collection that begins."""
    return name_of_collection(flow_run.get_parameters())


def name_of_collection(asked: Mapping[str, Any]) -> str:
    """Return the name of a collection, such as `collect nightly: ztf, hst, from 2026-01-01 to 2026-02-01, up to 500`.

    Args:
        asked: its parameters, which nobody has checked yet.
    """
    parts = [_surveys(asked.get("survey_ids")), _dates(asked.get("date_range"))]
    if asked.get("as_of"):
        parts.append(f"as of {_day(asked['as_of'])}")
    if asked.get("max_samples"):
        parts.append(f"up to {asked['max_samples']}")
    if isinstance(asked.get("batch"), Mapping):
        parts.append(f"for {asked['batch'].get('batch_id')}")
    return f"collect {asked.get('name')}: {', '.join(filter(None, parts))}"[:LONGEST]


def _surveys(named: object) -> str:
    return (
        ", ".join(map(str, named)) if isinstance(named, list | tuple) and named else "all surveys"
    )


def _dates(given: object) -> str:
    if not isinstance(given, list | tuple) or len(given) != 2:
        return ""
    return f"from {_day(given[0])} to {_day(given[1])}"


def _day(moment: object) -> str:
    return str(moment)[:10]
