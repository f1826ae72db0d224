"""The card and the Croissant document that lie in the store beside a dataset."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

import pyarrow as pa

from astrid_training.cards.card import write_card
from astrid_training.cards.croissant import ListedFile, ListedFiles, croissant_document
from astrid_training.packs import pack_key
from astrid_training.presence import PACKS
from astrid_training.records import TrainingDataset
from astrid_training.store import Store

__all__ = ["CARD", "CROISSANT", "as_json", "card_key", "documents", "put_documents"]

CARD, CROISSANT = "README.md", "croissant.json"
UP = "../../"  # from the folder of the documents to the store's own
NPY = "application/x-npy"


def card_key(dataset_id: UUID, name: str) -> str:
    """Return the object key of a document, `CARD` or `CROISSANT`, of a dataset."""
    return f"cards/{dataset_id}/{name}"


def documents(dataset: TrainingDataset, samples: pa.Table, store: Store) -> dict[str, bytes]:
    """Return the documents by name; the same dataset gives the same bytes, now and years later.

    Of all files only the samples table is read for its sum: it names the packs, and each pack's name
    is the sum of its bytes.

    Args:
        dataset: its row in the database.
        samples: its samples table.
        store: where they are.

    Raises:
        MissingObjectError: if the store lacks the table.
    """
    table = store.get(dataset.samples_key)
    listed = ListedFile(
        f"{UP}{dataset.samples_key}",
        len(table),
        sha256(table).hexdigest(),
        description="One row a sample: labels, splits, positions, metrics, and where its pixels are.",
    )
    packs = [some for kind in PACKS if (some := _packs(kind, samples)).paths]
    document = croissant_document(dataset, samples, listed, packs)
    return {CARD: write_card(dataset, samples).encode(), CROISSANT: as_json(document)}


def put_documents(dataset_id: UUID, written: Mapping[str, bytes], store: Store) -> list[str]:
    """Write the documents of a dataset, by name, into the store and return their keys."""
    keys = {name: card_key(dataset_id, name) for name in written}
    for name, data in written.items():
        store.put(keys[name], data)
    return list(keys.values())


def as_json(document: dict[str, Any]) -> bytes:
    """Return a document as JSON for people."""
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()


def _packs(kind: str, samples: pa.Table) -> ListedFiles:
    digests = samples[f"{kind.removesuffix('s')}_pack"].unique().drop_null().to_pylist()
    return ListedFiles(
        kind,
        [f"{UP}{pack_key(kind, digest)}" for digest in sorted(digests)],
        NPY,
        f"Arrays of many samples' {kind}; which rows are whose, the samples table says. A file's name "
        "is the blake2b-256 of its bytes (`b2sum -l 256`).",
    )
