"""Small simulated skies that many tests share."""

from dataclasses import replace

from astrid_training.simulate import SkyPlan

__all__ = ["SMALL_SKY", "SMALL_SURVEY"]

SMALL_SKY = SkyPlan(fields=6, epochs=3, frame_size=(220, 260), stars=40, galaxies=10, artifacts=4)
"""What the fixture `sky` holds, and the fixture `lone_stack`."""

SMALL_SURVEY = replace(SMALL_SKY, survey="sim_small")
"""The same under a name of its own, what the fixture `ready` holds."""
