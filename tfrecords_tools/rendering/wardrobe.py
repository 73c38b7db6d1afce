"""What one person wears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfrecords_tools.rendering.axes import FORWARD, UP
from tfrecords_tools.rendering.solids import Cloth, Solid, cloth


@dataclass(frozen=True)
class Wardrobe:
    """What one person wears. A cut is how far along a limb the cloth goes."""

    skin: Cloth
    hair: Cloth
    shirt: Cloth
    sleeve: Cloth
    trousers: Cloth
    shoes: Cloth
    inner: Cloth
    upper_cut: float
    fore_cut: float
    thigh_cut: float
    shin_cut: float
    open_jacket: bool

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Wardrobe:
        tone = rng.beta(1.6, 1.1)
        skin = Cloth(np.tile((70, 44, 30) + tone * np.array((168, 152, 136)) + rng.normal(0, 6, 3), (2, 1)))
        shades = ((25, 20, 18), (60, 40, 28), (110, 72, 40), (170, 130, 75), (135, 60, 30), (150, 150, 150))
        hair = Cloth(np.array([np.array(shades[rng.integers(6)]) * f for f in (1, 0.75)]), "stripes", 120)
        shirt, open_jacket = cloth(rng), rng.random() < 0.3
        sleeves, legs = rng.random(), rng.random()
        return cls(
            skin=skin,
            hair=hair,
            shirt=shirt,
            sleeve=shirt if open_jacket or rng.random() < 0.85 else cloth(rng),
            trousers=cloth(rng, plain=0.75),
            shoes=cloth(rng, plain=1.0),
            inner=cloth(rng, plain=0.8),
            upper_cut=0.0 if sleeves < 0.1 else rng.uniform(0.35, 0.75) if sleeves < 0.5 else 1.0,
            fore_cut=0.0 if sleeves < 0.55 else rng.uniform(0.3, 0.6) if sleeves < 0.65 else 0.95,
            thigh_cut=rng.uniform(0.45, 0.85) if legs < 0.3 else 1.0,
            shin_cut=0.0 if legs < 0.33 else rng.uniform(0.4, 0.7) if legs < 0.42 else 1.0,
            open_jacket=open_jacket,
        )

    def front(self, thorax: np.ndarray, waist: np.ndarray, top: float, belly: float, out: np.ndarray) -> list[Solid]:
        """What only a front shows: the neckline, and an open jacket or a row of buttons along the chest."""
        high, low = thorax + top * out * 0.93, waist + belly * out
        solids = [Solid("torso", 0.3 * thorax + 0.7 * high, 0.9 * high + 0.1 * low, (0.03, 0.014), self.skin)]
        width = 0.024 if self.open_jacket else 0.006
        start = high + 0.12 * (low - high)
        return [*solids, Solid("torso", start, low, (width, width * 1.3), self.inner)]

    def belt_and_bag(self, rng, chest, pelvis, thorax, seat: float, depth: float, top: float) -> list[Solid]:
        """A belt with its buckle, sometimes a rucksack."""
        up, out = pelvis @ UP, pelvis @ FORWARD
        solids = []
        if rng.random() < 0.5:
            solids.append(
                Solid("torso", 0.035 * up, 0.02 * up, (seat * 1.03,) * 2, self.shoes, frame=pelvis, flat=depth)
            )
            buckle = 0.028 * up + seat * depth * out
            solids.append(Solid("torso", buckle, buckle, (0.013, 0.013), self.inner))
        if rng.random() < 0.1:
            back = -chest @ FORWARD * (top * depth + 0.03)
            high, low = thorax + back - 0.03 * chest @ UP, thorax + back - 0.2 * chest @ UP
            solids.append(Solid("torso", high, low, (0.07, 0.085), self.shoes, frame=chest, flat=0.7))
        return solids
