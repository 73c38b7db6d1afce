"""What bodies and things are made of: tapered round solids, and the cloth that covers them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = ("nothing", "torso", "neck", "head", *(f"{side}_{part}" for side in ("left", "right") for part in LIMBS))


@dataclass(frozen=True)
class Cloth:
    """Two colours (2, 3) in 0..255 and how they alternate along (u) and around (v) a solid, both in statures."""

    colours: np.ndarray
    pattern: str = "plain"
    pitch: float = 20.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "colours", np.clip(self.colours, 0, 255).astype(np.float32))

    def mix(self, u: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """How much of the second colour, 0..1, at surface points of any shape; None where it is nowhere."""
        if self.pattern == "plain":
            return None
        u, v = u * self.pitch, v * self.pitch
        if self.pattern == "speckle":
            return np.sin(7.1 * u + 2.3 * np.sin(9.7 * v)) * np.sin(8.3 * v + 2.9 * np.sin(6.1 * u)) * 0.5 + 0.5
        rings, stripes = u - np.floor(u) < 0.5, v - np.floor(v) < 0.5
        chosen = {"rings": rings, "stripes": stripes, "checks": rings ^ stripes}[self.pattern]
        return chosen.astype(np.float32)


def cloth(rng: np.random.Generator, plain: float = 0.45) -> Cloth:
    """A random cloth; `plain` is how often it has no pattern."""
    hue, light = rng.random(), rng.uniform(0.12, 0.98)
    colour = np.array(colorsys.hsv_to_rgb(hue, rng.beta(1.2, 1.8), light)) * 255
    second = np.array(colorsys.hsv_to_rgb((hue + rng.normal(0, 0.2)) % 1, rng.beta(1, 2), rng.uniform(0.1, 1))) * 255
    pattern = "plain" if rng.random() < plain else ("rings", "stripes", "checks", "speckle")[rng.integers(4)]
    return Cloth(np.array([colour, second]), pattern, rng.uniform(14, 40))


@dataclass(frozen=True)
class Solid:
    """A tapered round body from `start` to `end` with half widths `radii`; covered by `cloth` up to `cut` of it.

    With a `frame` (columns left, up, forward) the section is an ellipse, `flat` times as thick as it is wide.
    """

    part: str
    start: np.ndarray
    end: np.ndarray
    radii: tuple[float, float]
    cloth: Cloth
    cut: float = 1.0
    skin: Cloth | None = None
    frame: np.ndarray | None = None
    flat: float = 1.0
