"""The row of training_datasets against the table of samples."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from astrid_training.assemble import class_counts, split_counts
from astrid_training.identity import dataset_digests, version_id
from astrid_training.records import TrainingDataset
from astrid_training.splits import SPLITS
from astrid_training.verify.findings import Finding

__all__ = ["check_facts", "facts_of", "is_proved"]

CURE = "`astrid-training verify --repair` writes it again from the table of samples, where that is proved whole"


def check_facts(dataset: TrainingDataset, samples: pa.Table, where: str) -> Iterator[Finding]:
    """Yield what the row says otherwise than the table of samples does."""
    keys = samples["sample_key"].to_pylist()
    if keys != sorted(set(keys)):
        problem = "its samples are not in order, or one is there twice"
        yield Finding("samples_table", where, problem, "this is a bug, please report it")
    facts = facts_of(samples, dataset)
    told = {
        "version_id": dataset.version_id,
        "content_digest": dataset.digests["content"],
        "split_digest": dataset.digests["split"],
        **{name: getattr(dataset, name) for name in facts if hasattr(dataset, name)},
    }
    cure = CURE if is_proved(facts, dataset) else "restore the row from a backup of the database"
    for name, fact in facts.items():
        if told[name] != fact:
            problem = f"its {name} is {told[name]}, its samples make {fact}"
            yield Finding("dataset_row", where, problem, cure)


def facts_of(samples: pa.Table, dataset: TrainingDataset) -> dict[str, Any]:
    """Return what the table of samples, and the report of it, make of the columns of the row."""
    digests = dataset_digests(samples)
    splits, report = split_counts(samples), dataset.quality_report
    return {
        "content_digest": digests["content"],
        "split_digest": digests["split"],
        "version_id": version_id(digests),
        "total_samples": sum(splits[name] for name in SPLITS),
        "splits": splits,
        "classes": class_counts(samples),
        "anomaly_ratio": report["anomaly_ratio"],
        "quality_score": report["quality_score"],
    }


def is_proved(facts: dict[str, Any], dataset: TrainingDataset) -> bool:
    """Tell whether the table of samples is the one that was published: version or digests say so."""
    digests = {name: facts[f"{name}_digest"] for name in ("content", "split")}
    return facts["version_id"] == dataset.version_id or all(
        digest == dataset.digests[name] for name, digest in digests.items()
    )
