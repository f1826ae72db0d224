"""What to simulate: every knob, its default, and the random streams that hang on them."""

import json
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import blake2b
from uuid import UUID, uuid5

import numpy as np

from astrid_training.simulate.layouts import LAYOUTS, Layout

__all__ = ["PlanError", "SkyPlan", "Stream"]

NAMESPACE = UUID("6f1d8f0e-5c1b-5c77-9d0a-3a5b8f2f4c11")  # of all simulated rows; never change it
SMALLEST_SIDE_PX = 160


class PlanError(ValueError):
    """A knob of the plan has a value that no sky can be made with."""


class Stream(IntEnum):
    """One random stream per field and purpose, so that more of one thing moves no other."""

    CONDITIONS = 1
    STARS = 2
    SOURCES = 3
    ARTIFACTS = 4
    REFERENCE = 5
    DETECTIONS = 6
    REVIEWS = 7
    REVIEWERS = 8
    EPOCHS = 9
    NOISE = 100
    """Of epoch n: this plus n."""


@dataclass(frozen=True, slots=True)
class SkyPlan:
    """A simulated survey. Equal plans make equal bytes and rows.

    A plan with more fields repeats the smaller one and adds to it; any other change of a knob
    gives other ids and object keys, so skies of several plans can lie in one database.
    """

    survey: str = "sim_ztf"
    """`surveys.name`: keeps simulated rows apart from real ones."""
    layout: str = "ztf"
    """A key of `LAYOUTS`."""
    seed: int = 1
    fields: int = 18
    """Places on the sky, each with a reference frame of its own."""
    epochs: int = 5
    """Science frames a field: pairs 45 minutes apart, nights some days apart."""
    frame_size: tuple[int, int] = (512, 480)
    """(height, width) in pixels."""
    start: datetime = datetime(2024, 3, 1, tzinfo=UTC)
    """The first night. References are 60 days older."""
    stars: int = 170
    """Unsaturated field stars a field."""
    galaxies: int = 70
    """A field, beside the hosts of supernovae."""
    saturated_stars: int = 3
    """With bleed columns, a field."""
    transients: int = 3
    """Supernovae a field."""
    variables: int = 3
    """Variable stars a field."""
    asteroids: int = 5
    """Crossing a field during all epochs; each is seen once or twice."""
    artifacts: int = 6
    """A science frame."""
    reviewers: int = 9
    reviews_per_subject: float = 1.8
    """Mean number of people who review a reviewed subject; at least one does."""
    unreviewed_share: float = 0.2
    legacy_share: float = 0.02
    """Subjects decided before reviews were recorded: status and label, but no event."""
    single_reviewer: bool = False
    """One person, one review a subject, no levels, no legacy rows."""

    def __post_init__(self) -> None:
        """Check the knobs.

        Raises:
            PlanError: naming the knob and the values it may have.
        """
        at_least = {
            "fields": 1,
            "epochs": 1,
            "seed": 0,
            "reviewers": 1,
            "reviews_per_subject": 1,
            "stars": 20,
            "galaxies": 0,
            "saturated_stars": 1,
            "transients": 0,
            "variables": 0,
            "asteroids": 0,
            "artifacts": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise PlanError(f"{name} is {getattr(self, name)}: give {least} or more")
        for name in ("unreviewed_share", "legacy_share"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise PlanError(f"{name} is {getattr(self, name)}: give a share from 0 to 0.5")
        if min(self.frame_size) < SMALLEST_SIDE_PX:
            raise PlanError(f"frame_size is {self.frame_size}: give sides >= {SMALLEST_SIDE_PX} px")
        if self.layout not in LAYOUTS:
            raise PlanError(f"layout is {self.layout!r}: give one of {', '.join(LAYOUTS)}")
        if self.start.tzinfo is None:
            raise PlanError("start has no time zone: give one, such as UTC")
        if not self.survey or not self.survey.replace("_", "").isalnum():
            raise PlanError(f"survey is {self.survey!r}: give letters, digits and underscores")

    @property
    def instrument(self) -> Layout:
        """The layout that the plan names."""
        return LAYOUTS[self.layout]

    def named(self, survey: str, layout: str | None = None) -> "SkyPlan":
        """Return this plan for the survey of this name, with frames as its layout has them.

        Args:
            survey: `surveys.name`.
            layout: a key of `LAYOUTS`; None: the one that the survey is named after, such as
                hst for hst and sim_hst.

        Raises:
            PlanError: if there is no such layout.
        """
        chosen = layout or survey.casefold().removeprefix("sim_")
        if chosen not in LAYOUTS:
            raise PlanError(
                f"survey {survey!r}: no layout is named {chosen!r}: give one of "
                f"{', '.join(LAYOUTS)} as layout, or a survey one of these names"
            )
        size = LAYOUTS[chosen].frame_size
        return replace(self, survey=survey, layout=chosen, frame_size=size)

    @property
    def key(self) -> str:
        """Seed and digest of all knobs but the number of fields: part of every id and path."""
        knobs = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "fields"}
        canonical = json.dumps(
            knobs | {"is": self.instrument.identity}, sort_keys=True, default=str
        )
        return f"s{self.seed}-{blake2b(canonical.encode(), digest_size=4).hexdigest()}"

    def row_id(self, *names: object) -> UUID:
        """Return the id of the row that `names` name within this plan."""
        return uuid5(NAMESPACE, "|".join(map(str, (self.survey, self.key, *names))))

    def survey_wide_id(self, *names: object) -> UUID:
        """Return the id of a row that all plans of this survey share."""
        return uuid5(NAMESPACE, "|".join(map(str, (self.survey, *names))))

    def random(self, field: int, stream: int) -> np.random.Generator:
        """Return a fresh generator for one purpose in one field (-1: the whole survey)."""
        sky = self.instrument.sky
        return np.random.default_rng([self.seed, field + 1, stream, *([sky] if sky else [])])
