"""Renders clothed human figures whose MPII keypoints and occlusion flags are known exactly.

A figure is a chain of joints in three dimensions, covered by solids (tapered, rounded, of elliptic section) that a
depth buffer puts before or behind each other. So an arm before the belly hides it, a face is seen only from the front,
and an occlusion flag is read off the buffer: something that doesn't belong to the joint lies there, nearer.

Body axes are the person's left, up and forward, lengths in statures. Camera axes are right, down and away, in
pixels of a canvas with twice the picture's resolution; the canvas is averaged down 2 x 2.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import MPII16

LEFT, UP, FORWARD = np.eye(3)
FOREIGN = 99  # part number of everything that isn't the figure's own body
LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = ("nothing", "torso", "neck", "head", *(f"{side}_{part}" for side in ("left", "right") for part in LIMBS))
JOINS = {"pelvis": ("torso", "left_thigh", "right_thigh"), "thorax": ("torso", "neck"), "upper_neck": ("neck", "head")}
JOINS |= {"head_top": ("head",)}
LIMB_JOINS = {"shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand")}
LIMB_JOINS |= {"hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "foot")}
TRUNK_REACH = 0.11  # statures: a shoulder or hip deeper than this under the trunk's surface is on its far side

# Degrees: flexion forwards, abduction outwards, twist outwards, bend of elbow or knee; and how often.
ARMS = {
    "hang": (0.32, ((-25, 30), (6, 26), (-30, 20), (0, 55))),
    "on_hip": (0.11, ((-25, 0), (35, 58), (-75, -45), (70, 115))),
    "raised": (0.17, ((-10, 30), (105, 165), (0, 90), (0, 100))),
    "forward": (0.17, ((35, 150), (0, 30), (-40, 20), (0, 100))),
    "sideways": (0.15, ((-20, 20), (50, 105), (-20, 90), (0, 110))),
    "folded": (0.10, ((5, 35), (6, 25), (-70, -35), (55, 115))),
}
LEGS = {
    "straight": ((-6, 12), (1, 18), (-5, 25), (0, 14)),
    "ahead": ((12, 48), (0, 12), (-5, 15), (0, 35)),
    "behind": ((-28, -6), (0, 12), (-5, 15), (5, 60)),
    "wide": ((-5, 22), (16, 42), (0, 30), (0, 35)),
    "high": ((40, 95), (0, 35), (0, 25), (10, 110)),
    "seated": ((62, 98), (3, 28), (0, 20), (50, 110)),
    "squatting": ((60, 112), (8, 38), (0, 35), (75, 130)),
}
POSES = {  # how often, bend of the trunk, one leg, the other leg
    "stand": (0.37, (-5, 14), "straight", "straight"),
    "walk": (0.24, (-2, 16), "ahead", "behind"),
    "lunge": (0.10, (-8, 25), "wide", "wide"),
    "kick": (0.06, (-10, 20), "high", "straight"),
    "sit": (0.11, (-12, 25), "seated", "seated"),
    "squat": (0.04, (5, 40), "squatting", "squatting"),
    "bend": (0.06, (30, 85), "straight", "straight"),
    "lie": (0.02, (-10, 15), "straight", "ahead"),
}


@dataclass(frozen=True)
class Figure:
    """A picture of a person and the truth about it, in the picture's 0-based pixels, centres at the integers.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        keypoints: (16, 3) float x, y, visibility: 2 seen, 1 hidden, 0 outside of the picture (x and y are 0 then).
        box: centre x, centre y and side of the person box, as MPII draws it: about 1.25 times the person.
        head_box: x1, y1, x2, y2 about the skull and jaw.
    """

    image: np.ndarray
    keypoints: np.ndarray
    box: tuple[float, float, float]
    head_box: tuple[float, float, float, float]


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


def render(rng: np.random.Generator, size: int = 192) -> Figure:
    """One figure before a cluttered background.

    Args:
        rng: where every choice comes from: an equal state gives an equal figure.
        size: height and width of the picture in pixels.

    Raises:
        MsposeError: `size` is under 64.
    """
    if size < 64:
        raise MsposeError(f"size is {size}, expected at least 64 pixels: smaller figures have no readable joints")
    stage = Stage(background(rng, size), rng)
    solids, joints, skull, view = person(rng)
    scale, to_canvas = _place(rng, np.array([view @ joints[name] for name in MPII16.keypoints]), 2 * size)
    offset = to_canvas[:2]
    if rng.random() < 0.25:
        bystander(rng, stage, scale)
    stage.draw(solids, view, scale, to_canvas, foreign=False)
    spots = {name: scale * view @ joints[name] + to_canvas for name in MPII16.keypoints}
    if rng.random() < 0.25:
        stage.cover(rng, spots[MPII16.keypoints[rng.integers(16)]][:2], scale)
    keypoints = np.array([[*spots[name][:2], stage.visibility(name, spots[name], scale)] for name in MPII16.keypoints])
    keypoints[:, :2] = (keypoints[:, :2] + 0.5) / 2 - 0.5
    low, high = keypoints[:, :2].min(0), keypoints[:, :2].max(0)
    longer = float((high - low).max())
    # Annotators judge a person's height and middle by eye.
    side = 1.25 * max(longer, 0.36 * scale) * float(np.exp(np.clip(rng.normal(0, 0.08), -0.16, 0.2)))
    middle = (low + high) / 2 + np.clip(rng.normal(0, 0.025, 2), -0.5, 0.5) * (side - longer)
    heads = [(scale * (view @ centre)[:2] + offset, scale * radius) for centre, radius in skull]
    x1, y1 = ((np.min([c - r for c, r in heads], axis=0) + 0.5) / 2 - 0.5).tolist()
    x2, y2 = ((np.max([c + r for c, r in heads], axis=0) + 0.5) / 2 - 0.5).tolist()
    keypoints[keypoints[:, 2] == 0] = 0
    image = cv2.resize(stage.image, (size, size), interpolation=cv2.INTER_AREA)
    return Figure(image, keypoints, (float(middle[0]), float(middle[1]), side), (x1, y1, x2, y2))


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


def person(rng: np.random.Generator) -> tuple[list[Solid], dict[str, np.ndarray], list, np.ndarray]:
    """A body, a pose, clothes and a direction to look from, all sampled.

    Returns:
        the solids; the joints' positions (3,) by MPII name in body axes from the pelvis; the skull as two (centre,
        radius); and the view (3, 3), from body axes to camera axes.
    """
    child = max(0.0, rng.uniform(-1.2, 1))
    girth = rng.uniform(0.82, 1.28) + 0.1 * child
    head = rng.uniform(0.128, 0.142) + 0.05 * child
    trunk, hips = rng.uniform(0.275, 0.305), rng.uniform(0.05, 0.062)
    shoulders = rng.uniform(0.098, 0.118) - 0.012 * child
    upper_arm, forearm = rng.uniform(0.16, 0.18) - 0.02 * child, rng.uniform(0.14, 0.158) - 0.015 * child
    thigh, shin = rng.uniform(0.235, 0.255) - 0.04 * child, rng.uniform(0.23, 0.25) - 0.04 * child

    kind = _pick(rng, POSES)
    _, bends, first, second = POSES[kind]
    bend = rng.uniform(*bends)
    view = _view(rng, lying=kind == "lie")
    pelvis = _turn(0, -0.4 * max(bend, 0))
    chest = pelvis @ _turn(1, rng.normal(0, 9)) @ _turn(2, rng.normal(0, 6)) @ _turn(0, -bend + 0.4 * max(bend, 0))
    skull = chest @ _turn(1, rng.normal(0, 20)) @ _turn(2, rng.normal(0, 8)) @ _turn(0, rng.normal(-5, 10) + 0.4 * bend)
    waist = 0.42 * trunk * pelvis @ UP
    thorax = waist + 0.58 * trunk * chest @ UP
    neck = thorax + 0.055 * (0.7 * chest + 0.3 * skull) @ UP + 0.012 * chest @ FORWARD
    joints = {"pelvis": np.zeros(3), "thorax": thorax, "upper_neck": neck, "head_top": neck + head * skull @ UP}

    wear = Wardrobe.sample(rng)
    depth = rng.uniform(0.58, 0.72)
    top, belly, seat = 0.108 * girth, 0.088 * girth**1.3, 0.1 * girth**1.15
    trunk_solids = (
        (thorax - 0.02 * chest @ UP, waist, (top, belly), wear.shirt, chest),
        (waist, 0.03 * pelvis @ UP, (belly, seat * 0.97), wear.shirt, pelvis),
        (0.025 * pelvis @ UP, -0.045 * pelvis @ UP, (seat, seat * 0.95), wear.trousers, pelvis),
    )
    solids = [Solid("torso", a, b, radii, c, frame=f, flat=depth) for a, b, radii, c, f in trunk_solids]
    solids.append(Solid("neck", thorax, neck + 0.02 * skull @ UP, (0.034, 0.031), wear.skin))
    front = chest @ FORWARD * depth * 0.98
    solids += wear.front(thorax - 0.005 * chest @ UP, waist, top, belly, front)
    solids += wear.belt_and_bag(rng, chest, pelvis, thorax, seat, depth, top)
    head_solids, balls = _head(rng, wear, neck, head, skull)
    solids += head_solids

    order = (first, second) if rng.random() < 0.5 else (second, first)
    for side, sign, leg in (("left", 1, order[0]), ("right", -1, order[1])):
        # A leg swings from the upright, whatever the pelvis does.
        hip = pelvis @ (sign * hips * LEFT)
        turn = _turn(0, -0.1 * max(bend, 0)) @ _swing(sign, [rng.uniform(*limits) for limits in LEGS[leg][:3]])
        low = turn @ _turn(0, -rng.uniform(*LEGS[leg][3]))
        knee = hip - thigh * turn @ UP
        ankle = knee - shin * low @ UP
        foot = low @ _turn(0, rng.uniform(-25, 8))
        heel, toe = ankle - 0.015 * (foot @ UP + foot @ FORWARD), ankle + foot @ (0.09 * FORWARD - 0.022 * UP)
        thick = girth * rng.uniform(0.95, 1.05)
        solids += (
            Solid(f"{side}_thigh", hip, knee, (0.06 * thick, 0.042 * thick), wear.trousers, wear.thigh_cut, wear.skin),
            Solid(f"{side}_shin", knee, ankle, (0.041 * thick, 0.025 * thick), wear.trousers, wear.shin_cut, wear.skin),
            Solid(f"{side}_foot", heel, toe, (0.027, 0.021), wear.shoes),
        )
        joints |= {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle}

        shoulder = thorax + chest @ (sign * shoulders * LEFT - 0.008 * UP)
        for _ in range(6):
            limits = ARMS[_pick(rng, ARMS)][1]
            turn = chest @ _swing(sign, [rng.uniform(*pair) for pair in limits[:3]])
            bent = turn @ _turn(0, rng.uniform(*limits[3]))
            elbow = shoulder - upper_arm * turn @ UP
            wrist = elbow - forearm * bent @ UP
            # Flesh can't pass through the trunk: bend again until the wrist is outside of its ellipse.
            within = pelvis.T @ wrist / (1.15 * seat, trunk, 1.15 * seat * depth)
            if within @ (within * (1, 0, 1)) > 1 or abs(within[1]) > 1:
                break
        hand = bent @ _turn(0, rng.uniform(-10, 25)) @ UP
        thick = girth * rng.uniform(0.95, 1.05)
        solids += (
            Solid("torso", thorax + 0.022 * chest @ UP, shoulder, (0.032, 0.037 * thick), wear.shirt),
            Solid(
                f"{side}_upper_arm",
                shoulder,
                elbow,
                (0.039 * thick, 0.03 * thick),
                wear.sleeve,
                wear.upper_cut,
                wear.skin,
            ),
            Solid(
                f"{side}_forearm", elbow, wrist, (0.029 * thick, 0.019 * thick), wear.sleeve, wear.fore_cut, wear.skin
            ),
            Solid(f"{side}_hand", wrist - 0.01 * hand, wrist - 0.07 * hand, (0.021, 0.017), wear.skin),
        )
        joints |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}
    return solids, joints, balls, view


def _head(rng, wear: Wardrobe, neck: np.ndarray, length: float, frame: np.ndarray) -> tuple[list[Solid], list]:
    """The head's solids in body axes, and its skull and jaw as (centre, radius)."""

    def at(left: float, up: float, forward: float) -> np.ndarray:
        return neck + length * frame @ (left, up, forward)

    def ball(spot: tuple, radius: float, cloth: Cloth, to: tuple | None = None, end: float | None = None) -> Solid:
        radii = (length * radius, length * (radius if end is None else end))
        return Solid("head", at(*spot), at(*(spot if to is None else to)), radii, cloth)

    dark, lips = (Cloth(wear.skin.colours * shade) for shade in ((0.25, 0.22, 0.22), (0.75, 0.5, 0.5)))
    white = Cloth(np.full((2, 3), 235.0))
    solids = [ball((0, 0.27, 0.07), 0.26, wear.skin, (0, 0.62, -0.02), 0.38)]
    for side in (1, -1):
        solids += (
            ball((side * 0.15, 0.53, 0.29), 0.07, white),
            ball((side * 0.15, 0.53, 0.33), 0.042, dark),
            ball((side * 0.08, 0.65, 0.31), 0.035, wear.hair, (side * 0.22, 0.65, 0.27)),
            ball((side * 0.37, 0.48, -0.02), 0.09, wear.skin),
        )
    solids.append(ball((0, 0.5, 0.36), 0.03, wear.skin, (0, 0.4, 0.4), 0.06))
    solids.append(ball((-0.09, 0.22, 0.29), 0.03, lips, (0.09, 0.22, 0.29)))
    style = rng.random()
    if style < 0.93:
        solids.append(ball((0, 0.7, -0.1), 0.375, wear.hair, (0, 0.5, -0.14), 0.34))
    if style < 0.35:
        solids.append(ball((0, 0.6, -0.16), 0.34, wear.hair, (0, -0.15, -0.22), 0.25))
    elif style > 0.8:
        solids.append(ball((0, 0.72, -0.01), 0.4, wear.shoes))
        solids.append(ball((0, 0.74, 0.3), 0.1, wear.shoes, (0, 0.72, 0.52), 0.08))
    elif style > 0.68:
        solids.append(ball((0, 0.16, 0.14), 0.22, wear.hair))
    return solids, [(at(0, 0.27, 0.07), length * 0.26), (at(0, 0.62, -0.02), length * 0.38)]


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


def cloth(rng: np.random.Generator, plain: float = 0.45) -> Cloth:
    """A random cloth; `plain` is how often it has no pattern."""
    hue, light = rng.random(), rng.uniform(0.12, 0.98)
    colour = np.array(colorsys.hsv_to_rgb(hue, rng.beta(1.2, 1.8), light)) * 255
    second = np.array(colorsys.hsv_to_rgb((hue + rng.normal(0, 0.2)) % 1, rng.beta(1, 2), rng.uniform(0.1, 1))) * 255
    pattern = "plain" if rng.random() < plain else ("rings", "stripes", "checks", "speckle")[rng.integers(4)]
    return Cloth(np.array([colour, second]), pattern, rng.uniform(14, 40))


def _turn(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) rotation of body axes: about left (swings a hanging limb forwards), up (to the left), or
    forward (leftwards and up)."""
    i, j = ((1, 2), (0, 2), (1, 0))[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(np.radians(degrees))
    matrix[i, j] = np.sin(np.radians(degrees))
    matrix[j, i] = -matrix[i, j]
    return matrix


def _swing(sign: int, angles: list[float]) -> np.ndarray:
    """(3, 3) of a hanging limb after twist, flexion and abduction; `sign` is 1 for the left side."""
    flexion, abduction, twist = angles
    return _turn(2, sign * abduction) @ _turn(0, flexion) @ _turn(1, sign * twist)


def _pick(rng: np.random.Generator, table: dict[str, Any]) -> str:
    weights = np.cumsum([row[0] for row in table.values()])
    return list(table)[int(np.searchsorted(weights, rng.random() * weights[-1]))]


def _view(rng: np.random.Generator, lying: bool) -> np.ndarray:
    """(3, 3) from body axes to camera axes: mostly from the front, some from the side, some from behind."""
    facing, sign = rng.random(), rng.choice((-1, 1))
    yaw = rng.normal(0, 22) if facing < 0.8 else sign * rng.uniform(50, 105) if facing < 0.9 else rng.normal(180, 24)
    roll = float(np.clip(rng.normal(0, 9), -25, 25)) + (90 * sign if lying else 0)
    return np.diag((1.0, -1.0, -1.0)) @ _turn(2, roll) @ _turn(0, rng.normal(7, 6)) @ _turn(1, yaw)


def _place(rng: np.random.Generator, seen: np.ndarray, n: int) -> tuple[float, np.ndarray]:
    """Pixels a stature, and where the pelvis goes (3,), for joints `seen` (16, 3) in camera axes on a canvas n wide."""
    low, high = seen[:, :2].min(0), seen[:, :2].max(0)
    longer = float((high - low).max())
    scale = n * rng.uniform(0.6, 0.88) / max(longer, 0.7)
    if rng.random() < 0.08:  # too near for the whole person to be in the picture
        scale *= rng.uniform(1.1, 1.45)
    room = np.maximum(n * 0.94 - scale * (high - low), 0)
    middle = n / 2 + room * rng.uniform(-0.5, 0.5, 2)
    hidden = np.maximum(scale * (high - low) - n * 0.94, 0)
    middle[1] += 0.5 * hidden[1]  # the legs are what pictures cut off
    return scale, np.array([*(middle - scale * (low + high) / 2), 0.0])


def bystander(rng: np.random.Generator, stage: Stage, scale: float) -> None:
    """A second person at the edge of the picture, behind the first or, less often, before."""
    solids, _, _, view = person(rng)
    n, nearer = len(stage.image), rng.random() < 0.2
    scale = scale * (rng.uniform(1.0, 1.2) if nearer else rng.uniform(0.55, 0.95))
    x = rng.choice((-1, 1)) * rng.uniform(0.4, 0.52) * n + n / 2
    offset = np.array([x, n * rng.uniform(0.45, 0.6), (-2 if nearer else 2) * scale])
    stage.draw(solids, view, scale, offset, foreign=True)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """(2 size, 2 size, 3) uint8: a wall and a floor with cloudy texture, furniture, and shapes out of focus."""
    tint = 0.5 * cloth(rng).colours[0] + 0.5 * rng.uniform(40, 215)
    clouds = rng.standard_normal((4, 4, 1)) * rng.uniform(5, 35) + rng.standard_normal((4, 4, 3)) * rng.uniform(2, 14)
    coarse = tint + clouds
    image = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    horizon = int(size * rng.uniform(0.55, 0.95))
    if rng.random() < 0.7:
        image[horizon:] = 0.3 * image[horizon:] + 0.35 * cloth(rng).colours[0] + 0.35 * rng.uniform(40, 215)
    grain = np.zeros((size, size), np.float32)
    for cells in (13, size // 2):
        cloud = rng.standard_normal((cells, cells), np.float32) * float(rng.uniform(0, 16))
        grain += cv2.resize(cloud, (size, size), interpolation=cv2.INTER_LINEAR)
    image = np.clip(image + grain[..., None], 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 7)):
        colour = tuple(0.6 * cloth(rng).colours[0] + 0.4 * image[horizon // 2, size // 2])
        x, y, w, h = (int(v) for v in size * rng.uniform((0, 0, 0.05, 0.05), (1, 1, 0.35, 0.35)))
        shape = rng.random()
        if shape < 0.3:
            cv2.ellipse(image, (x, y), (w // 2, h // 2), float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        elif shape < 0.55:
            end = (x + int(rng.normal(0, size / 3)), y + int(rng.normal(0, size / 3)))
            cv2.line(image, (x, y), end, colour, int(rng.integers(1, 12)), cv2.LINE_AA)
        else:  # furniture: a front, a lighter top and a darker side
            lean, rise = int(w * rng.uniform(-0.4, 0.4)), max(h // 5, 2)
            darker, lighter = (tuple(np.clip(np.multiply(colour, f), 0, 255)) for f in (0.7, 1.25))
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
            top = np.array([(x, y), (x + w, y), (x + w + lean, y - rise), (x + lean, y - rise)])
            cv2.fillConvexPoly(image, top, lighter)
            edge = x + w if lean > 0 else x
            flank = np.array([(edge, y), (edge + lean, y - rise), (edge + lean, y + h - rise), (edge, y + h)])
            cv2.fillConvexPoly(image, flank, darker)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    return cv2.resize(image, (2 * size, 2 * size), interpolation=cv2.INTER_LINEAR)
