"""The coordinate convention, person boxes, and the transform from photograph to crop and back.

    pixel index      0       1       2              W-1
                 |   .   |   .   |   .   |  ...  |   .   |
    coordinate -0.5  0  0.5  1  1.5  2  2.5       W-1  W-0.5

The centre of a pixel is at its integer. An image W wide spans [-0.5, W - 0.5]; its middle is (W - 1) / 2.
Stride s maps a crop onto its heatmap by h = (x + 0.5) / s - 0.5. A flip is W - 1 - x.

Every function takes NumPy arrays or TensorFlow tensors and answers in kind, so that training, evaluation, prediction
and the exported graph share one geometry.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

BOX_MARGIN = 1.25  # side of a box made from keypoints, over the longer side of their bounding box


def array_module(*arrays: Any) -> Any:
    """TensorFlow if any argument is a tensor, else NumPy. Never imports TensorFlow itself."""
    tf = sys.modules.get("tensorflow")
    return tf if tf is not None and any(tf.is_tensor(a) for a in arrays) else np


def crop_to_heatmap(xy: Any, stride: float) -> Any:
    """Crop pixels to heatmap pixels of the given stride (crop pixels a heatmap pixel)."""
    return (xy + 0.5) / stride - 0.5


def heatmap_to_crop(xy: Any, stride: float) -> Any:
    """The inverse of `crop_to_heatmap`."""
    return (xy + 0.5) * stride - 0.5


def flip_x(x: Any, width: Any) -> Any:
    """Mirror an x coordinate in an image that is `width` pixels wide."""
    return width - 1 - x


def crop_transform(center: Any, side: Any, crop_size: tuple[int, int], rotation: Any = None, flip: Any = None) -> Any:
    """Affine transform from photograph pixels to crop pixels for square person boxes.

    The box's centre falls on the crop's middle and its side on the crop's longer side.

    Args:
        center: (..., 2) x, y of the box centre in photograph pixels.
        side: (...) side of the square box in photograph pixels.
        crop_size: (height, width) of the crop in pixels.
        rotation: (...) angle in radians by which the person is turned, from +x towards +y, or None for 0.
        flip: (...) bool, mirror the crop left to right after that, or None for no flip.

    Returns:
        (..., 2, 3) matrix A: crop = A[:, :2] @ photograph + A[:, 2].
    """
    xp = array_module(center, side, rotation, flip)
    height, width = crop_size
    scale = max(height, width) / side
    turn = xp.zeros_like(scale) if rotation is None else rotation
    cos, sin = xp.cos(turn) * scale, xp.sin(turn) * scale
    sign = xp.ones_like(scale) if flip is None else xp.where(flip, -xp.ones_like(scale), xp.ones_like(scale))
    cx, cy = center[..., 0], center[..., 1]
    row_x = xp.stack([sign * cos, -sign * sin, (width - 1) / 2 - sign * (cos * cx - sin * cy)], axis=-1)
    row_y = xp.stack([sin, cos, (height - 1) / 2 - (sin * cx + cos * cy)], axis=-1)
    return xp.stack([row_x, row_y], axis=-2)


def invert(matrix: Any) -> Any:
    """Inverse of (..., 2, 3) affine transforms, of the same shape."""
    xp = array_module(matrix)
    a, b, tx = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    c, d, ty = matrix[..., 1, 0], matrix[..., 1, 1], matrix[..., 1, 2]
    det = a * d - b * c
    row_x = xp.stack([d / det, -b / det, (b * ty - d * tx) / det], axis=-1)
    row_y = xp.stack([-c / det, a / det, (c * tx - a * ty) / det], axis=-1)
    return xp.stack([row_x, row_y], axis=-2)


def apply(matrix: Any, xy: Any) -> Any:
    """Transform (..., K, 2) points by (..., 2, 3) matrices."""
    xp = array_module(matrix, xy)
    x, y = xy[..., 0], xy[..., 1]
    m = matrix[..., None, :, :]
    return xp.stack(
        [m[..., 0, 0] * x + m[..., 0, 1] * y + m[..., 0, 2], m[..., 1, 0] * x + m[..., 1, 1] * y + m[..., 1, 2]],
        axis=-1,
    )


def uncrop(xy: Any, origin: Any) -> Any:
    """From pixels of a stored person crop to those of the photograph that it was cut from.

    Args:
        xy: (..., K, 2) crop pixels.
        origin: (..., 3) left and top edge of the crop in the photograph, and crop pixels a photograph pixel; 0, 0, 1
            for a record that holds the whole photograph.
    """
    return (xy + 0.5) / origin[..., None, 2:] + origin[..., None, :2] - 0.5


def joints_box(keypoints: Any) -> tuple[Any, Any]:
    """Square about the labelled keypoints' bounding box, side 1.25 times its longer side.

    Args:
        keypoints: (..., K, 3) x, y in photograph pixels, visibility.

    Returns:
        center (..., 2) and side (...), in photograph pixels. The side is at least 1, and a person without any labelled
        keypoint gets a side of 1 about the origin: callers leave such persons out.
    """
    xp = array_module(keypoints)
    smallest, largest = (np.min, np.max) if xp is np else (xp.reduce_min, xp.reduce_max)
    labelled = keypoints[..., 2:] > 0
    xy = keypoints[..., :2]
    far = xp.ones_like(xy) * 1e9
    low = smallest(xp.where(labelled, xy, far), axis=-2)
    high = largest(xp.where(labelled, xy, -far), axis=-2)
    center = xp.where(low <= high, (low + high) / 2, xp.zeros_like(low))
    side = xp.maximum(BOX_MARGIN * largest(high - low, axis=-1), 1.0)
    return center, side


LOOKS = 3  # where no box is given: one finds 47.97 PCK, three 61.14, four 61.71 (README, LSP Extended)
CERTAIN = 0.15  # share of the best score from which on a keypoint helps to place the next box
SMALLEST = 0.35  # of the first box's side: what a look can at most narrow it to


def narrowed_box(keypoints: Any, first: Any) -> Any:
    """Square to look at next, about the keypoints that were found in a wide look (coarse to fine).

    Args:
        keypoints: (..., K, 3) x, y in photograph pixels, score.
        first: (..., 3) centre x, centre y, side of the first, widest box.

    Returns:
        (..., 3) centre x, centre y and side: 1.25 times the longer side of the certain keypoints' bounding box, as
        `joints_box` has it for labelled ones, but never wider than the first box nor under 0.35 of it. The first box
        where none is certain: all scores NaN, or all below 0. All in quarters of a pixel, so that runtimes that differ
        in the last bits of a keypoint look at the same crop next.
    """
    xp = array_module(keypoints, first)
    smallest, largest = (np.min, np.max) if xp is np else (xp.reduce_min, xp.reduce_max)
    xy, score = keypoints[..., :2], keypoints[..., 2:]
    certain = score >= CERTAIN * largest(score, axis=-2, keepdims=True)
    far = xp.ones_like(xy) * 1e9
    low = smallest(xp.where(certain, xy, far), axis=-2)
    high = largest(xp.where(certain, xy, -far), axis=-2)
    widest = first[..., 2:]
    side = xp.minimum(xp.maximum(BOX_MARGIN * largest(high - low, axis=-1, keepdims=True), SMALLEST * widest), widest)
    box = xp.round(4 * xp.concat([(low + high) / 2, side], axis=-1)) / 4
    return xp.where(low[..., :1] <= high[..., :1], box, first)


def image_box(width: Any, height: Any) -> tuple[Any, Any]:
    """The whole image as a square box: its middle, and its longer side.

    Args:
        width, height: (...) float, photograph pixels.
    """
    xp = array_module(width, height)
    center = xp.stack([(width - 1) / 2, (height - 1) / 2], axis=-1)
    return center, xp.maximum(width, height)
