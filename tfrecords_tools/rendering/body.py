"""Persons: build, pose and head as solids, with the joints' true positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecords_tools.rendering.axes import FORWARD, LEFT, UP, swing, turn
from tfrecords_tools.rendering.solids import Cloth, Solid
from tfrecords_tools.rendering.wardrobe import Wardrobe

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

    kind = pick(rng, POSES)
    _, bends, first, second = POSES[kind]
    bend = rng.uniform(*bends)
    view = _view(rng, lying=kind == "lie")
    pelvis = turn(0, -0.4 * max(bend, 0))
    chest = pelvis @ turn(1, rng.normal(0, 9)) @ turn(2, rng.normal(0, 6)) @ turn(0, -bend + 0.4 * max(bend, 0))
    skull = chest @ turn(1, rng.normal(0, 20)) @ turn(2, rng.normal(0, 8)) @ turn(0, rng.normal(-5, 10) + 0.4 * bend)
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
        swung = turn(0, -0.1 * max(bend, 0)) @ swing(sign, [rng.uniform(*limits) for limits in LEGS[leg][:3]])
        low = swung @ turn(0, -rng.uniform(*LEGS[leg][3]))
        knee = hip - thigh * swung @ UP
        ankle = knee - shin * low @ UP
        foot = low @ turn(0, rng.uniform(-25, 8))
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
            limits = ARMS[pick(rng, ARMS)][1]
            swung = chest @ swing(sign, [rng.uniform(*pair) for pair in limits[:3]])
            bent = swung @ turn(0, rng.uniform(*limits[3]))
            elbow = shoulder - upper_arm * swung @ UP
            wrist = elbow - forearm * bent @ UP
            # Flesh can't pass through the trunk: bend again until the wrist is outside of its ellipse.
            within = pelvis.T @ wrist / (1.15 * seat, trunk, 1.15 * seat * depth)
            if within @ (within * (1, 0, 1)) > 1 or abs(within[1]) > 1:
                break
        hand = bent @ turn(0, rng.uniform(-10, 25)) @ UP
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


def pick(rng: np.random.Generator, table: dict[str, Any]) -> str:
    weights = np.cumsum([row[0] for row in table.values()])
    return list(table)[int(np.searchsorted(weights, rng.random() * weights[-1]))]


def _view(rng: np.random.Generator, lying: bool) -> np.ndarray:
    """(3, 3) from body axes to camera axes: mostly from the front, some from the side, some from behind."""
    facing, sign = rng.random(), rng.choice((-1, 1))
    yaw = rng.normal(0, 22) if facing < 0.8 else sign * rng.uniform(50, 105) if facing < 0.9 else rng.normal(180, 24)
    roll = float(np.clip(rng.normal(0, 9), -25, 25)) + (90 * sign if lying else 0)
    return np.diag((1.0, -1.0, -1.0)) @ turn(2, roll) @ turn(0, rng.normal(7, 6)) @ turn(1, yaw)
