"""Published datasets: the table that holds them, and what happens to them later."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row

from astrid_training.audit import record
from astrid_training.database import query, reading
from astrid_training.errors import DatasetNotFoundError, DatasetRevokedError
from astrid_training.packs import PackCache
from astrid_training.records import (
    DatasetEvent,
    DatasetPage,
    FunnelRow,
    TrainingDataset,
    TrainingSample,
)
from astrid_training.store import Store
from astrid_training.users import user_name

__all__ = ["STATUSES", "TrainingDatasetManager", "get_dataset"]

FILTERS = ("status", "name", "created_by", "survey", "least_quality", "created_from", "created_to")
STATUSES = ("active", "superseded", "revoked")
METRIC_NAME = re.compile(r"(audit|drift|model|review|note)(_[a-z0-9]+)*")
LEFTOVER_AGE = timedelta(days=30)
DIGESTS = ("query", "source", "label", "content", "split")


class TrainingDatasetManager:
    """Published datasets: choose from them, look them up, add what is learnt later, withdraw them.

    What a dataset holds never changes: no method touches pixels, labels or splits.
    """

    def __init__(
        self, engine: Engine, store: Store | None = None, packs: PackCache | None = None
    ) -> None:
        """Say where datasets are.

        Args:
            engine: of the database.
            store: where tables of samples are; only `create_dataset` needs it.
            packs: where pixels are; the same.
        """
        self._engine = engine
        self._store = store
        self._packs = packs

    def create_dataset(
        self,
        samples: Sequence[TrainingSample],
        name: str,
        *,
        created_by: str | None = None,
        **fields: Any,  # noqa: ANN401 - any parameter's value
    ) -> str:
        """Publish samples of one dataset as a dataset of their own and return its id.

        So a dataset is narrowed: to a survey, to gold labels, to what an audit left. Samples come
        into the world by a collection only; this one keeps their pixels, labels and splits, and
        is judged by the gates like any other.

        Args:
            samples: as `samples` returns them, all of one dataset.
            name: of the new dataset; its active version, if there is one, is superseded.
            created_by: who chose; None: the user of this process.
            **fields: description, quality_score_threshold, and the gates' overrides; those not
                given are the origin's.

        Raises:
            CollectionGateError: if a gate fails; nothing is written then.
            DatasetRevokedError: if the origin, or exactly this under this name, was revoked.
            ValueError: if the samples are not of one dataset, or a field is of another kind.
        """
        # publishing brings more than those who load datasets want
        from astrid_training.derive import derive_dataset, origin_of

        if self._store is None or self._packs is None:
            raise ValueError("to create datasets, give the manager a store and packs")
        origin = self.get_dataset(origin_of(samples))
        published = derive_dataset(
            self._engine,
            self._store,
            self._packs,
            origin,
            samples,
            {"description": None, **fields, "name": name},
            created_by or user_name(),
        )
        return published.dataset_id

    def get_dataset(self, dataset_id: str, *, allow_revoked: bool = False) -> TrainingDataset:
        """Return a dataset by its id, its version, or its name (then the active version).

        Equal content under several names has one version; an active dataset of it comes first.

        Raises:
            DatabaseUnavailableError: if the database does not answer or is not migrated.
            DatasetNotFoundError: if there is none.
            DatasetRevokedError: if it was withdrawn and `allow_revoked` is not set.
        """
        asked = {"wanted": dataset_id.partition("\0")[0]}  # no text of the database holds a NUL
        with reading(self._engine) as connection:
            row = connection.execute(query("dataset_get"), asked).one_or_none()
        if row is None:
            raise DatasetNotFoundError(
                f"no dataset {dataset_id!r}; `astrid-training datasets` lists those there are"
            )
        if row.status == "revoked" and not allow_revoked:
            raise DatasetRevokedError(
                f"dataset {row.name} {row.version_id} was revoked{self._why(row.id)}; "
                "use a newer version, or load it knowingly with allow_revoked=True"
            )
        return _dataset(row)

    def _why(self, dataset_id: object) -> str:
        for event in reversed(self.events(str(dataset_id))):
            if event.event == "revoked":
                return f" by {event.by} at {event.at:%Y-%m-%d %H:%M} UTC: {event.reason}"
        return ""

    def list_datasets(
        self, filters: Mapping[str, Any] | None = None, *, limit: int = 100, offset: int = 0
    ) -> list[TrainingDataset]:
        """Return datasets, newest first; the arguments are those of `page`."""
        return self.page(filters, limit=limit, offset=offset).datasets

    def page(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        offset: int = 0,
        after: tuple[datetime, UUID] | None = None,
    ) -> DatasetPage:
        """Return datasets, newest first, and how many match in all.

        Args:
            filters: any of status, name, created_by, survey (one it has samples of), least_quality,
                created_from, created_to (exclusive; naive times are UTC). None: no limit.
            limit: most datasets returned.
            offset: how many to pass over.
            after: created_at and id of a dataset: only those that follow it. Unlike an offset it
                shows none twice when datasets are published meanwhile.

        Raises:
            DatabaseUnavailableError: if the database does not answer or is not migrated.
            ValueError: for a filter of another name, an unknown status, or a negative number.
        """
        after_at, after_id = after or (None, None)
        place = {"limit": limit, "offset": offset, "after_at": after_at, "after_id": after_id}
        values = {**_filters(filters or {}), **place}
        if limit < 0 or offset < 0:
            raise ValueError(f"limit {limit} and offset {offset}: give numbers from 0")
        with reading(self._engine) as connection:
            rows = connection.execute(query("dataset_list"), values).all()
        found = [_dataset(row) for row in rows if row.id is not None]
        return DatasetPage(found, rows[0].total)

    def samples(self, dataset: TrainingDataset) -> list[TrainingSample]:
        """Return all samples of a dataset, sorted by key."""
        with self._engine.connect() as connection:
            rows = connection.execute(query("sample_list"), {"dataset_id": dataset.id})
            return [TrainingSample(**row._asdict()) for row in rows]

    def update_dataset_metrics(self, dataset_id: str, metrics: Mapping[str, Any]) -> None:
        """Add `metrics` to what was learnt of the dataset since it was published.

        They stand in `TrainingDataset.metrics`, apart from the quality report that it was judged by.

        Args:
            dataset_id: its id.
            metrics: by name: audit, drift, model, review or note, alone or with more words after an
                underscore. A value is a finite number, true or false, a text, or None to take
                the metric away.

        Raises:
            DatasetNotFoundError: if there is none of this id.
            TypeError: for a value of another kind.
            ValueError: for another name, or a number that is not finite.
        """
        for name, value in metrics.items():
            _check_metric(name, value)
        values = {"dataset_id": dataset_id, "metrics": json.dumps(dict(metrics))}
        with self._engine.begin() as connection:
            if connection.execute(query("dataset_merge_metrics"), values).one_or_none() is None:
                raise DatasetNotFoundError(f"no dataset of id {dataset_id}")

    def set_mlflow_run(self, dataset_id: str, mlflow_run_id: str) -> None:
        """Remember which MLflow run describes the dataset."""
        values = {"dataset_id": dataset_id, "mlflow_run_id": mlflow_run_id}
        with self._engine.begin() as connection:
            connection.execute(query("dataset_set_mlflow_run"), values)

    def revoke(self, dataset_id: str, reason: str, by: str | None = None) -> DatasetEvent:
        """Withdraw a dataset and return the event: it loads only for those who insist.

        Its row, samples and pixels stay. No other version becomes active in its place. Of those who
        revoke at once one does; the others get that one's event.

        Args:
            dataset_id: its id, its version, or its name (then the active version).
            reason: for those who will ask.
            by: who revokes; None: the user of this process.

        Raises:
            DatasetNotFoundError: if there is none.
            ValueError: without a reason.
        """
        return self._retire(dataset_id, "revoked", reason, by)

    def supersede(self, dataset_id: str, reason: str, by: str | None = None) -> DatasetEvent:
        """Let an active dataset step back without a newer version; it still loads by id or version.

        The arguments and errors are those of `revoke`.

        Raises:
            DatasetRevokedError: if it was revoked.
        """
        return self._retire(dataset_id, "superseded", reason, by)

    def _retire(self, wanted: str, status: str, reason: str, by: str | None) -> DatasetEvent:
        if not reason.strip():
            raise ValueError("say why, for those who will ask")
        found = self.get_dataset(wanted, allow_revoked=status == "revoked")
        one = {"dataset_id": found.id}
        with self._engine.begin() as connection:
            row = connection.execute(query("dataset_lock"), one).one()
            if row.status == "revoked" and status != "revoked":
                raise DatasetRevokedError(f"dataset {row.name} {row.version_id} was just revoked")
            if row.status != status:
                event = {"event": status, "reason": reason.strip(), "by": by or user_name()}
                connection.execute(query("dataset_retire"), {**one, "status": status})
                connection.execute(query("dataset_event_add"), {**one, **event})
            told = _events(connection, found.id)
        return next(event for event in reversed(told) if event.event == status)

    def events(self, dataset_id: str) -> list[DatasetEvent]:
        """Return what happened to the dataset of this id since it was published, oldest first."""
        with self._engine.connect() as connection:
            return _events(connection, dataset_id)

    def parent(self, dataset: TrainingDataset) -> TrainingDataset | None:
        """Return the version that this one superseded, withdrawn or not; None for the first."""
        if dataset.parent_id is None:
            return None
        return self.get_dataset(str(dataset.parent_id), allow_revoked=True)

    def kin(self, dataset: TrainingDataset) -> list[TrainingDataset]:
        """Return the datasets in use that hold the same content or were chosen from this one."""
        with self._engine.connect() as connection:
            rows = connection.execute(query("dataset_kin"), {"dataset_id": dataset.id})
            return [_dataset(row) for row in rows]

    def delete_leftovers(
        self,
        older_than: timedelta = LEFTOVER_AGE,
        *,
        dry_run: bool = True,
        by: str | None = None,
    ) -> int:
        """Forget the built stamps that no published dataset holds; return how many there are.

        A dataset is published in one transaction, so a run that fails leaves no half of one. What it
        does leave in the database are entries of the catalogue of built stamps. They save time if
        the collection is tried again, so only old ones go. Objects in the store are left alone.

        Args:
            older_than: what was built since may still be wanted.
            dry_run: only count.
            by: who forgets; None: the user of this process.
        """
        before = {"before": datetime.now(UTC) - older_than}
        if dry_run:
            with reading(self._engine) as connection:
                return int(connection.execute(query("catalogue_unpublished"), before).scalar_one())
        with self._engine.begin() as connection:
            connection.execute(query("publish_lock"))  # what is being published is no leftover
            gone = connection.execute(query("catalogue_delete_unpublished"), before).rowcount
            if gone:
                record(connection, "stamps forgotten", "", by or user_name(), {"stamps": gone})
        return gone


def _events(connection: Connection, dataset_id: object) -> list[DatasetEvent]:
    rows = connection.execute(query("dataset_events"), {"dataset_id": dataset_id})
    return [DatasetEvent(**row._asdict()) for row in rows]


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every filter, None where it is not set.

    Raises:
        ValueError: for a filter of another name, or an unknown status.
    """
    unknown = sorted(set(given) - set(FILTERS))
    if unknown:
        raise ValueError(f"no filter {', '.join(unknown)}; use {', '.join(FILTERS)}")
    if given.get("status") not in {None, *STATUSES}:
        raise ValueError(f"no status {given['status']!r}; use {', '.join(STATUSES)}")
    values = dict.fromkeys(FILTERS) | dict(given)
    for name in ("created_from", "created_to"):
        moment = values[name]
        if isinstance(moment, datetime) and moment.tzinfo is None:
            values[name] = moment.replace(tzinfo=UTC)
    return values


def _check_metric(name: str, value: object) -> None:
    if not METRIC_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no metric that can be added later; name it audit, drift, model, review or "
            "note, with more words after an underscore, such as audit_agreement"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; leave out what is not known")
    if not isinstance(value, bool | int | float | str | None):
        raise TypeError(f"{name} is a {type(value).__name__}; give a number, a text or a truth")


def get_dataset(engine: Engine, dataset_id: str, *, allow_revoked: bool = False) -> TrainingDataset:
    """Return a dataset; see `TrainingDatasetManager.get_dataset`."""
    return TrainingDatasetManager(engine).get_dataset(dataset_id, allow_revoked=allow_revoked)


def _dataset(row: Row[Any]) -> TrainingDataset:
    return TrainingDataset(
        id=row.id,
        name=row.name,
        description=row.description,
        version_id=row.version_id,
        parent_id=row.parent_id,
        status=row.status,
        created_at=row.created_at,
        created_by=row.created_by,
        as_of=row.as_of,
        total_samples=row.total_samples,
        anomaly_ratio=float(row.anomaly_ratio),
        quality_score=float(row.quality_score),
        splits=row.splits,
        classes=row.classes,
        funnel=[FunnelRow(**entry) for entry in row.funnel],
        format_version=row.format_version,
        collection_params=row.collection_params,
        preprocess_spec=row.preprocess_spec,
        spec_fingerprint=row.spec_fingerprint,
        digests={name: getattr(row, f"{name}_digest") for name in DIGESTS},
        quality_report=row.quality_report,
        samples_key=row.samples_key,
        flow_run_id=row.flow_run_id,
        mlflow_run_id=row.mlflow_run_id,
        metrics=row.metrics,
        derived_from=row.derived_from,
        code_version=row.code_version,
    )
