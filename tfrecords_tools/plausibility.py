"""Which persons look wrongly labelled, told from their numbers alone. Suspects, not errors: a person decides.

All functions take the N persons of a data set at once and answer `Suspect`s, at most one for each person and question.

What cannot be seen here: a person whose every left and right is exchanged looks like one who is turned round, and
exchanged hands or feet look like crossed ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_mspose.skeleton import Skeleton

# How far the steps from left to right must point against each other (see `sides_exchanged`) to be worth a look. A torso
# hardly twists, but arms and legs cross in a lunge or a leap. Of 3,300 rendered persons, whose names are right, none is
# beyond; with the legs exchanged 75 % are, with the lower arms 84 %.
AGAINST_IN_TORSO, AGAINST_ELSEWHERE = 0.04, 0.08
HELD = 0.5  # share of the labelled keypoints that a person box is to hold
HEAD_SIZE_OVER_DIAGONAL = 0.6
HEAD_TOLERANCE = 0.02


class Suspect(NamedTuple):
    """Person `index` of the N; `amount` orders the suspects of one question, the worst is the largest."""

    index: int
    amount: float
    what: str


def keypoints_outside(keypoints: np.ndarray, image_size: np.ndarray, names: tuple[str, ...]) -> list[Suspect]:
    """Persons with labelled keypoints beyond the photograph's border; the amount is the farthest one's pixels.

    Args:
        keypoints: (N, K, 3).
        image_size: (N, 2) width and height.
        names: of the K keypoints.
    """
    xy = keypoints[..., :2]
    beyond = np.maximum(-0.5 - xy, xy - (image_size[:, None] - 0.5))
    far = np.where(keypoints[..., 2] > 0, beyond.max(axis=-1), 0)
    found = []
    for i in np.flatnonzero((far > 0).any(axis=1)):
        joint = int(far[i].argmax())
        count = int((far[i] > 0).sum())
        more = f", {count - 1} more outside" if count > 1 else ""
        found.append(Suspect(int(i), float(far[i].max()), f"{names[joint]} {far[i].max():.1f} px outside{more}"))
    return found


def keypoints_in_one_place(keypoints: np.ndarray) -> list[Suspect]:
    """Persons whose labelled keypoints, two or more, all lie within one pixel."""
    labelled, low, high = _extent(keypoints)
    count = labelled.sum(axis=1)
    small = (count > 1) & ((high - low).max(axis=1) <= 1)
    return [
        Suspect(int(i), float(count[i]), f"{count[i]} labelled keypoints within one pixel")
        for i in np.flatnonzero(small)
    ]


def boxes(box: np.ndarray, keypoints: np.ndarray, image_size: np.ndarray) -> list[Suspect]:
    """Person boxes that hold less than half of the labelled keypoints, lie outside of the photograph, or have no size.

    Args:
        box: (N, 3) centre x, centre y, side; a side of 0 is no box.
        keypoints: (N, K, 3).
        image_size: (N, 2) width and height.
    """
    centre, half = box[:, :2], box[:, 2:] / 2
    labelled = keypoints[..., 2] > 0
    inside = labelled & (np.abs(keypoints[..., :2] - centre[:, None]) <= half[:, None]).all(axis=-1)
    held, count = inside.sum(axis=1), labelled.sum(axis=1)
    away = ((centre + half < -0.5) | (centre - half > image_size - 0.5)).any(axis=1)
    found = []
    for i in np.flatnonzero(box[:, 2] < 0):
        found.append(Suspect(int(i), 3.0, f"box has a side of {box[i, 2]:.1f} px"))
    for i in np.flatnonzero((box[:, 2] > 0) & (away | (held < HELD * count))):
        where = "box outside of the photograph, " if away[i] else ""
        missing = 1 - held[i] / count[i] if count[i] else 1.0
        found.append(
            Suspect(int(i), float(missing + away[i]), f"{where}box holds {held[i]} of {count[i]} labelled keypoints")
        )
    return found


def heads(head_box: np.ndarray, head_size: np.ndarray, estimated: np.ndarray, image_size: np.ndarray) -> list[Suspect]:
    """Head boxes without an area or outside of the photograph, and head sizes that are not 0.6 times their diagonal.

    Args:
        head_box: (N, 4) x1, y1, x2, y2; four zeros are no box.
        head_size: (N,) the reference length of PCKh.
        estimated: (N,) whether the head size is a stand-in that comes from elsewhere.
        image_size: (N, 2) width and height.
    """
    low, high = head_box[:, :2], head_box[:, 2:]
    sides = high - low
    expected = HEAD_SIZE_OVER_DIAGONAL * np.hypot(sides[:, 0], sides[:, 1])
    found = []
    for i in np.flatnonzero((head_box != 0).any(axis=1)):
        if (sides[i] <= 0).any():
            found.append(Suspect(int(i), 2.0, f"head box {sides[i, 0]:.1f} x {sides[i, 1]:.1f} px"))
        elif (high[i] < -0.5).any() or (low[i] > image_size[i] - 0.5).any():
            found.append(Suspect(int(i), 1.0, "head box outside of the photograph"))
        elif not estimated[i] and abs(head_size[i] - expected[i]) > HEAD_TOLERANCE * expected[i]:
            off = abs(head_size[i] - expected[i]) / expected[i]
            found.append(
                Suspect(int(i), min(float(off), 0.99), f"head size {head_size[i]:.1f}, its box says {expected[i]:.1f}")
            )
    return found


def sides_exchanged(keypoints: np.ndarray, skeleton: Skeleton) -> list[Suspect]:
    """Persons whose limbs grow shorter when left and right change places on one side of a joint.

    With D the step from the left to the right keypoint of a pair, exchanging one of two joined pairs takes -2 D1 . D2
    off the squared lengths of the two limbs between them: much where D1 and D2 point against each other, as those of
    shoulders and hips never do. Over the square of the person's size, the longer side of the labelled keypoints'
    bounding box, that is the amount.

    Args:
        keypoints: (N, K, 3).
        skeleton: gives the pairs and how limbs join them; see `joined_pairs`.
    """
    _, low, high = _extent(keypoints)
    size = np.maximum((high - low).max(axis=1), 1.0)
    worst: dict[int, tuple[float, list[str]]] = {}
    for a, b in joined_pairs(skeleton):
        against = _against(keypoints, skeleton, a, b) / size**2
        least = AGAINST_IN_TORSO if _in_torso(a, skeleton) and _in_torso(b, skeleton) else AGAINST_ELSEWHERE
        for i in np.flatnonzero(against > least).tolist():
            most, where = worst.get(i, (0.0, []))
            worst[i] = max(most, float(against[i])), [*where, f"{_name(a)} against {_name(b)}"]
    return [
        Suspect(i, most, f"{', '.join(where)}: names exchanged? ({most:.2f})")
        for i, (most, where) in sorted(worst.items())
    ]


def joined_pairs(skeleton: Skeleton) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Flip pairs that limbs join directly or by way of keypoints in the middle, such as shoulders and hips by thorax
    and pelvis.

    Pairs at the end, such as hands and feet, are left out: limbs cross there. The torso's pairs are never an end.
    """
    neighbours: dict[str, set[str]] = {name: set() for name in skeleton.keypoints}
    for a, b in skeleton.limbs:
        neighbours[a].add(b)
        neighbours[b].add(a)
    pair_of = {left: (left, right) for left, right in skeleton.flip_pairs}
    joined = {pair: _reached(left, neighbours, pair_of, skeleton) for left, pair in pair_of.items()}
    inner = [pair for pair, others in joined.items() if len(others) > 1 or _in_torso(pair, skeleton)]
    return [(a, b) for i, a in enumerate(inner) for b in inner[i + 1 :] if b in joined[a]]


def _in_torso(pair: tuple[str, str], skeleton: Skeleton) -> bool:
    return skeleton.torso is not None and not set(pair).isdisjoint(skeleton.torso)


def _reached(start: str, neighbours: dict, pair_of: dict, skeleton: Skeleton) -> set[tuple[str, str]]:
    """Pairs whose left keypoint is reached from `start` through middle keypoints alone."""
    found, seen, waiting = set(), {start}, [start]
    while waiting:
        for name in neighbours[waiting.pop()] - seen:
            seen.add(name)
            if name in pair_of:
                found.add(pair_of[name])
            elif skeleton.side(name) == "middle":
                waiting.append(name)
    return found


def _against(keypoints: np.ndarray, skeleton: Skeleton, a: tuple, b: tuple) -> np.ndarray:
    """(N,) -2 D1 . D2 in square pixels; 0 where one of the four keypoints is not labelled."""
    left_a, right_a, left_b, right_b = (keypoints[:, skeleton.index(name)] for name in (*a, *b))
    labelled = np.all([p[:, 2] > 0 for p in (left_a, right_a, left_b, right_b)], axis=0)
    return np.where(labelled, -2 * ((right_a - left_a)[:, :2] * (right_b - left_b)[:, :2]).sum(axis=1), 0.0)


def _extent(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which are labelled (N, K), and the corners (N, 2), (N, 2) of their bounding box; zeros where none is."""
    labelled = keypoints[..., 2] > 0
    low = np.where(labelled[..., None], keypoints[..., :2], np.inf).min(axis=1)
    high = np.where(labelled[..., None], keypoints[..., :2], -np.inf).max(axis=1)
    some = labelled.any(axis=1)[:, None]
    return labelled, np.where(some, low, 0.0), np.where(some, high, 0.0)


def _name(pair: tuple[str, str]) -> str:
    return pair[0].removeprefix("left_")
