"""Every failure that a caller may want to tell apart; each says its cause and its cure."""

from collections.abc import Mapping

__all__ = [
    "CacheFullError",
    "CollectionRefusedError",
    "DatabaseRightsError",
    "DatabaseUnavailableError",
    "DatasetDamagedError",
    "DatasetNotFoundError",
    "DatasetRevokedError",
    "ExportRefusedError",
    "FitsRefusedError",
    "FolderNotAllowedError",
    "ForeignStoreError",
    "FunnelError",
    "GateFailedError",
    "GoldenVectorError",
    "MissingObjectError",
    "ModelNotFoundError",
    "ParityError",
    "PredictionRefusedError",
    "ProcessorError",
    "StoreCorruptError",
    "SurveyProfileError",
    "UnusablePathError",
    "WorkerLostError",
    "WorkerTimeoutError",
]


class DatabaseUnavailableError(ConnectionError):
    """PostgreSQL does not answer, or is not migrated."""


class DatabaseRightsError(PermissionError):
    """PostgreSQL answers, but the role may not do what was asked."""


class MissingObjectError(FileNotFoundError):
    """An object that a record names is not in the store."""


class ForeignStoreError(ValueError):
    """Store and database do not belong together."""


class StoreCorruptError(ValueError):
    """An object's bytes are not those its digest promises."""


class DatasetDamagedError(StoreCorruptError):
    """Objects of a dataset are missing or damaged.

    Attributes:
        objects: key of each, and what is wrong with it: missing or damaged.
    """

    def __init__(self, name: str, objects: Mapping[str, str]) -> None:
        wrong = ", ".join(f"{key} is {problem}" for key, problem in objects.items())
        super().__init__(f"dataset {name}: {wrong}; collect again: it will be rebuilt")
        self.objects = dict(objects)


class CacheFullError(OSError):
    """A dataset does not fit where copies of datasets may lie on this machine."""


class UnusablePathError(ValueError):
    """A path of the database under which no file can be had.

    Attributes:
        reason: a short code for the funnel.
    """

    reason = "unusable_path"


class FolderNotAllowedError(UnusablePathError):
    """A file of this machine in none of the folders that the operator has listed."""

    reason = "folder_not_allowed"


class FitsRefusedError(ValueError):
    """A file was refused before, or while, its pixels were read.

    Attributes:
        reason: a short code for the funnel and the quarantine, such as `truncated`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SurveyProfileError(ValueError):
    """A survey's profile cannot be understood."""

    def __init__(self, path: object, survey: str | None, problem: str) -> None:
        place = f"{path}: survey {survey}" if survey else str(path)
        super().__init__(f"{place}: {problem}; correct the file")
        self.survey = survey


class ParityError(ValueError):
    """Pixels were preprocessed by another spec than the one at hand."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(
            f"preprocessing differs: expected spec {expected[:12]}, got {got[:12]}; "
            "collect the dataset again with this version's spec, or use the version that made it"
        )
        self.expected = expected
        self.got = got


class ProcessorError(ValueError):
    """A dotted path leads to no class that prepares pixels."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"processor {path}: {problem}")
        self.path = path


class ModelNotFoundError(LookupError):
    """No trained network has this name."""


class PredictionRefusedError(ValueError):
    """A network cannot be asked in this way."""


class GoldenVectorError(RuntimeError):
    """This installation makes other pixels than those that are known to be right."""


class CollectionRefusedError(ValueError):
    """The parameters cannot describe a collection."""


class FunnelError(AssertionError):
    """Kept and dropped subjects do not add up to the selected ones: a bug, never a result."""


class GateFailedError(ValueError):
    """A dataset was refused for its content.

    Attributes:
        reasons: one sentence per failed gate, each with its cure.
    """

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("dataset refused: " + "; ".join(reasons))
        self.reasons = reasons


class DatasetNotFoundError(LookupError):
    """No published dataset has this id, version or name."""


class DatasetRevokedError(PermissionError):
    """The dataset was withdrawn and is only loaded on explicit demand."""


class ExportRefusedError(ValueError):
    """Nothing can, or may, be exported as it was asked for."""


class WorkerLostError(ConnectionError):
    """A worker process ended before it answered; what it did can be asked of another one."""


class WorkerTimeoutError(TimeoutError):
    """A worker process gave no answer in its time and was killed."""
