"""A folder that appears whole or not at all, and never in the place of what is not an export."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from astrid_training.errors import ExportRefusedError
from astrid_training.faults import fault_point

__all__ = ["MANIFEST", "whole_folder", "write_manifest"]

MANIFEST = "export.json"
KIND = "astrid-training export"
LONGEST_PREFIX = 100


@contextmanager
def whole_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the block a new folder beside `target`, which becomes `target` if the block ends well.

    Else it is removed, and what was at `target` is untouched.

    Args:
        target: must not be there, or be an empty folder.
        overwrite: an export that was written here before, and nothing else, may be there too.

    Raises:
        ExportRefusedError: if something else is there.
        OSError: if the disk is full or the folder cannot be written.
    """
    target = Path(os.path.realpath(target))
    _check_target(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _new_folder(target, "partial")
    try:
        yield partial
        fault_point("export", "before")
        _put_in_place(partial, target, overwrite=overwrite)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # no longer there once it has become `target`


def write_manifest(folder: Path, document: dict[str, Any]) -> None:
    """Write what an export holds; as the last file, for it counts the others."""
    counted = {"kind": KIND, **document, "files": _count(folder) + 1}
    text = json.dumps(counted, indent=2, sort_keys=True, default=str)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ExportRefusedError(f"{target} is a file; name a folder that is not there yet")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise ExportRefusedError(
            f"{target} is not empty; name another folder, or replace an earlier export by --overwrite"
        )
    if not _is_export(target):
        raise ExportRefusedError(
            f"{target} holds files that no export wrote, and --overwrite would remove them; "
            "name another folder"
        )


def _is_export(folder: Path) -> bool:
    """Tell whether a folder holds an export and no file more."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("kind") == KIND and told["files"] == _count(folder)


def _count(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _new_folder(target: Path, what: str) -> Path:
    folder = Path(mkdtemp(dir=target.parent, prefix=f".{target.name[:LONGEST_PREFIX]}.{what}-"))
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)  # as any folder that a person makes
    return folder


def _put_in_place(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Rename the folder; a folder that is not empty stands in the way of that."""
    if not (overwrite and target.exists() and _is_export(target)):
        partial.rename(target)
        return
    aside = _new_folder(target, "old")
    try:
        former = target.rename(aside / "export")
        try:
            partial.rename(target)
        except OSError:
            former.rename(target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
