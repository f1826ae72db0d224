"""What reviewers' words mean: a versioned list of classes and their spellings."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

from astrid_training.digests import digest_bytes

__all__ = ["Meaning", "Taxonomy", "taxonomy"]

LONGEST = 1000
"""Characters of a label that are looked at; normalised they may be 18 times as many."""

Axis = Literal["real", "bogus", "abstain", "unmapped"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one label says."""

    name: str | None
    """The class; None when the word is not known."""
    axis: Axis
    doubtful: bool
    """True when the label ended in a question mark."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """One version of the list."""

    version: int
    digest: str
    axes: dict[str, Axis]
    """Class -> real, bogus or abstain."""
    spellings: dict[str, str]
    """Normalised text -> class."""

    def meaning(self, label: str | None) -> Meaning:
        """Return what `label` means; no label abstains, an unknown word is `unmapped`."""
        text = unicodedata.normalize("NFKC", (label or "")[:LONGEST]).casefold().strip()
        doubtful = len(text) > 1 and text.endswith("?")
        word = re.sub(r"[\s_\-/.]+", "_", text.rstrip("?").strip()).strip("_")
        name = self.spellings.get(word)
        return Meaning(name, "unmapped" if name is None else self.axes[name], doubtful)

    @property
    def real_classes(self) -> list[str]:
        """The classes of real changes, sorted."""
        return sorted(name for name, axis in self.axes.items() if axis == "real")


@cache
def taxonomy() -> Taxonomy:
    """Return this version's taxonomy."""
    data = files("astrid_training").joinpath("taxonomy.yaml").read_bytes()
    content = yaml.safe_load(data)
    axes: dict[str, Axis] = {name: entry["axis"] for name, entry in content["classes"].items()}
    spellings = {name: name for name in axes}
    for name, words in content["aliases"].items():
        spellings.update(dict.fromkeys(words, name))
    for word, name in content["detection_types"].items():
        spellings[word.casefold()] = name
    return Taxonomy(content["version"], digest_bytes(data), axes, spellings)
