"""How good a trained network is on a simulated sky, beside what one would do without it.

Detections of test are told real or not by the network; by a threshold on the difference image, in units
of its noise and chosen on val; and by the same network, trained on masks that are the same disk of 3 px for
every real detection. The labels are those of simulated reviewers, who err; on the gold part they hardly do.

Objects are also counted as detectors count them: found where an island of pixels lies on the target's with an
intersection over union above 0.5, which leaves one partner at most (Kirillov et al. 2019, panoptic quality);
every other island is a false one, on a rejected detection as well.
"""

import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_training.catalogue import get_dataset
from astrid_training.database import open_database
from astrid_training.dataset import AstrIDTrainingDataset, TrainingSplits, splits_from
from astrid_training.devices import choose_machine
from astrid_training.evaluation import reviewed_gold
from astrid_training.items import Stacked
from astrid_training.migrate import migrate
from astrid_training.networks import load_network
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.predictions import predictions
from astrid_training.records import TrainingDataset
from astrid_training.scoring import Ranking, Scores, score_objects
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import Store
from astrid_training.training import TrainingParams, train_unet
from astrid_training.workplace import Workplace
from benchmarks.rows import Row, at_least
from benchmarks.scale import Meter, collect
from benchmarks.timing import cores
from deployments.embedded import postgres
from deployments.embedded.processes import free_port

FIELDS, STEPS, SEEDS = 18, 150, (0, 1, 2)
RADIUS_PX = 3.0
WELL_ABOVE = 1.1
LEAST_PX = 3
EIGHT = np.ones((3, 3), int)
"""Pixels that touch at a corner are of one island."""
NETWORK, FIXED = "footprints", "3 px disks"


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a collected dataset, and its row."""

    folder: Path
    record: TrainingDataset

    def splits(self) -> TrainingSplits:
        """Return the dataset's splits, read in place."""
        store = Store(f"file://{self.folder}/store")
        return splits_from(self.record, store, self.folder / "cache", in_place=True)


@contextmanager
def sky(fields: int) -> Iterator[Home]:
    """Give the block a dataset of a simulated sky, collected as a flow does."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        cluster, port = postgres.prepare(home), free_port(None)
        postgres.start(cluster, port, {}, home / "log")
        while not postgres.answers(cluster, port):
            time.sleep(0.05)
        try:
            yield Home(
                home, _collected(home, postgres.cluster_url(cluster, port, "postgres"), fields)
            )
        finally:
            postgres.discard(home)


def _collected(home: Path, url: str, fields: int) -> TrainingDataset:
    engine, store = open_database(url), Store(f"file://{home}/store")
    migrate(engine)

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    with engine.begin() as connection:
        simulate(SkyPlan(fields=fields), connection, put, home / "truth.jsonl")
    place = Workplace(store.url, home / "cache", database_url=url)
    params = TrainingDataCollectionParams(name="benchmark", survey_ids=["sim_ztf"])
    published = collect(place, params, Meter())
    record = get_dataset(engine, str(published.dataset_id))
    engine.dispose()
    return record


class FixedMasks(AstrIDTrainingDataset):
    """The same samples with a disk around every real target for a mask, whatever its PSF and shape."""

    def __getitems__(self, indices: Sequence[int]) -> Stacked:
        batch = super().__getitems__(indices).batch
        rows, columns = np.indices(batch.mask.shape[-2:]) - batch.mask.shape[-1] // 2
        disk = batch.mask.new_tensor(rows**2 + columns**2 <= RADIUS_PX**2)
        return Stacked(batch._replace(mask=disk * batch.label[:, None, None, None].to(disk.dtype)))


def _fixed(split: AstrIDTrainingDataset) -> AstrIDTrainingDataset:
    parts = split.record, split.split, split.table, split._pixels, split.channels  # noqa: SLF001 - the same samples
    return FixedMasks(*parts)


def train(home: Home, masks: str, seed: int) -> dict[str, float]:
    """Train a network and return its figures; those of test are against the dataset's own masks."""
    own = splits = home.splits()
    if masks == FIXED:
        splits = TrainingSplits(_fixed(own.train), _fixed(own.val), own.test)
    with TemporaryDirectory() as folder:
        params = TrainingParams(steps=STEPS, seed=seed, device="cpu", radius_px=RADIUS_PX)
        metrics = train_unet(splits, params, Path(folder)).metrics
        network = load_network(Path(folder)).model

    def logits(split: AstrIDTrainingDataset) -> NDArray[np.float32]:
        said = predictions(network, split, params, choose_machine(params))
        return np.concatenate([one.logits[:, 0].numpy() for one in said])

    val, test = logits(own.val), logits(own.test)
    return metrics | {"test_outlined_f1": outlined(own, val, test, np.arange(-4, 4.01, 0.25))}


def outlined(
    splits: TrainingSplits,
    val: NDArray[np.float32],
    test: NDArray[np.float32],
    thresholds: NDArray[np.float64],
) -> float:
    """Return F1 of the objects of test that are outlined by what reaches the threshold best on val.

    Args:
        splits: whose masks say where objects are.
        val: (n, y, x) scores of its pixels.
        test: the same of test.
        thresholds: among which to choose.
    """
    best = max(thresholds, key=lambda least: _outlined(splits.val, val >= least))
    return _outlined(splits.test, test >= best)


def _outlined(split: AstrIDTrainingDataset, found: NDArray[np.bool_]) -> float:
    masks = split.__getitems__(range(len(split))).batch.mask[:, 0].numpy()
    counts = np.sum([_matched(*one) for one in zip(masks, found, strict=True)], axis=0)
    hits, wanted, seen = (int(count) for count in counts)
    return 2 * hits / max(wanted + seen, 1)


def _matched(mask: NDArray[np.uint8], found: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return how many islands were found, how many there are, and how many were seen."""
    wanted, count = ndimage.label(mask == 1, EIGHT)
    seen, _ = ndimage.label(found & (mask != 255), EIGHT)
    sizes = np.bincount(seen.ravel())
    kept = np.flatnonzero(sizes >= LEAST_PX)[1:]
    inside = wanted > 0
    pairs, shared = np.unique(np.stack([wanted[inside], seen[inside]]), axis=1, return_counts=True)
    union = np.bincount(wanted.ravel())[pairs[0]] + sizes[pairs[1]] - shared
    hits = (pairs[1] > 0) & np.isin(pairs[1], kept) & (shared > union / 2)
    return int(hits.sum()), count, len(kept)


def by_threshold(splits: TrainingSplits) -> tuple[Scores, Scores, float]:
    """Return what a threshold on the difference gives on test, on its gold part, and the threshold.

    It is the best one on val, in units of the difference's noise.
    """
    val, test = (_significance(split) for split in (splits.val, splits.test))
    ranking = Ranking.of(splits.val.labels, val)
    best = max(ranking.scores.tolist(), key=lambda least: ranking.scores_at(least).f1 or 0)
    gold = reviewed_gold(splits.test)
    labels = splits.test.labels
    whole, part = Ranking.of(labels, test), Ranking.of(labels[gold], test[gold])
    return whole.scores_at(best), part.scores_at(best), float(best)


def _significance(split: AstrIDTrainingDataset) -> NDArray[np.float32]:
    """Return the largest deviation near each target."""
    x, y = (split.table[axis].to_numpy() - split.spec.margin for axis in ("x", "y"))
    largest: NDArray[np.float32] = score_objects(_deviations(split), x, y, RADIUS_PX)
    return largest


def _deviations(split: AstrIDTrainingDataset) -> NDArray[np.float32]:
    """Return by how many sigma each pixel of the difference deviates, from asinh(deviation / 3)."""
    images = split.__getitems__(range(len(split))).batch.image[:, 0].numpy()
    sigmas: NDArray[np.float32] = (3 * np.sinh(np.abs(images))).astype(np.float32)
    return sigmas


WHY_MISSED = """
Whether a detection is real is told from the largest logit within 3 px of it, and a disk of 3 px for all marks that
place as well: the two kinds of masks differ by less than the seeds do. Where the source's pixels are such disks do
not teach: the rows of outlined objects and of pixels. The labels are reviewers', who err: on the gold part both
networks are better.
"""


def report() -> list[Row]:
    """Return the rows: F1 of detections beside both baselines, of pixels, and the calibration."""
    jobs = [(masks, seed) for masks in (NETWORK, FIXED) for seed in SEEDS]
    with sky(FIELDS) as home:
        splits = home.splits()
        whole, gold, sigma = by_threshold(splits)
        deviations = _deviations(splits.val), _deviations(splits.test)
        by_deviation = outlined(splits, *deviations, np.arange(2, 15.01, 0.25))
        sizes = len(splits.train), len(splits.test), int(reviewed_gold(splits.test).sum())
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(cores(), len(jobs)), mp_context=spawn) as pool:
            found = list(pool.map(train, [home] * len(jobs), *zip(*jobs, strict=True)))
    ours, fixed = found[: len(SEEDS)], found[len(SEEDS) :]
    detections = f"F1 of {sizes[1]} test detections"
    name = f"{detections}; {sizes[0]} samples to train on, {STEPS} steps, {len(SEEDS)} seeds"
    threshold = f"threshold of {sigma:.1f} sigma"
    return [
        _row(name, ours, "test_f1", f"{threshold} {whole.f1:.3f}", whole.f1),
        _row(
            f"F1 of its {sizes[2]} gold ones",
            ours,
            "test_gold_f1",
            f"{threshold} {gold.f1:.3f}",
            gold.f1,
        ),
        _beside(detections, ours, fixed, "test_f1"),
        _beside(f"F1 of its {sizes[2]} gold ones", ours, fixed, "test_gold_f1"),
        _row(
            "F1 of objects outlined in test",
            ours,
            "test_outlined_f1",
            f"threshold, best on val {by_deviation:.3f}",
            by_deviation,
        ),
        _beside("F1 of objects outlined in test", ours, fixed, "test_outlined_f1"),
        _beside("F1 of pixels of test", ours, fixed, "test_pixel_f1"),
        Row(
            "area under ROC, test detections",
            _shown(ours, "test_roc_auc"),
            f"{threshold} {whole.roc_auc:.3f}",
        ),
        Row(
            "expected calibration error, test detections",
            _shown(ours, "test_ece"),
            f"uncalibrated {_shown(ours, 'test_ece_uncalibrated')}",
        ),
    ]


def _row(
    name: str, ours: list[dict[str, float]], metric: str, peer: str, theirs: float | None
) -> Row:
    ratio = _mean(ours, metric) / (theirs or float("nan"))
    return Row(name, _shown(ours, metric), peer, ratio, at_least(ratio, WELL_ABOVE))


def _beside(
    name: str, ours: list[dict[str, float]], fixed: list[dict[str, float]], metric: str
) -> Row:
    peer = f"{FIXED} as masks {_shown(fixed, metric)}"
    return _row(name, ours, metric, peer, _mean(fixed, metric))


def _mean(found: list[dict[str, float]], metric: str) -> float:
    return statistics.fmean(one[metric] for one in found)


def _shown(found: list[dict[str, float]], metric: str) -> str:
    """Return the mean over the seeds and, in brackets, the range."""
    values = [one[metric] for one in found]
    return f"{_mean(found, metric):.3f} ({min(values):.3f} to {max(values):.3f})"
