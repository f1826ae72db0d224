"""What each survey's files mean, and frames read with that knowledge."""

from astrid_training.surveys.frames import Frame, FrameMeta, Kind, Role
from astrid_training.surveys.profiles import SurveyProfile, profile_for
from astrid_training.surveys.reader import read_frame

__all__ = ["Frame", "FrameMeta", "Kind", "Role", "SurveyProfile", "profile_for", "read_frame"]
