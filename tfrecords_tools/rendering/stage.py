"""The canvas: solids put before and behind each other by a depth buffer, and what the buffer says of a joint."""

from __future__ import annotations

import math

import cv2
import numpy as np

from tfrecords_tools.rendering.solids import PARTS, Solid, cloth

FOREIGN = 99  # part number of everything that isn't the figure's own body
JOINS = {"pelvis": ("torso", "left_thigh", "right_thigh"), "thorax": ("torso", "neck"), "upper_neck": ("neck", "head")}
JOINS |= {"head_top": ("head",)}
LIMB_JOINS = {"shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand")}
LIMB_JOINS |= {"hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "foot")}
TRUNK_REACH = 0.11  # statures: a shoulder or hip deeper than this under the trunk's surface is on its far side


class Stage:
    """Canvas with a depth and a part buffer. `image` (n, n, 3) uint8, `depth` (n, n), `part` (n, n) of PARTS."""

    def __init__(self, image: np.ndarray, rng: np.random.Generator) -> None:
        self.image = image
        self.depth = np.full(image.shape[:2], np.inf, np.float32)
        self.part = np.zeros(image.shape[:2], np.uint8)
        light = np.array([rng.uniform(-1, 1), -rng.uniform(0.2, 1), -rng.uniform(0.5, 1.2)])
        self.light = (light / np.linalg.norm(light)).tolist()
        self.ambient = float(rng.uniform(0.35, 0.7))

    def draw(self, solids: list[Solid], view: np.ndarray, scale: float, offset: np.ndarray, foreign: bool) -> None:
        """Draw solids given in body axes: `scale * view @ point + offset` is on the canvas, in pixels, and away.

        `foreign` ones are not the figure's own: whatever they cover of it is hidden.
        """
        to_canvas = scale * view.T
        starts = (np.stack([solid.start for solid in solids]) @ to_canvas + offset).tolist()
        ends = (np.stack([solid.end for solid in solids]) @ to_canvas + offset).tolist()
        for solid, start, end in zip(solids, starts, ends, strict=True):
            self._draw(solid, view, float(scale), start, end, FOREIGN if foreign else PARTS.index(solid.part))

    def _draw(self, solid: Solid, view: np.ndarray, scale: float, start: list, end: list, number: int) -> None:
        # Plain floats, for speed and so that NumPy stays in single precision.
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        along_x, along_y = ((end[i] - start[i]) / length for i in (0, 1)) if length > 1e-3 else (1.0, 0.0)
        length = max(length, 1e-3)
        # Half width, extent along the axis, slant and bulge of the visible surface, each over the lateral radius.
        width = cap = bulge = 1.0
        slant = 0.0
        if solid.frame is not None:
            (x1, _, x2), (y1, _, y2), (z1, _, z2) = (view @ solid.frame * (1.0, 1.0, solid.flat)).tolist()
            a1, a2 = along_x * y1 - along_y * x1, along_x * y2 - along_y * x2
            width = math.hypot(a1, a2)
            slant = (a1 * z1 + a2 * z2) / width
            bulge = math.sqrt(max(z1 * z1 + z2 * z2 - slant * slant, 1e-4))
            cap = max(math.hypot(along_x * x1 + along_y * y1, along_x * x2 + along_y * y2), 0.3)
        r0, r1 = (float(scale * r) for r in solid.radii)
        reach = max(r0, r1) * max(width, cap)
        n = len(self.image)
        x0, y0 = (max(math.floor(min(start[i], end[i]) - reach), 0) for i in (0, 1))
        x1, y1 = (min(math.ceil(max(start[i], end[i]) + reach) + 1, n) for i in (0, 1))
        if x0 >= x1 or y0 >= y1:
            return
        dx = np.arange(x0, x1, dtype=np.float32)[None] - start[0]
        dy = np.arange(y0, y1, dtype=np.float32)[:, None] - start[1]
        along = dx * along_x + dy * along_y
        t = np.minimum(np.maximum(along * (1 / length), 0), 1)
        radius = r0 + (r1 - r0) * t
        s = (dy * along_x - dx * along_y) / (radius * width)
        over = (along - t * length) / (radius * cap)
        root = 1 - s * s - over * over
        seen = root > 0
        np.sqrt(np.maximum(root, 0, out=root), out=root)
        z = start[2] + (end[2] - start[2]) * t + radius * (slant * s - bulge * root)
        seen &= z < self.depth[y0:y1, x0:x1]
        if not seen.any():
            return
        np.copyto(self.depth[y0:y1, x0:x1], z, where=seen)
        np.copyto(self.part[y0:y1, x0:x1], np.uint8(number), where=seen)
        facing = s * (self.light[1] * along_x - self.light[0] * along_y) - root * self.light[2]
        shade = (self.ambient + (1.25 - self.ambient) * np.maximum(facing, 0)) * (0.6 + np.minimum(root * 1.2, 0.4))
        plain = solid.cloth.pattern == "plain"
        mix = None if plain else solid.cloth.mix(along / scale, s * radius / scale)
        covered = t < solid.cut if solid.skin is not None and solid.cut < 1 else None
        channels = []
        for channel, (first, second) in enumerate(solid.cloth.colours.T.tolist()):
            colour = first if mix is None else first + (second - first) * mix
            if covered is not None:
                colour = np.where(covered, colour, solid.skin.colours[0, channel])
            channels.append(shade * colour)
        colours = cv2.convertScaleAbs(cv2.merge(channels))  # saturates
        cv2.copyTo(colours, seen.view(np.uint8), self.image[y0:y1, x0:x1])

    def cover(self, rng: np.random.Generator, near: np.ndarray, scale: float) -> None:
        """Put a plank, a box or a round thing before everything, close to the point `near` (2,) of the canvas."""
        w, h = scale * rng.uniform(0.08, 0.3, 2) / 2
        if rng.random() < 0.35:
            w, h = (w / 3, 2 * h) if rng.random() < 0.5 else (2 * w, h / 3)
        centre, mask = near + rng.normal(0, 0.03, 2) * scale, np.zeros(self.part.shape, np.uint8)
        if rng.random() < 0.7:
            corners = cv2.boxPoints((tuple(map(float, centre)), (2 * w, 2 * h), float(rng.normal(0, 20))))
            cv2.fillConvexPoly(mask, np.int32(np.round(corners)), 1)
        else:
            cv2.ellipse(mask, (tuple(map(float, centre)), (2 * w, 2 * h), float(rng.uniform(0, 90))), 1, -1)
        ys, xs = np.nonzero(mask)
        made_of = cloth(rng)
        mix = made_of.mix((xs - centre[0]) / scale, (ys - centre[1]) / scale)
        first, second = made_of.colours
        colour = first if mix is None else first + (second - first) * mix[:, None]
        shade = 0.75 + 0.2 * ((xs - centre[0]) / w * self.light[0] + (ys - centre[1]) / h * self.light[1])
        self.image[ys, xs] = np.clip(colour * shade[:, None], 0, 255).astype(np.uint8)
        self.depth[ys, xs], self.part[ys, xs] = -np.inf, FOREIGN

    def visibility(self, name: str, spot: np.ndarray, scale: float) -> int:
        """2 seen, 1 hidden, 0 outside, for the keypoint `name` at `spot` (3,) on the canvas, after all is drawn."""
        x, y = (int(v) for v in np.round(spot[:2]))
        if not (0 <= x < len(self.image) and 0 <= y < len(self.image)):
            return 0
        number, gap = int(self.part[y, x]), float(spot[2] - self.depth[y, x])
        if number == 0 or gap <= 0:
            return 2
        side, _, joint = name.partition("_")
        limbs = LIMB_JOINS.get(joint)
        own = JOINS[name] if limbs is None else tuple(f"{side}_{limb}" for limb in limbs)
        if joint in ("shoulder", "hip") and number == PARTS.index("torso"):
            return 2 if gap < TRUNK_REACH * scale else 1
        return 2 if number != FOREIGN and PARTS[number] in own else 1
