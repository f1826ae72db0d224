"""The reference page of survey profiles, made from the model and from profiles.yaml."""

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from astrid_training.surveys.model import BandReference, Keywords, SurveyProfile, TimeKeyword
from astrid_training.surveys.profiles import profiles

__all__ = ["profiles_page"]

_PAGE = """# Survey profiles

A profile says how the files of one survey are read. How to write one:
[Add a survey](../how-to/add-a-survey.md).

## Surveys that are known

Others are read as `generic`. `like` takes any of these names.

| survey | arcsec a pixel | PSF FWHM, px | units | time scale |
| --- | --- | --- | --- | --- |
{surveys}

Units and time scale are those that count where the header names none. Where a number of a profile
comes from is said beside it in `astrid_training/surveys/profiles.yaml`.

{fields}
## Zero points from other keywords

| `zero_point_rule` | AB magnitude of one unit | where |
| --- | --- | --- |
| `photflam` | -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408, and + 2.5 log10(exposure in s) where pixels are not per second | units begin with electron, count or cps |
| `pixar_sr` | -6.10 - 2.5 log10(PIXAR_SR) | units are MJy/sr |
| `njy` | 31.4 | units are nJy |
"""
TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Fields", SurveyProfile),
    ("`keywords`", Keywords),
    ("`times`, each", TimeKeyword),
    ("`reference_values`, each band", BandReference),
)


def profiles_page() -> str:
    """Return the Markdown page of the fields of a profile and of the built-in surveys."""
    fields = "\n".join(_table(title, model) for title, model in TABLES)
    return _PAGE.format(surveys="\n".join(_surveys()), fields=fields)


def _surveys() -> Iterator[str]:
    for name, kinds in sorted(profiles(None).items()):
        profile = kinds["raw"]
        cells = (
            *(f"`{name}`", f"{profile.pixel_scale_arcsec:g}", f"{profile.psf_fwhm_px:g}"),
            *(profile.units or "", profile.time_scale or ""),
        )
        yield f"| {' | '.join(cells)} |"


def _table(title: str, model: type[BaseModel]) -> str:
    said = " ".join((model.__doc__ or "").split())
    lines = [f"## {title}", "", said, "", "| field | default | meaning |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if name == "name":  # the key under which the profile stands
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "needed" if default is PydanticUndefined else _value(default)
        meaning = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {shown} | {meaning} |")
    return "\n".join(lines) + "\n"


def _value(default: object) -> str:
    return "none" if default in (None, (), {}) or isinstance(default, BaseModel) else f"`{default}`"
