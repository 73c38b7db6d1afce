"""Renders clothed human figures whose MPII keypoints and occlusion flags are known exactly.

A figure is a chain of joints in three dimensions, covered by solids (tapered, rounded, of elliptic section) that a
depth buffer puts before or behind each other. So an arm before the belly hides it, a face is seen only from the front,
and an occlusion flag is read off the buffer: something that doesn't belong to the joint lies there, nearer.

Body axes are the person's left, up and forward, lengths in statures. Camera axes are right, down and away, in
pixels of a canvas with twice the picture's resolution; the canvas is averaged down 2 x 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import MPII16
from tfrecords_tools.rendering.background import background
from tfrecords_tools.rendering.body import person
from tfrecords_tools.rendering.stage import Stage


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
