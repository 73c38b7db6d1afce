"""What a record says of a person, as the network is given and measured by it: box, targets, reference length.

Person and all that belongs to it may have a leading dimension of B, that of a batch.
"""

from __future__ import annotations

import tensorflow as tf

from keras_mspose import geometry
from keras_mspose.skeleton import Skeleton


def targets(keypoints: tf.Tensor, matrix: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """What losses and metrics compare with: (..., K, 4) x, y in crop pixels, visibility, and the metric's reference
    length in crop pixels (0 where the person has none).

    Args:
        keypoints: (..., K, 3) in photograph pixels.
        matrix: (..., 2, 3) photograph to crop.
        reference: (...) in crop pixels.
    """
    xy = geometry.apply(matrix, keypoints[..., :2])
    length = reference[..., None, None] + tf.zeros_like(keypoints[..., :1])
    return tf.concat([xy, keypoints[..., 2:], length], axis=-1)


def person_box(person: dict[str, tf.Tensor], rule: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Centre (..., 2) and side (...) of a person's square box in photograph pixels, by `record`, `joints` or `image`.

    `record` falls back to `joints` for persons whose data set gives no box.
    """
    if rule == "image":
        return geometry.image_box(person["image_size"][..., 0], person["image_size"][..., 1])
    center, side = geometry.joints_box(person["keypoints"])
    if rule == "record":
        box = person["box"]
        center, side = tf.where(box[..., 2:] > 0, box[..., :2], center), tf.where(box[..., 2] > 0, box[..., 2], side)
    return center, side


def reference_length(person: dict[str, tf.Tensor], metric: str, skeleton: Skeleton) -> tf.Tensor:
    """(...) length in photograph pixels that distances are divided by: `pckh` the head size, `pck` the torso, `pck_box`
    the side of the box that `person_box` gives by `record`; 0 where the person has none and is not counted."""
    if metric == "pck_box":
        _, side = person_box(person, "record")
        return tf.where(side > 1, side, 0.0)  # 1: the box about a single keypoint, which has no size
    if metric == "pckh" or skeleton.torso is None:
        return person["head_size"]
    a, b = (person["keypoints"][..., skeleton.index(name), :] for name in skeleton.torso)
    both = (a[..., 2] > 0) & (b[..., 2] > 0)
    return tf.where(both, tf.norm(a[..., :2] - b[..., :2], axis=-1), 0.0)
