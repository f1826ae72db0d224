"""`astrid-training verify`: whether datasets are what was published, and repairs."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.records import TrainingDataset
from astrid_training.settings import Settings
from astrid_training.sources import open_sources
from astrid_training.store import open_store
from deployments.console import FAILED, USAGE, Json, fail, print_json, ready, reported, say

if TYPE_CHECKING:
    from astrid_training.verify import Finding, Places

__all__ = ["verify"]

PAGE = 100


def verify(
    dataset: Annotated[
        str | None, typer.Argument(help="Id, version or name of a dataset; with --all none.")
    ] = None,
    *,
    all_of_them: Annotated[
        bool,
        typer.Option(
            "--all", help="Every dataset, withdrawn ones too, and the references of all tables."
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only look packs up; else each is read and hashed.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Put right what samples, ledger and source files still prove, then verify again.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check rows, packs, digests, ledger and MLflow of datasets against each other; exit 1 on any finding."""
    if all_of_them == (dataset is not None):
        fail("name a dataset, or give --all", USAGE, as_json=as_json)
    from astrid_training.verify import verify_references  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        run = _Run(_places(settings), read_pixels=not quick, repair=repair)
        for one in _chosen(run.places, dataset):
            run.verify(one)
        if all_of_them:
            run.findings += _told(verify_references(run.places.engine))
    counts = f"{len(run.findings)} findings, {len(run.repairs)} repairs"
    say(f"{run.datasets} datasets verified: {counts}")
    if as_json:
        told = [{k: v for k, v in asdict(one).items() if k != "objects"} for one in run.findings]
        print_json({"datasets": run.datasets, "findings": told, "repairs": run.repairs})
    if run.findings:
        raise typer.Exit(FAILED)


@dataclass
class _Run:
    """What one call of the command looks at, and what it found and put right."""

    places: "Places"
    read_pixels: bool
    repair: bool
    datasets: int = 0
    findings: "list[Finding]" = field(default_factory=list)
    """Those that are left."""
    repairs: list[str] = field(default_factory=list)

    def verify(self, dataset: TrainingDataset) -> None:
        """Look at a dataset; where that is asked for, put right what can be, and look again."""
        from astrid_training.verify import repair_dataset

        self.datasets += 1
        say(
            f"{dataset.name} {dataset.version_id} ({dataset.status}), {dataset.total_samples} samples"
        )
        findings = self._look(dataset)
        if findings and self.repair:
            for one in repair_dataset(self.places, dataset, findings):
                say(f"  repaired: {one.done}")
                self.repairs.append(f"{one.where}: {one.done}")
            say("  looked at once more")
            manager = TrainingDatasetManager(self.places.engine)
            findings = self._look(manager.get_dataset(str(dataset.id), allow_revoked=True))
        self.findings += findings

    def _look(self, dataset: TrainingDataset) -> "list[Finding]":
        from astrid_training.verify import verify_dataset

        return _told(verify_dataset(self.places, dataset, read_pixels=self.read_pixels))


def _places(settings: Settings) -> "Places":
    from astrid_training.verify import Places

    return Places(
        open_database(settings.database_url),
        open_store(settings),
        open_sources(settings),
        settings.home / "cache",
        settings.mlflow_tracking_uri,
    )


def _chosen(places: "Places", wanted: str | None) -> Iterator[TrainingDataset]:
    manager = TrainingDatasetManager(places.engine)
    if wanted is not None:
        yield manager.get_dataset(wanted, allow_revoked=True)
        return
    after = None
    while some := manager.page(limit=PAGE, after=after).datasets:
        yield from some
        after = (some[-1].created_at, some[-1].id)


def _told(findings: "Iterator[Finding]") -> "list[Finding]":
    """Return all findings, each told as it is found."""
    found = []
    for one in findings:
        say(f"  {one.kind}: {one.problem}\n    {one.cure}")
        found.append(one)
    return found
