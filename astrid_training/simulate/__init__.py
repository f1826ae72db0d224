"""A sky with known truth: frames, catalogues and reviews that look like a survey's."""

from astrid_training.simulate.layouts import LAYOUTS, Layout
from astrid_training.simulate.plan import PlanError, SkyPlan
from astrid_training.simulate.rows import SurveyNameTakenError
from astrid_training.simulate.survey import SimulationReport, simulate

__all__ = [
    "LAYOUTS",
    "Layout",
    "PlanError",
    "SimulationReport",
    "SkyPlan",
    "SurveyNameTakenError",
    "simulate",
]
