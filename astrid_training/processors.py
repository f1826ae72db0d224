"""Which class prepares pixels, ours or one that a dotted path names, and the name of the result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from astrid_training.digests import digest_value
from astrid_training.errors import ParityError, ProcessorError
from astrid_training.params import DEFAULT_PROCESSOR, PreprocessSpec
from astrid_training.processor import ALGORITHMS, ExposureFrames, check_parity, fingerprint
from astrid_training.records import TrainingDataset
from astrid_training.stamps import Stamps

__all__ = ["Processor", "Recipe", "recipe_of"]

Floats = NDArray[np.float64]


class Processor(Protocol):
    """Makes stamps. Pure: equal inputs give equal bits, whatever was made before or beside them.

    Its class is called with a `PreprocessSpec`. A class that is not ours has a `VERSION`, a text or
    a whole number, which its author changes whenever a pixel may change.
    """

    @property
    def spec(self) -> PreprocessSpec:
        """What it was made with: at least channels, size and margin of the stamps hold for it."""

    def apply_many(
        self, frames: ExposureFrames, x: Floats, y: Floats, fwhm_px: float | None = None
    ) -> Stamps:
        """Return one stamp per position; see `AstronomicalImageProcessor.apply_many`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pixels are prepared: by which class, from which spec, and what names the result.

    It is what travels between steps and machines, and what stands with a dataset.
    """

    processor: str
    """`package.module:Class`."""
    spec: PreprocessSpec
    fingerprint: str
    """64 hex digits: over spec and algorithms, and for a class that is not ours its path and VERSION."""

    @classmethod
    def of(cls, processor: str, spec: PreprocessSpec) -> Self:
        """Return the recipe as this installation follows it.

        Raises:
            ProcessorError: if the path leads to no class with a version.
        """
        return cls(processor, spec, _fingerprint(processor, spec))

    @classmethod
    def stored(cls, processor: str | None, spec: Mapping[str, Any], fingerprint: str) -> Self:
        """Return a recipe that was written down, which this installation may or may not follow.

        Args:
            processor: None where only our own class could be meant.
            spec: fields of a `PreprocessSpec`.
            fingerprint: what names the pixels that were made.

        Raises:
            ParityError: if this version knows no such spec.
        """
        try:
            return cls(processor or DEFAULT_PROCESSOR, PreprocessSpec(**spec), fingerprint)
        except ValidationError as error:
            raise ParityError(fingerprint, "none at all") from error

    @property
    def reach(self) -> PreprocessSpec | None:
        """What tells which pixels stamps depend on; None where a class of others may look at all."""
        return self.spec if self.processor == DEFAULT_PROCESSOR else None

    def check(self) -> None:
        """Return if this installation prepares pixels as the recipe does.

        Raises:
            ParityError: if it would prepare them in another way.
            ProcessorError: as `of`.
        """
        check_parity(self.fingerprint, _fingerprint(self.processor, self.spec))

    def load(self) -> Processor:
        """Return the processor.

        Raises:
            ParityError: if this installation would prepare pixels in another way.
            ProcessorError: if the path leads to no class, or what it makes is no processor.
        """
        self.check()
        made_by = _load_class(self.processor)
        try:
            made = made_by(self.spec)
        except TypeError as error:
            raise ProcessorError(
                self.processor, f"cannot be made from a PreprocessSpec alone: {error}"
            ) from error
        return _checked(self.processor, made, self.spec)


def recipe_of(dataset: TrainingDataset) -> Recipe:
    """Return how a dataset's pixels were prepared.

    Raises:
        ParityError: if the dataset has a spec that this version does not know.
    """
    processor = dataset.collection_params.get("processor")
    return Recipe.stored(processor, dataset.preprocess_spec, dataset.spec_fingerprint)


def _fingerprint(path: str, spec: PreprocessSpec) -> str:
    if path == DEFAULT_PROCESSOR:
        return fingerprint(spec)
    version = getattr(_load_class(path), "VERSION", None)
    if isinstance(version, bool) or not isinstance(version, str | int) or version == "":
        raise ProcessorError(
            path,
            f"VERSION is {version!r}; give the class a text or a number there, and change it "
            "whenever a pixel may change",
        )
    # ours count as well: such a class may build on them, or lean on what they measure
    return digest_value(
        {
            "spec": spec.model_dump(mode="json"),
            "algorithms": dict(ALGORITHMS),
            "processor": [path, version],
        }
    )


def _load_class(path: str) -> Callable[[PreprocessSpec], Any]:
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except (ImportError, SyntaxError, ValueError) as error:
        raise ProcessorError(
            path,
            f"{module} cannot be imported ({error}); install its package wherever collections, "
            "trainings and inference run, or correct the path",
        ) from error
    if not isinstance(found, type):
        raise ProcessorError(
            path, f"{module} has no class {name!r}; write the path as package.module:Class"
        )
    return found


def _checked(path: str, made: Any, spec: PreprocessSpec) -> Processor:  # noqa: ANN401 - a stranger's object
    lacking = [name for name in ("apply_many", "spec") if not hasattr(made, name)]
    if lacking or not callable(made.apply_many):
        raise ProcessorError(
            path,
            f"no {' and no '.join(lacking or ['callable apply_many'])}; it needs "
            "apply_many(frames, x, y, fwhm_px) and spec, as astrid_training.processors.Processor says",
        )
    shape = ("channels", "stamp_size", "margin")
    if any(getattr(made.spec, name, None) != getattr(spec, name) for name in shape):
        raise ProcessorError(
            path, f"its spec has other {', '.join(shape)} than it was made with; keep those"
        )
    processor: Processor = made
    return processor
