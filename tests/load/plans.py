"""How PostgreSQL would find the rows of every statement that code runs: its own plan of each."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from astrid_training.database import query

__all__ = ["BIG", "Plan", "naming_big_tables", "watching"]

BIG = frozenset(
    {
        "detections",
        "validation_events",
        "observations",
        "candidates",
        "difference_runs",
        "preprocess_runs",
        "training_samples",
        "training_image_catalogue",
        "training_split_members",
        "training_split_ledger",
        "training_rejects",
        "training_label_events",
        "training_run_steps",
    }
)
"""Tables that grow with detections."""
COPIED = re.compile(r"(?s)^COPY \((.*)\) TO STDOUT \(FORMAT csv, HEADER\)\s*$")
PLANNED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
COMMENTS = re.compile(r"(?m)^--.*\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement, and which of the big tables its plan reads from end to end."""

    query: str
    """Of `sql/queries`; a statement that has no file is told by its first words."""
    scanned: frozenset[str]
    indexes: frozenset[str]
    """By which rows are found."""


@cache
def _names() -> dict[str, str]:
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types there
    names = (entry.name for entry in files("sql").joinpath("queries").iterdir())
    stems = sorted(name.removesuffix(".sql") for name in names if name.endswith(".sql"))
    return {str(query(stem).compile(dialect=dialect)): stem for stem in stems}


def naming_big_tables() -> set[str]:
    """Return the statements of `sql/queries` that name a big table."""
    words = {
        name: set(re.findall(r"\w+", COMMENTS.sub("", text))) for text, name in _names().items()
    }
    return {name for name, said in words.items() if said & BIG}


@contextmanager
def watching(engine: Engine) -> Iterator[list[Plan]]:
    """Give the block the list to which each statement's plan is added before it runs.

    The plan is of the statement with the values that it runs with, in its own transaction.
    """
    seen: list[Plan] = []

    class Watched(psycopg.Cursor[Any]):
        def execute(self, statement: Any, params: Any = None, **how: Any) -> Any:  # type: ignore[override]  # psycopg has overloads
            plan = _explain(self.connection, statement, params)
            seen.extend(plan)
            return super().execute(statement, params, **how)

        def copy(self, statement: Any, params: Any = None, **how: Any) -> Any:
            seen.extend(_explain_copy(self.connection, statement, params))
            return super().copy(statement, params, **how)

    def watch(session: Any, *_: Any) -> None:
        session.cursor_factory = Watched

    engine.dispose()
    event.listen(engine, "connect", watch)
    try:
        yield seen
    finally:
        event.remove(engine, "connect", watch)
        engine.dispose()


def _explain(session: psycopg.Connection[Any], statement: Any, params: Any) -> Iterator[Plan]:
    bare = COMMENTS.sub("", str(statement)).lstrip()
    if not bare.startswith(PLANNED):
        return
    with psycopg.Cursor(session) as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), params)
        yield _plan(str(statement), cursor.fetchone())


def _explain_copy(session: psycopg.Connection[Any], statement: str, params: Any) -> Iterator[Plan]:
    inner = COPIED.match(COMMENTS.sub("", statement))
    if inner is None:
        return
    with psycopg.ClientCursor(session) as cursor:  # as COPY itself is given its values
        cursor.execute(f"EXPLAIN (FORMAT JSON) {inner[1]}".encode(), params)
        yield _plan(statement, cursor.fetchone())


def _plan(statement: str, answer: Any) -> Plan:
    told = answer[0] if isinstance(answer[0], list) else json.loads(answer[0])
    nodes = list(_nodes(told[0]["Plan"]))
    scanned = {one["Relation Name"] for one in nodes if _reads_all(one)}
    name = _names().get(statement, " ".join(COMMENTS.sub("", statement).split()[:4]))
    return Plan(
        name, frozenset(scanned & BIG), frozenset(one.get("Index Name", "") for one in nodes)
    )


def _reads_all(node: dict[str, Any]) -> bool:
    """Tell whether a table is read from end to end, in its own order or in that of an index."""
    kind = node["Node Type"]
    by_index = kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node
    return kind == "Seq Scan" or by_index


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
