"""Rooms and clutter behind the figures."""

from __future__ import annotations

import cv2
import numpy as np

from tfrecords_tools.rendering.solids import cloth


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
