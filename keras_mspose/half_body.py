"""Crops of an upper or a lower body alone, as HRNet and mmpose train with.

A person is cut in half where more than half of the skeleton's keypoints are labelled, and at least `FEWEST` of them in
the half that is taken; where the half that was drawn has fewer, the other one is taken. The box is a square about the
half's labelled keypoints, `MARGIN` times as wide as the longer side of their bounding box, but never wider than the
person's own box, nor under `SMALLEST` of it: so few pixels of a photograph are not worth enlarging.

Keypoints of the other half mostly fall outside of such a crop, and have no place on its heatmaps: the ground truth that
equation 1 compares with would be an empty map, and would teach that a keypoint that was cut off on purpose is "not
there" in up to half of the maps. The field gives them no loss (HRNet and mmpose weigh a Gaussian that lies outside by
0), and so does this: outside of a half-body crop a keypoint becomes unlabelled, and adds 0 as every unlabelled one
does. Keypoints of the other half that are inside of the crop stay labelled. What falls out of other crops by scale,
rotation or shift is a keypoint or two, and keeps its (empty) ground truth.
"""

from __future__ import annotations

import tensorflow as tf

from keras_mspose import geometry
from keras_mspose.skeleton import Skeleton

FEWEST = 3  # labelled keypoints of a half that is cut out
MARGIN = 1.5  # side of the box over the longer side of the half's bounding box
SMALLEST = 1 / 3  # of the person's own box


def half_body_box(
    keypoints: tf.Tensor, skeleton: Skeleton, upper: tf.Tensor, whole: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The box of a person's upper or lower half.

    Args:
        keypoints: (..., K, 3) x, y in photograph pixels, visibility.
        skeleton: one that names its `upper_body`.
        upper: (...) bool, which half is wanted.
        whole: (...) side of the person's own box in photograph pixels.

    Returns:
        centre (..., 2) and side (...) in photograph pixels, and (...) bool, whether enough is labelled for it.
    """
    labelled = keypoints[..., 2] > 0
    above = tf.constant([name in skeleton.upper_body for name in skeleton.keypoints])
    uppers, lowers = (tf.reduce_sum(tf.cast(labelled & half, tf.int32), axis=-1) for half in (above, ~above))
    upper = (uppers >= FEWEST) & (upper | (lowers < FEWEST))
    enough = (tf.maximum(uppers, lowers) >= FEWEST) & (2 * (uppers + lowers) > len(skeleton))
    taken = tf.cast(labelled & (above == upper[..., None]), tf.float32)
    center, side = geometry.joints_box(tf.concat([keypoints[..., :2], taken[..., None]], axis=-1))
    return center, tf.clip_by_value(side * (MARGIN / geometry.BOX_MARGIN), SMALLEST * whole, whole), enough


def without_outside(targets: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Targets (..., K, 4) with those outside of a crop of `size` (H, W) unlabelled."""
    inside = tf.reduce_all((targets[..., :2] > -0.5) & (targets[..., :2] < [size[1] - 0.5, size[0] - 0.5]), axis=-1)
    visibility = tf.where(inside, targets[..., 2], 0.0)
    return tf.concat([targets[..., :2], visibility[..., None], targets[..., 3:]], axis=-1)
