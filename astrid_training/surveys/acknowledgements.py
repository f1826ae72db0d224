"""Whom to thank for a survey's images, and whose they are: in our words, with where theirs stand."""

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

__all__ = ["Acknowledgement", "acknowledgement"]

SIMULATED = "sim_"


class Acknowledgement(BaseModel):
    """What a card says of a survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """In full."""
    thanks: str
    """A short statement of ours."""
    text: str | None = None
    """Address of the survey's own words, which a publication must take."""
    more: str | None = None
    """Address of how its data are cited and had."""
    rights: str
    """Which data are public."""


def acknowledgement(survey: str) -> Acknowledgement:
    """Return what is known of the survey of this name, in any case."""
    name = survey.strip().casefold()
    if name.startswith(SIMULATED):
        return Acknowledgement(
            name=f"{survey}, simulated",
            thanks="Made by `astrid-training simulate`: no telescope took it, there is nobody to thank.",
            rights="Free to use.",
        )
    unknown = Acknowledgement(
        name=survey,
        thanks="How this survey wants to be acknowledged is not known here: ask who runs it.",
        rights="Not known here.",
    )
    return _known().get(name, unknown)


@cache
def _known() -> dict[str, Acknowledgement]:
    text = files(__package__).joinpath("acknowledgements.yaml").read_text(encoding="utf-8")
    return {name: Acknowledgement(**fields) for name, fields in yaml.safe_load(text).items()}
