"""How well masks cover sources whose light is known: `python -m benchmarks.masks`.

Sources are drawn on noise at many brightnesses and places within a pixel. The truth is the least set
of pixels that holds 95 % of a source's light. The score is the median intersection over union.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.masks import BOGUS, REAL, Neighbours, Targets, make_masks
from astrid_training.params import MaskRule
from astrid_training.significance import FWHM_PER_SIGMA, significance
from benchmarks.rows import Row
from benchmarks.timing import interleave

__all__ = ["KINDS", "SIDES", "Scene", "make_scene", "overlap", "report", "table"]

SIDE, COUNT = 72, 400
FWHM_PX = (2.0, 4.5)
NOISE = 10.0
SNR = (8.0, 100.0)
"""Of a source in its PSF; evenly in the logarithm."""
SHARE = 0.95
CAPPED = MaskRule(trail_elongation=1e6)
DISK_ONLY = MaskRule(lit_sigma=1e6)
FIXED = MaskRule(lit_sigma=1e6, disk_fwhm=1e-6, min_radius_px=3.0)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
BLOCK = 32


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Stamps with a source each, and where its light is."""

    images: NDArray[np.float32]
    """(n, y, x) differences, noise included."""
    truth: Bools
    """(n, y, x): the pixels that hold 95 % of the source's light."""
    x: Floats
    y: Floats
    fwhm_px: Floats
    """Of the PSF; 32 stamps in a row share one, as those of an exposure do."""
    code: int
    """What reviewers would say."""
    moving: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Sky:
    """Where sources lie, how wide the PSF is and what they shine with; each is (n,)."""

    rng: np.random.Generator
    x: Floats
    y: Floats
    fwhm_px: Floats
    flux: Floats

    def light(self, dx: Floats, dy: Floats) -> Floats:
        """Return the light (n, y, x) of point sources that lie (dx, dy) from there."""
        offsets = np.arange(SIDE)
        sigma2 = _variance(self.fwhm_px)[:, None]
        columns = np.exp(-((offsets - (self.x + dx)[:, None]) ** 2) / 2 / sigma2)
        rows = np.exp(-((offsets - (self.y + dy)[:, None]) ** 2) / 2 / sigma2)
        peak = self.flux / (2 * np.pi * sigma2[:, 0])
        light: Floats = peak[:, None, None] * rows[:, :, None] * columns[:, None, :]
        return light

    def away(self, fwhm: tuple[float, float]) -> tuple[Floats, Floats]:
        """Return offsets (n,) in any direction, so many FWHM long."""
        angle = self.rng.uniform(0, 2 * np.pi, COUNT)
        length = self.fwhm_px * self.rng.uniform(*fwhm, COUNT)
        return length * np.cos(angle), length * np.sin(angle)


def _variance(fwhm_px: Floats) -> Floats:
    return (fwhm_px / FWHM_PER_SIGMA) ** 2 + 1 / 12  # of the PSF and the pixel


def _make_sky(seed: int) -> _Sky:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(SIDE / 2 - 0.5, SIDE / 2 + 0.5, (2, COUNT))
    fwhm = np.repeat(rng.uniform(*FWHM_PX, COUNT // BLOCK + 1), BLOCK)[:COUNT]
    snr = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), COUNT)) * rng.choice([-1, 1], COUNT)
    flux = snr * NOISE * np.sqrt(4 * np.pi * _variance(fwhm))
    return _Sky(rng, x, y, fwhm, flux)


def _held(light: Floats) -> Bools:
    """Return the brightest pixels of each light (n, y, x) that hold 95 % of it."""
    flat = np.abs(light).reshape(len(light), -1)
    order = np.argsort(-flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    before = ordered.cumsum(axis=1) - ordered
    held = np.zeros(flat.shape, np.bool_)
    np.put_along_axis(held, order, before < SHARE * flat.sum(axis=1, keepdims=True), axis=1)
    return held.reshape(light.shape)


def _points(sky: _Sky) -> tuple[Floats, Floats]:
    light = sky.light(np.zeros(COUNT), np.zeros(COUNT))
    return light, light


def _dipoles(sky: _Sky) -> tuple[Floats, Floats]:
    dx, dy = sky.away((0.25, 0.6))
    light = sky.light(dx, dy) - sky.light(-dx, -dy)
    return light, light


def _trails(length_fwhm: float) -> "Draw":
    def draw(sky: _Sky) -> tuple[Floats, Floats]:
        dx, dy = sky.away((length_fwhm, length_fwhm))
        steps = np.linspace(-0.5, 0.5, int(4 * length_fwhm) + 1)
        light = np.sum([sky.light(step * dx, step * dy) for step in steps], axis=0) / len(steps)
        light *= length_fwhm / 2  # per FWHM of its length half as bright as a point source
        return light, light

    return draw


def _beside_opposite(sky: _Sky) -> tuple[Floats, Floats]:
    """Return a source beside one of the other sign, 1.5 to 2.5 FWHM away, and the first alone."""
    own, _ = _points(sky)
    return own - sky.light(*sky.away((1.5, 2.5))), own


Draw = Callable[[_Sky], tuple[Floats, Floats]]
KINDS: dict[str, tuple[Draw, int, bool]] = {
    "point source": (_points, REAL, False),
    "dipole": (_dipoles, BOGUS, False),
    "streak of 4 FWHM": (_trails(4.0), BOGUS, False),
    "trail of 10 FWHM, an asteroid's": (_trails(10.0), REAL, True),
    "source beside an opposite one": (_beside_opposite, REAL, False),
}
"""Name -> how it is drawn, what reviewers say, whether it moves."""


def make_scene(kind: str, seed: int = 1) -> Scene:
    """Return stamps of one kind of source."""
    draw, code, moving = KINDS[kind]
    sky = _make_sky(seed)
    light, own = draw(sky)
    noise = sky.rng.normal(0, NOISE, light.shape)
    images = (light + noise).astype(np.float32)
    return Scene(images, _held(own), sky.x, sky.y, sky.fwhm_px, code, moving)


def overlap(scene: Scene, rule: MaskRule, code: int | None = None, *, known: bool = True) -> float:
    """Return the median intersection over union of masks and truth.

    Args:
        scene: from `make_scene`.
        rule: how masks are drawn.
        code: what reviewers said; None: what they should have.
        known: whether they named an asteroid's class.
    """
    count, said = len(scene.images), scene.code if code is None else code
    blocks = [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
    lit = [significance(scene.images[part], scene.fwhm_px[part][0]) for part in blocks]
    targets = Targets(
        scene.x,
        scene.y,
        scene.fwhm_px,
        np.full(count, said, np.uint8),
        np.full(count, scene.moving and known),
    )
    flags = np.zeros(scene.images.shape, np.uint8)
    masks = make_masks(flags, np.concatenate(lit), targets, Neighbours.none(), rule)
    drawn = masks.pixels == said
    both = (drawn & scene.truth).sum(axis=(1, 2))
    either = (drawn | scene.truth).sum(axis=(1, 2))
    return float(np.median(both / either))


SIDES: dict[str, Callable[[Scene], float]] = {
    "as drawn": lambda scene: overlap(scene, MaskRule()),
    "signed": lambda scene: overlap(scene, MaskRule(), REAL),
    "unsigned": lambda scene: overlap(scene, MaskRule(), BOGUS),
    "never beyond 3 FWHM": lambda scene: overlap(scene, CAPPED, known=False),
    "disk of 1 FWHM": lambda scene: overlap(scene, DISK_ONLY),
    "disk of 3 px": lambda scene: overlap(scene, FIXED),
}
"""Ways to draw a mask that stand beside each other."""


def table() -> list[str]:
    """Return the lines of a Markdown table: kinds of sources by ways to draw."""
    lines = [f"| source | {' | '.join(SIDES)} |", "| --- " * (len(SIDES) + 1) + "|"]
    for kind in KINDS:
        scene = make_scene(kind)
        scores = " | ".join(f"{score(scene):.2f}" for score in SIDES.values())
        lines.append(f"| {kind} | {scores} |")
    return lines


def report() -> list[Row]:
    """Return the rows of the table of results: what masks cost."""
    scene = make_scene("point source")
    lit = significance(scene.images, FWHM_PX[0])
    flags, still = np.zeros(lit.shape, np.uint8), np.zeros(COUNT, np.bool_)
    codes = np.full(COUNT, REAL, np.uint8)
    targets = Targets(scene.x, scene.y, scene.fwhm_px, codes, still)

    def smooth() -> None:
        for start in range(0, COUNT, BLOCK):
            significance(scene.images[start : start + BLOCK], FWHM_PX[0])

    times = interleave(
        {
            "smooth": smooth,
            "masks": lambda: make_masks(flags, lit, targets, Neighbours.none(), MaskRule()),
            "copy": scene.images.copy,
        }
    )
    rate = {name: COUNT / timing.cpu_s for name, timing in times.items()}
    return [
        Row(
            what,
            f"{rate[name]:,.0f} samples/CPU-s",
            f"copy {rate['copy']:,.0f}",
            rate[name] / rate["copy"],
        )
        for what, name in (("significance of a difference", "smooth"), ("masks", "masks"))
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
