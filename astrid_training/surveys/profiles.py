"""The profiles of all surveys: profiles.yaml, and the user's own files over it."""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from astrid_training.errors import SurveyProfileError
from astrid_training.settings import training_home
from astrid_training.surveys.frames import Kind
from astrid_training.surveys.model import BandReference, SurveyProfile
from astrid_training.yaml_files import load_yaml

__all__ = ["FOLDER", "BandReference", "SurveyProfile", "profile_for", "profiles"]

FOLDER = "surveys"
"""Below the home; its `*.yaml` files hold the user's profiles."""
GENERIC = "generic"
KINDS: tuple[Kind, ...] = get_args(Kind)

Fields = dict[str, Any]
Profiles = Mapping[str, Mapping[Kind, SurveyProfile]]


def profile_for(survey: str, kind: Kind = "raw") -> SurveyProfile:
    """Return the profile of the survey of this name (any case), `generic` where there is none.

    Files of the user are read once a process.

    Args:
        survey: as in the database.
        kind: what the file is: a raw or processed frame, or a stamp that a survey cut itself.

    Raises:
        SurveyProfileError: if a file of the user cannot be understood.
    """
    return _profile(survey, kind, os.environ.get("ASTRID_TRAINING_HOME"))


@cache  # asked for once a row; the home is in the key, since tests and notebooks change it
def _profile(survey: str, kind: Kind, home: str | None) -> SurveyProfile:
    known = profiles(training_home(home))
    return known.get(survey.strip().casefold(), known[GENERIC])[kind]


@cache
def profiles(home: Path | None) -> Profiles:
    """Return all profiles by survey and kind, those of the user in `home` over the built-in ones.

    Args:
        home: of the stack; None: the built-in profiles alone.

    Raises:
        SurveyProfileError: if a file of the user cannot be understood.
    """
    packaged = files(__package__).joinpath("profiles.yaml").read_text(encoding="utf-8")
    known: dict[str, Mapping[Kind, SurveyProfile]] = {}
    built_in: dict[str, Fields] = {}
    for name, fields in _entries(packaged, "profiles.yaml"):
        built_in[name] = _derived(name, fields, built_in, "profiles.yaml")
        known[name] = _validated(name, built_in[name], "profiles.yaml")
    own: dict[str, Path] = {}
    for path in sorted((home / FOLDER).glob("*.yaml")) if home else ():
        for name, fields in _entries(_text(path), str(path)):
            if name in own:
                raise SurveyProfileError(path, name, f"stands in {own[name]} as well; keep one")
            own[name] = path
            derived = _derived(name, fields, built_in, str(path))
            known[name] = _validated(name, derived, str(path))
    return MappingProxyType(known)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SurveyProfileError(path, None, f"is not UTF-8: {error}") from error
    except OSError as error:
        raise SurveyProfileError(path, None, f"cannot be read: {error.strerror}") from error


def _entries(text: str, where: str) -> Iterator[tuple[str, Fields]]:
    """Yield the surveys of a YAML document and their fields."""
    try:
        document = load_yaml(text) or {}
    except yaml.YAMLError as error:
        raise SurveyProfileError(where, None, f"is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise SurveyProfileError(where, None, "holds no mapping of survey names to their fields")
    for name, fields in document.items():
        if not isinstance(name, str) or not isinstance(fields, dict):
            raise SurveyProfileError(where, str(name), "a survey is a name and a mapping of fields")
        yield name.strip().casefold(), dict(fields)


def _derived(name: str, fields: Fields, built_in: Mapping[str, Fields], where: str) -> Fields:
    """Return the fields with those of the profile that `like` names underneath."""
    like = fields.pop("like", None)
    if like is None:
        return fields
    if like not in list(built_in):  # a list cannot be looked up in a mapping
        raise SurveyProfileError(where, name, f"like: {like!r} is none of {sorted(built_in)}")
    return _merged(built_in[like], fields)


def _merged(below: Fields, above: Fields) -> Fields:
    """Return the fields of both; where both hold a mapping, that is merged, else `above` wins."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merged(old, value) if both else value  # type: ignore[arg-type]  # both dicts
    return merged


def _validated(name: str, fields: Fields, where: str) -> Mapping[Kind, SurveyProfile]:
    """Return the profile of each kind of file."""
    own = dict(fields)
    kinds = own.pop("kinds", {})
    if not isinstance(kinds, dict) or not set(kinds) <= set(KINDS):
        raise SurveyProfileError(where, name, f"kinds: give fields for some of {', '.join(KINDS)}")
    found: dict[Kind, SurveyProfile] = {}
    for kind in KINDS:
        above = kinds.get(kind, {})
        if not isinstance(above, dict):
            raise SurveyProfileError(where, name, f"kinds.{kind}: give a mapping of fields")
        try:
            found[kind] = SurveyProfile(**{**_merged(own, above), "name": name})
        except ValidationError as error:
            raise SurveyProfileError(where, name, _problems(error)) from error
    return MappingProxyType(found)


def _problems(error: ValidationError) -> str:
    """Return which fields are wrong, and how."""
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg'].lower()} (it is {one['input']!r})"
        for one in error.errors(include_url=False)
    )
