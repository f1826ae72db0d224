"""What holds after every round of a soak, whatever died in it."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import httpx
from sqlalchemy import Engine, text

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.gc import clear_away, find_garbage
from astrid_training.identity import dataset_digests
from astrid_training.presence import objects_of
from astrid_training.records import TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.store import Store

__all__ = ["Invariants"]

ROWS = text(
    "SELECT count(*) FILTER (WHERE split <> 'quarantine'), count(*), count(DISTINCT sample_key)"
    " FROM training_samples WHERE dataset_id = :id"
)
READ_AGAIN = 4
"""Earlier datasets a round."""
READS = 25
"""Lists, and pages of datasets, that are asked of the API, a round."""
PAGES = ("", "/quality", "/report", "/card", "/croissant", "/lineage")
"""Of a dataset; all are read from the first round on, for each costs memory when it is first used."""


@dataclass
class Invariants:
    """Looks at database, store and API, and remembers each dataset as it was published."""

    engine: Engine
    store: Store
    seen: dict[str, TrainingDataset] = field(default_factory=dict)
    requests: int = 0

    def check_round(self, api: httpx.Client, rng: Random) -> None:
        """Check the new datasets whole, some earlier ones, and that nothing is left over."""
        for one in TrainingDatasetManager(self.engine).list_datasets({}, limit=200):
            if str(one.id) not in self.seen:
                self.seen[str(one.id)] = one
                self.check_new(one)
                self.ask(api, one)
        for one in rng.sample(list(self.seen.values()), min(READ_AGAIN, len(self.seen))):
            self.check_unchanged(one)
        self.check_no_orphan()
        for _ in range(READS):
            self._get(api, "/training/datasets?limit=20")
            dataset_id, page = rng.choice(list(self.seen)), rng.choice(PAGES)
            self._get(api, f"/training/datasets/{dataset_id}{page}")

    def check_new(self, dataset: TrainingDataset) -> None:
        """Check that the funnel adds up and that no sample is there twice."""
        selected, *drops, kept = dataset.funnel
        assert (selected.reason, kept.reason) == ("selected", "kept"), dataset.funnel
        assert selected.count == kept.count + sum(one.count for one in drops), dataset.funnel
        assert kept.count == dataset.total_samples
        with self.engine.connect() as connection:
            usable, rows, keys = connection.execute(ROWS, {"id": dataset.id}).one()
        assert usable == dataset.total_samples
        assert rows == keys
        self.check_unchanged(dataset)

    def check_unchanged(self, dataset: TrainingDataset) -> None:
        """Check by reading everything again that a dataset is what it was when it was published."""
        now = TrainingDatasetManager(self.engine).get_dataset(str(dataset.id), allow_revoked=True)
        assert (now.digests, now.samples_key, now.funnel, now.splits) == (
            dataset.digests,
            dataset.samples_key,
            dataset.funnel,
            dataset.splits,
        )
        samples = read_samples(self.store, dataset.samples_key)
        again = dataset_digests(samples)
        assert again == {name: dataset.digests[name] for name in again}
        for key in objects_of(samples):
            folder, _, name = key.partition("/")
            digest, _, suffix = name.partition(".")
            self.store.get_verified(folder, f".{suffix}", digest)

    def check_no_orphan(self) -> None:
        """Clear away what nothing refers to, and check that nothing is left to clear away."""
        clear_away(self.engine, self.store, timedelta(0))
        assert find_garbage(self.engine, self.store, timedelta(0)) == []

    def ask(self, api: httpx.Client, dataset: TrainingDataset) -> None:
        """Check that the API tells of the dataset what the database says."""
        place = f"/training/datasets/{dataset.id}"
        listed = self._get(api, "/training/datasets?limit=1").json()
        assert listed["total"] >= 1
        assert self._get(api, place).json()["digests"] == dataset.digests
        told = self._get(api, f"{place}/quality").json()
        assert told["total_samples"] == dataset.total_samples
        assert dataset.name in self._get(api, f"{place}/report").text
        assert dataset.version_id in self._get(api, f"{place}/card").text
        assert self._get(api, f"{place}/lineage").is_success

    def _get(self, api: httpx.Client, place: str) -> httpx.Response:
        answer = api.get(place)
        self.requests += 1
        assert answer.status_code == 200, (place, answer.status_code, answer.text[:500])
        return answer
