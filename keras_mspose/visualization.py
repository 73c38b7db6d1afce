"""Drawing poses on photographs. Colours tell the person's own left (blue), right (orange) and middle (green)."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

SIDES = {"left": (0, 114, 178), "right": (230, 159, 0), "middle": (0, 158, 115)}  # Okabe and Ito's, RGB
SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def draw_pose(
    image: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton, *, threshold: float = 0.0, person_size: float = 200.0
) -> np.ndarray:
    """Draw limbs and keypoints, with a dark rim that stands out on light and on dark photographs.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints: (K, 3) x, y in pixels of the image, score or visibility; NaN positions are left out.
        threshold: keypoints must score above it to be drawn.
        person_size: side of the person's box in pixels, for the thickness of the limbs.

    Returns:
        A drawn copy of the image.
    """
    drawn = np.ascontiguousarray(image).copy()
    thick = max(1, round(person_size / 80))
    shown = np.isfinite(keypoints).all(axis=1) & (keypoints[:, 2] > threshold)
    points = [
        tuple(int(v) for v in np.round(p * 2**SHIFT)) if s else None
        for p, s in zip(keypoints[:, :2], shown, strict=True)
    ]
    for rim in (True, False):
        for i, j in skeleton.limb_indices:
            if points[i] and points[j]:
                sides = {skeleton.side(skeleton.keypoints[k]) for k in (i, j)} - {"middle"}
                colour = SIDES[sides.pop() if len(sides) == 1 else "middle"]
                cv2.line(drawn, points[i], points[j], (20,) * 3 if rim else colour, thick + 2 * rim, cv2.LINE_AA, SHIFT)
        for name, point in zip(skeleton.keypoints, points, strict=True):
            if point:
                colour = (20,) * 3 if rim else SIDES[skeleton.side(name)]
                cv2.circle(drawn, point, (thick + 1 + rim) << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)
    return drawn


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image, beside its name first.

    Raises:
        MsposeError: the file cannot be written.
    """
    _, encoded = cv2.imencode(".png", image[..., ::-1])
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(encoded.tobytes())
        os.replace(partial, path)
    except OSError as error:
        raise MsposeError(f"{path}: cannot be written ({error})") from error
