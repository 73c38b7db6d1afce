"""Augmentation: random numbers for one person, then keypoints and image together through one transform.

Nothing here touches a pixel but `colour`: scale, rotation, translation and flip go into the crop transform, so that the
photograph is resampled once. All draws are stateless: the same seed gives the same crop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from keras_mspose.config import AugmentConfig


class Draw(NamedTuple):
    """Random numbers of one person.

    Attributes:
        scale: () factor by which the person appears larger.
        rotation: () radians, from +x towards +y.
        shift: (2,) shift of the box's centre, as a share of its side.
        flip: () bool.
        colour: (3,) factor of each colour channel.
        whole_image: () bool, the crop is cut about the photograph instead of the person.
    """

    scale: tf.Tensor
    rotation: tf.Tensor
    shift: tf.Tensor
    flip: tf.Tensor
    colour: tf.Tensor
    whole_image: tf.Tensor


def draw(config: AugmentConfig, seed: tf.Tensor) -> Draw:
    """Draw the numbers of one person.

    Args:
        seed: (2,) int, unlike for every person and epoch.
    """
    r = tf.random.stateless_uniform([10], seed, -1.0, 1.0)
    turned = r[2] < 2 * config.rotation_share - 1
    return Draw(
        scale=1.0 + config.scale * r[0],
        rotation=tf.where(turned, math.radians(config.rotation) * r[1], 0.0),
        shift=config.translation * r[3:5],
        flip=r[5] < 2 * config.flip - 1,
        colour=1.0 + config.colour * r[6:9],
        whole_image=r[9] < 2 * config.whole_image - 1,
    )


@tf.function(jit_compile=True)  # one pass over the pixels instead of six
def change_colour(crop: tf.Tensor, colour: tf.Tensor) -> tf.Tensor:
    """Multiply the colour channels of uint8 crops (..., H, W, 3) by (..., 3) factors; the result is clipped."""
    changed = tf.cast(crop, tf.float32) * colour[..., None, None, :]
    return tf.cast(tf.clip_by_value(changed + 0.5, 0.0, 255.0), tf.uint8)


def flip_keypoints(keypoints: tf.Tensor, flip: tf.Tensor, flip_order: tf.Tensor) -> tf.Tensor:
    """Exchange the names of mirrored keypoints (K, n) where `flip` () holds; positions are the transform's business."""
    return tf.where(flip, tf.gather(keypoints, flip_order), keypoints)
