"""What every head of a network sees, as one picture: the paper's Fig. 2 (all scales of all stacks) and Fig. 3 (before
and after the regression). Draws what it is given; loads no TensorFlow.

    stack 1   GT/8    GT/4    GT/2    GT               keypoints that its GT heatmaps say
    stack 2   GT/8    GT/4    GT/2    GT               keypoints
    photo     heatmaps before    keypoints before    heatmaps after the regression    keypoints after
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keras_mspose import geometry
from keras_mspose import heatmaps as codec
from keras_mspose.errors import MsposeError
from keras_mspose.heads import REGRESSION, head_scale, head_stack
from keras_mspose.skeleton import Skeleton
from keras_mspose.tiles import Tile, grid
from keras_mspose.visualization import draw_pose, heatmap_overlay


def in_order(names: Iterable[str]) -> list[str]:
    """Heads in the order in which the network computes them: stack by stack, coarse to fine, the regression last."""
    return sorted(names, key=lambda name: (1,) if name == REGRESSION else (0, head_stack(name), -head_scale(name)))


def before(names: Iterable[str]) -> str:
    """The last stack's GT head: what the regression begins with, and the answer where there is none."""
    return max((name for name in names if name.endswith("_gt1")), key=head_stack)


def label(name: str) -> str:
    """A head as the paper writes it: `stack 2, GT/4`."""
    if name == REGRESSION:
        return "after regression"
    scale = head_scale(name)
    return f"stack {head_stack(name)}, GT" + (f"/{scale}" if scale > 1 else "")


def stack(name: str) -> int | None:
    """Number of the stack that a head belongs to, from 1; None for the regression."""
    return None if name == REGRESSION else head_stack(name)


def read(
    heatmaps: dict[str, np.ndarray], crop_size: tuple[int, int], picture_size: tuple[int, int], sigma: float
) -> dict[str, np.ndarray]:
    """The keypoints that each head says, for `strip`.

    Args:
        heatmaps: (h, w, K) by head.
        crop_size: (H, W) of what the network looked at.
        picture_size: (H, W) of the picture that is drawn on, which shows the same square.
        sigma: of the heatmaps, `TrainingConfig.sigma`.

    Returns:
        (K, 3) x, y in the picture's pixels and score, by head.
    """
    found = {}
    for name, maps in heatmaps.items():
        keypoints = codec.decode(np.asarray(maps, np.float32)[None], crop_size[0] // maps.shape[0], sigma)[0]
        keypoints[:, :2] = geometry.heatmap_to_crop(keypoints[:, :2], picture_size[0] / crop_size[0])
        found[name] = keypoints
    return found


def strip(
    crop: np.ndarray,
    heatmaps: dict[str, np.ndarray],
    keypoints: dict[str, np.ndarray],
    skeleton: Skeleton,
    *,
    keypoint: str | None = None,
    threshold: float = 0.0,
) -> np.ndarray:
    """The picture that is drawn at the top of this file.

    Args:
        crop: (H, W, 3) uint8 RGB, the square that the network looked at, in any size.
        heatmaps: (h, w, K) by head.
        keypoints: (K, 3) x, y in pixels of `crop` and score, by head.
        skeleton: of the K keypoints.
        keypoint: whose heatmap alone is shown; at each pixel the largest of all where None.
        threshold: keypoints must score above it to be drawn.

    Returns:
        uint8 RGB. Each heatmap has colours of its own, up to its peak, which its caption gives.

    Raises:
        MsposeError: the skeleton has no such keypoint.
    """
    if keypoint is not None and keypoint not in skeleton.keypoints:
        raise MsposeError(f"{skeleton.name} has no keypoint {keypoint!r}; it has {', '.join(skeleton.keypoints)}")
    chosen = slice(None) if keypoint is None else [skeleton.index(keypoint)]

    def seen(name: str, called: str) -> Tile:
        maps = heatmaps[name][..., chosen]
        return heatmap_overlay(crop, maps), f"{called}, peak {maps.max():.2f}"

    def said(name: str, called: str) -> Tile:
        return draw_pose(crop, keypoints[name], skeleton, threshold=threshold, person_size=max(crop.shape)), called

    names = in_order(heatmaps)
    rows: dict[int, list[Tile]] = {}
    for name in names:
        if name == REGRESSION:
            continue
        row = rows.setdefault(head_stack(name), [])
        height, width = heatmaps[name].shape[:2]
        row.append(seen(name, f"{label(name)} ({width} x {height})"))
        if name.endswith("_gt1"):
            row.append(said(name, f"stack {head_stack(name)}, keypoints"))
    last = [(crop, "what the network looks at")]
    if REGRESSION in names:
        start = before(names)
        last += [seen(start, "before regression"), said(start, "before regression")]
        last += [seen(REGRESSION, "after regression"), said(REGRESSION, "after regression")]
    return grid([*rows.values(), last])
