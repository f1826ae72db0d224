"""The card of a dataset: one page of Markdown that tells what it is, and what it is not."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from astrid_training.cards.facts import Facts, facts_of
from astrid_training.params import OVERRIDES, PreprocessSpec
from astrid_training.quality_report import WEIGHTS
from astrid_training.records import TrainingDataset
from astrid_training.report import funnel_lines
from astrid_training.samples import SPLITS
from astrid_training.surveys.acknowledgements import acknowledgement

__all__ = ["citation", "write_card"]

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SIZE_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "n>1M")
ANNOTATORS = {"human": "expert-generated", "machine": "machine-generated"}
MEANS = re.compile(
    r"([\\`*{}\[\]<>#|~]|(?<!\w)_|_(?!\w))"
)  # what Markdown reads as more than a letter


def write_card(dataset: TrainingDataset, samples: pa.Table) -> str:
    """Return the card of a dataset; the same dataset gives the same text.

    It tells nothing that changes later, such as the status.

    Args:
        dataset: its row in the database.
        samples: its samples table.
    """
    facts = facts_of(samples)
    spec = PreprocessSpec(**dataset.preprocess_spec)
    report = dataset.quality_report
    return (
        _templates()
        .get_template("card.md.j2")
        .render(
            front=_front_matter(dataset, facts),
            dataset=dataset,
            facts=facts,
            spec=spec,
            splits=SPLITS,
            report=report,
            weights=WEIGHTS,
            overrides=sorted(set(OVERRIDES) & set(report.get("overrides", ()))),
            reviews=report.get("reviews") or {},
            leaks=report.get("leaks") or {},
            funnel=funnel_lines(dataset.funnel),
            params=dataset.collection_params,
            thanks=[acknowledgement(survey) for survey in facts.surveys],
            citation=citation(dataset),
        )
    )


def citation(dataset: TrainingDataset) -> str:
    """Return how a publication cites the dataset, as BibTeX."""
    fields = {
        "title": f"{dataset.name}, version {dataset.version_id}",
        "author": f"{{{dataset.created_by}}}",
        "year": f"{dataset.created_at:%Y}",
        "howpublished": "astrid-training dataset",
        "note": f"content digest {dataset.digests['content']}",
    }
    lines = (f"  {name} = {{{_of_bibtex(value)}}}," for name, value in fields.items())
    return "\n".join([f"@misc{{astrid-{dataset.version_id},", *lines, "}"])


def _of_bibtex(text: str) -> str:
    return re.sub(r"([#$%&_\\])", r"\\\1", " ".join(text.split()))


def _front_matter(dataset: TrainingDataset, facts: Facts) -> str:
    """Return what the hub of Hugging Face, and who reads like it, takes from a card."""
    sources = [ANNOTATORS[name] for name in facts.label_sources if name in ANNOTATORS]
    told = {
        "pretty_name": " ".join(dataset.name.split()),
        "license": "other",
        "license_name": "data-rights-of-the-surveys",
        "task_categories": ["image-classification", "image-segmentation"],
        "tags": ["astronomy", "transients", "difference-imaging", *facts.surveys],
        "size_categories": [_size(facts.samples)],
        "annotations_creators": sources or ["no-annotation"],
        "version": dataset.version_id,
        "dataset_info": {
            "splits": [
                {"name": split, "num_examples": dataset.splits.get(split, 0)} for split in SPLITS
            ]
        },
    }
    text: str = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)
    return text.rstrip()


def _size(samples: int) -> str:
    return SIZE_NAMES[sum(samples >= limit for limit in SIZES)]


def plain(text: object) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return MEANS.sub(r"\\\1", " ".join(str(text).split()))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{plain(name)} ({count})" for name, count in counts.items()) or "none"


def _named(values: Iterable[Any]) -> str:
    return ", ".join(plain(value) for value in values) or "none"


@cache
def _templates() -> Environment:
    templates = Environment(  # noqa: S701 - Markdown, not HTML; `plain` takes its place
        loader=PackageLoader("astrid_training"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {
        "plain": plain,
        "counts": _listed,
        "names": _named,
        "number": lambda value: "unknown" if value is None else f"{value:.3f}",
        "percent": lambda value: f"{value:.1%}",
    }
    return templates
