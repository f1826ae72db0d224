"""A small published dataset in a directory store, without database or pipeline."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray

from astrid_training.digests import sample_key
from astrid_training.lineage import DATASETS, TRAININGS
from astrid_training.packs import FORMAT_VERSION, put_array, put_table
from astrid_training.params import PreprocessSpec, TrainingDataCollectionParams
from astrid_training.processor import fingerprint
from astrid_training.records import FunnelRow, TrainingDataset
from astrid_training.samples import SCHEMA
from astrid_training.store import Store

CLASSES = ("supernova", "cosmic_ray", "asteroid", "hot_pixel", "variable_star", "dipole")
REAL = frozenset({"supernova", "asteroid", "variable_star"})
SPLITS = ("train", "train", "train", "val", "test")
ROWS_PER_PACK = 37  # so that packs end where nothing else does
CENTRE = 36
QUALITY: dict[str, Any] = {
    "total_samples": 240,
    "anomaly_ratio": 0.5,
    "image_quality_score": 0.88,
    "label_consistency": 0.93,
    "temporal_distribution": {"start": None, "end": None, "months": {"2024-03": 240}},
    "survey_coverage": {"sim_ztf": 240},
    "quality_score": 0.931,
    "issues": ["val holds 3 rejected sky groups: metrics there mean little"],
    "leaks": {
        "objects": 41,
        "groups": 37,
        "largest_group": 9,
        "cut_groups": 1,
        "tiles": 4,
        "shared_background": 17,
        "candidates": 3,
        "moving_unlinked": 5,
        "shared_groups": 0,
        "shared_boxes": 0,
        "shared_pixels": 0,
        "near_duplicates": 0,
    },
    "components": {"image_quality": 0.88, "confidence": 0.91, "coverage": 0.98, "balance": 1.0},
    "gates": [
        {"name": "splits_not_empty", "passed": True, "detail": "samples: train 143, val 48"},
        {"name": "two_classes", "passed": True, "detail": "120 real and 120 rejected detections"},
    ],
}


class Published(NamedTuple):
    """A dataset and where its objects are."""

    record: TrainingDataset
    store: Store
    samples: pa.Table
    images: NDArray[np.float32]
    """(sample, channel, y, x), in the table's order."""
    masks: NDArray[np.uint8]


def publish(folder: Path, count: int, spec: PreprocessSpec | None = None) -> Published:
    """Publish `count` samples: blobs for the real ones, single bright pixels for the others."""
    spec = spec or PreprocessSpec()
    store = Store(folder.as_uri())
    rows = sorted((_row(number) for number in range(count)), key=lambda row: str(row["sample_key"]))
    images, masks = _pixels(rows, spec)
    for start in range(0, count, ROWS_PER_PACK):
        part = slice(start, start + ROWS_PER_PACK)
        # masks lie in reverse order, so that a reader who mixes up the rows is seen
        image_pack = put_array(store, "images", images[part])
        mask_pack = put_array(store, "masks", masks[part][::-1])
        for place, row in enumerate(rows[part]):
            last = len(rows[part]) - 1
            row |= {"image_pack": image_pack, "flag_pack": "0" * 64, "mask_pack": mask_pack}
            row |= {"image_row": place, "mask_row": last - place}
    schema = SCHEMA.append(pa.field("snr", pa.float64()))
    samples = pa.Table.from_pylist(rows, schema)
    key = f"samples/{put_table(store, 'samples', samples)}.parquet"
    return Published(_record(samples, key, spec), store, samples, images, masks)


def _row(number: int) -> dict[str, Any]:
    name = CLASSES[number % len(CLASSES)]
    split = "quarantine" if number == 7 else SPLITS[number // len(CLASSES) % len(SPLITS)]
    confidence = 0.7 + 0.05 * (number % 6)
    return {
        "sample_key": sample_key("det", str(UUID(int=number))),
        "split": split,
        "is_anomaly": name in REAL,
        "anomaly_type": name,
        "label_source": "human",
        "p_real": confidence if name in REAL else 1 - confidence,
        "confidence": confidence,
        "weight": 2 * confidence - 1,
        "tier": "gold" if confidence >= 0.95 else "silver",
        "n_votes": 1 + number % 3,
        "n_validators": 1 + number % 3,
        "votes": json.dumps([{"validator": "ada", "is_valid": name in REAL, "label": name}]),
        "group_key": f"group-{number}",
        "detection_id": str(UUID(int=number)),
        "observation_id": str(UUID(int=1000 + number)),
        "survey": "sim_ztf",
        "band": "gr"[number % 2],
        "observation_time": datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=number),
        "ra_deg": 150 + number / 100,
        "dec_deg": 2.5,
        "x": CENTRE + 0.1,
        "y": CENTRE - 0.2,
        "fwhm_px": 2.4,
        "fwhm_source": "header",
        "pixel_scale": 1.01,
        "zero_point": 26.3,
        "diff_sign": 1,
        "source_kind": "raw",
        "model_score": 0.5,
        "quality_score": None if number % 10 == 0 else 0.8 + 0.01 * (number % 20),
        "image_digest": f"{number:064x}",
        "mask_digest": f"{number:064x}",
        "science_path": f"raw/{number}.fits",
        "reference_path": "raw/reference.fits",
        "difference_path": f"raw/{number}-diff.fits",
        "snr": 12.0,
    }


def _pixels(
    rows: list[dict[str, Any]], spec: PreprocessSpec
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return stamps in spec.channels order and masks, both with a frame that names its row."""
    random = np.random.default_rng(113)
    side = spec.padded_size
    y, x = np.indices((side, side)) - side // 2
    distance = np.hypot(x, y)
    images = random.normal(0, 0.33, (len(rows), len(spec.channels), side, side))
    masks = np.zeros((len(rows), side, side), np.uint8)
    for number, row in enumerate(rows):
        real = row["is_anomaly"]
        source = 6 * np.exp(-(distance**2) / 4) if real else 8.0 * (distance < 1)
        images[number, spec.channels.index("difference")] += source
        images[number, spec.channels.index("science")] += source
        masks[number][distance <= 2.4] = 1 if real else 2
        masks[number, 20:24, 40:60] = 255
        masks[number, 0, 0] = number % 250  # in the margin, which no item shows
    return images.astype(np.float32), masks


def _record(samples: pa.Table, key: str, spec: PreprocessSpec) -> TrainingDataset:
    count = samples.num_rows
    tally = {name: samples[name].value_counts().to_pylist() for name in ("split", "anomaly_type")}
    counts = {
        name: {entry["values"]: entry["counts"] for entry in entries}
        for name, entries in tally.items()
    }
    funnel = [
        FunnelRow("fetch_validated_detections", "selected", count + 17),
        FunnelRow("fetch_validated_detections", "ambiguous", 12),
        FunnelRow("fetch_validated_detections", "contradiction", 3),
        FunnelRow("make_masks", "target_masked", 2),
        FunnelRow("persist_dataset", "kept", count),
    ]
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], preprocess=spec)
    names = ("query", "source", "label", "content", "split")
    return TrainingDataset(
        id=UUID(int=113),
        name="validated-detections",
        description="A sky made for tests.",
        version_id="0123456789abcdef",
        parent_id=None,
        status="active",
        created_at=datetime(2024, 5, 2, 3, tzinfo=UTC),
        created_by="ada",
        as_of=datetime(2024, 5, 1, tzinfo=UTC),
        total_samples=count,
        anomaly_ratio=sum(samples["is_anomaly"].to_pylist()) / count,
        quality_score=0.931,
        splits=counts["split"],
        classes=counts["anomaly_type"],
        funnel=funnel,
        format_version=FORMAT_VERSION,
        collection_params=params.model_dump(mode="json"),
        preprocess_spec=spec.model_dump(mode="json"),
        spec_fingerprint=fingerprint(spec),
        digests={name: name[0] * 64 for name in names},
        quality_report=QUALITY,
        samples_key=key,
        flow_run_id="8d0f",
        code_version="0.1.0+gabcdef0",
        mlflow_run_id=None,
    )


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """One dataset of 240 samples for all tests that only read it."""
    return publish(tmp_path_factory.mktemp("published"), 240)


@pytest.fixture(scope="session")
def published_few(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """One dataset of 60 samples, for tests that train on it."""
    return publish(tmp_path_factory.mktemp("published_few"), 60)


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an MLflow of this process alone, without a server."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    for name in (DATASETS, TRAININGS):
        client.create_experiment(name, artifact_location=(folder / "artifacts").as_uri())
    return uri


@pytest.fixture(scope="session")
def mlflow(mlflow_uri: str) -> MlflowClient:
    """A client of `mlflow_uri`."""
    return MlflowClient(tracking_uri=mlflow_uri)
