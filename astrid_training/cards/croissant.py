"""A dataset in the words of Croissant 1.1, JSON-LD that tools and search engines read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from astrid_training.cards.card import citation
from astrid_training.cards.facts import Counts, Facts, facts_of
from astrid_training.records import TrainingDataset
from astrid_training.samples import COLUMNS, SPLITS
from astrid_training.surveys.acknowledgements import acknowledgement

__all__ = ["ListedFile", "ListedFiles", "croissant_document"]

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The vocabulary, as the specification gives it."""
PARQUET = "application/x-parquet"
TYPES: dict[pa.DataType, str] = {
    pa.string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float64(): "cr:Float64",
}
TABLE, SPLIT_SET = "samples-table", "splits"
FUSION = (
    "Reviews of a subject are fused into its probability of being real; no model's score counts."
)
UNSEEN = "What the model never found is not here."
NO_PHOTOMETRY = "Pixel values are scaled stamp by stamp: no photometry on them."
MEANINGS = {column.name: column.meaning for column in COLUMNS}
USES = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that is listed with its sum."""

    path: str
    """Relative to where the document lies."""
    size: int
    """Bytes."""
    sha256: str
    format: str = PARQUET
    description: str = ""


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """Files that are listed by name."""

    name: str
    paths: Sequence[str]
    """Or patterns, relative to where the document lies."""
    format: str
    description: str


def croissant_document(
    dataset: TrainingDataset,
    samples: pa.Table,
    table: ListedFile,
    others: Iterable[ListedFile | ListedFiles] = (),
) -> dict[str, Any]:
    """Return the document; the same dataset and files give the same one.

    Args:
        dataset: its row in the database.
        samples: the table that is described, column by column.
        table: where that table lies.
        others: the other files.
    """
    facts = facts_of(samples)
    thanked = [acknowledgement(survey) for survey in facts.surveys]
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": dataset.name,
        "description": _description(dataset, facts),
        "version": f"{dataset.format_version}.0.0+{dataset.version_id}",
        "datePublished": f"{dataset.created_at:%Y-%m-%dT%H:%M:%S}",
        "creator": {"@type": "sc:Person", "name": dataset.created_by},
        "keywords": ["astronomy", "transients", "difference imaging", *facts.surveys],
        "license": _license(thanked),
        "citeAs": citation(dataset),
        "sameAs": f"urn:uuid:{dataset.id}",
        **_responsible(dataset, facts),
        "distribution": [_table(table), *(_distribution(one) for one in others)],
        "recordSet": [_splits(samples), _records(samples)],
    }
    return {name: value for name, value in document.items() if value}


def _description(dataset: TrainingDataset, facts: Facts) -> str:
    about = f"{dataset.description.strip()} " if dataset.description else ""
    return (
        f"{about}{facts.samples} stamps of {', '.join(facts.surveys)}: detections that people judged "
        f"to be of the sky or not, with masks and labels. Version {dataset.version_id} names the "
        f"content; the samples table says which rows of which files are whose."
    )


def _license(thanked: Sequence[Any]) -> list[str]:
    """Return where the surveys say what may be done with their images."""
    places = sorted({one.more for one in thanked if one.more})
    return places or ["No licence is stated: ask who made the dataset"]


def _responsible(dataset: TrainingDataset, facts: Facts) -> dict[str, Any]:
    """Return what the vocabulary of responsible AI asks."""
    spec = dataset.preprocess_spec
    period = [f"{at:%Y-%m-%dT%H:%M:%S}" for at in (facts.first, facts.last) if at is not None]
    labelled = f"Labelled by: {_words(facts.label_sources)}."
    prepared = f"Scale {spec.get('scale')}, sky {spec.get('background')}."
    rights = f"Samples by programme: {_words(facts.programs)}."
    embargo = f"{facts.embargoed} samples have a date before which they are not public."
    told = {
        "dataCollection": "Detections of AstrID's model that people reviewed, with their images.",
        "dataCollectionTimeFrame": period,
        "dataAnnotationProtocol": [FUSION, labelled],
        "annotationsPerItem": f"Samples by votes that count: {_words(facts.votes)}",
        "dataPreprocessingProtocol": [prepared, f"Fingerprint {dataset.spec_fingerprint}."],
        "dataImputationProtocol": "Missing pixels are 0, and 255 in the mask.",
        "dataBiases": [
            *(
                f"Why they are in: {why} ({count}): {means}"
                for why, count, means in facts.selected_for
            ),
            "The share of real ones is that of what was reviewed, not that of the sky.",
        ],
        "dataLimitations": [UNSEEN, NO_PHOTOMETRY, rights, embargo],
        "dataUseCases": ["Telling real from bogus detections and drawing their footprints."],
        "personalSensitiveInformation": ["Column votes, where it is there, names reviewers."],
        "dataReleaseMaintenancePlan": "A version never changes; a newer one supersedes it.",
    }
    return {f"rai:{name}": value for name, value in told.items()}


def _words(counts: Counts) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _table(file: ListedFile) -> dict[str, Any]:
    return {**_distribution(file), "@id": TABLE, "name": "samples.parquet"}


def _distribution(one: ListedFile | ListedFiles) -> dict[str, Any]:
    if isinstance(one, ListedFiles):
        return {
            "@type": "cr:FileSet",
            "@id": one.name,
            "name": one.name,
            "description": one.description,
            "encodingFormat": one.format,
            "includes": list(one.paths),
        }
    return {
        "@type": "cr:FileObject",
        "@id": one.path,
        "name": one.path.rpartition("/")[2],
        "description": one.description,
        "contentUrl": one.path,
        "contentSize": f"{one.size} B",
        "encodingFormat": one.format,
        "sha256": one.sha256,
    }


def _splits(samples: pa.Table) -> dict[str, Any]:
    """Return the splits that the table has, each with its meaning."""
    present = set(samples["split"].to_pylist())
    names = [*SPLITS, *sorted(present - set(SPLITS))]
    return {
        "@type": "cr:RecordSet",
        "@id": SPLIT_SET,
        "name": SPLIT_SET,
        "description": "Splits follow the sky and are kept for ever; do not shuffle them.",
        "dataType": "cr:Split",
        "key": {"@id": f"{SPLIT_SET}/name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{SPLIT_SET}/name",
                "name": "name",
                "description": "train, val or test; quarantine is shown by no loader",
                "dataType": "sc:Text",
            },
            {
                "@type": "cr:Field",
                "@id": f"{SPLIT_SET}/url",
                "name": "url",
                "description": "what it is for, in the vocabulary of Croissant",
                "dataType": "sc:URL",
            },
        ],
        "data": [{f"{SPLIT_SET}/name": name, f"{SPLIT_SET}/url": USES.get(name)} for name in names],
    }


def _records(samples: pa.Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "One row a sample, sorted by sample_key.",
        "key": {"@id": "samples/sample_key"},
        "field": [_field(column) for column in samples.schema],
    }


def _field(column: pa.Field) -> dict[str, Any]:
    field = {
        "@type": "cr:Field",
        "@id": f"samples/{column.name}",
        "name": column.name,
        "description": MEANINGS.get(column.name, "measured on the stamp"),
        "dataType": _type(column.type),
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": column.name}},
    }
    if column.name == "split":
        field["references"] = {"field": {"@id": f"{SPLIT_SET}/name"}}
    return field


def _type(kind: pa.DataType) -> str:
    return "sc:DateTime" if pa.types.is_timestamp(kind) else TYPES.get(kind, "sc:Text")
