"""Augmentation: random numbers for every person, then keypoints and image together through one transform.

Scale, rotation, translation, flip and half bodies go into the crop transform, so that the photograph is resampled once.
Pixels of the crop are touched by patches and by colours alone, a batch at a time. All draws are stateless: the same
seed gives the same crop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from keras_mspose import masking, occluders, patches
from keras_mspose.config import AugmentConfig
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton


class Draw(NamedTuple):
    """Random numbers of one person or, with a leading dimension of B in all, of a batch.

    Attributes:
        scale: () factor by which the person appears larger.
        rotation: () radians, from +x towards +y.
        shift: (2,) shift of the box's centre, as a share of its side.
        flip: () bool.
        colour: (2, 3) factor of each colour channel, and the grey levels that are added to it.
        whole_image: () bool, the crop is cut about the photograph instead of the person.
        half_body: () bool, the crop is cut about half of the person, if enough of it is labelled; and
        upper: () bool, which half.
    """

    scale: tf.Tensor
    rotation: tf.Tensor
    shift: tf.Tensor
    flip: tf.Tensor
    colour: tf.Tensor
    whole_image: tf.Tensor
    half_body: tf.Tensor
    upper: tf.Tensor


def check(config: AugmentConfig, skeleton: Skeleton) -> None:
    """See that a skeleton has what the augmentation needs to know.

    Raises:
        MsposeError: half bodies are asked for, and the skeleton does not name its upper body.
    """
    if config.half_body and not skeleton.upper_body:
        raise MsposeError(
            f"data.augment.half_body: skeleton {skeleton.name} does not say which keypoints are the upper body; name "
            "them under `upper_body` of `skeleton` in dataset.json, or set half_body to 0"
        )


def draw(config: AugmentConfig, seed: tf.Tensor) -> Draw:
    """Draw the numbers of one person or of a batch.

    Args:
        seed: (2,) or (B, 2) int, unlike for every person and epoch.
    """
    r = 2 * _uniform(14, seed) - 1
    one = tf.unstack(r, axis=-1)
    turned = one[2] < 2 * config.rotation_share - 1
    contrast, lighter = 1.0 + config.contrast * r[..., 12:13], 255.0 * config.brightness * r[..., 13:]
    factors = contrast * (1.0 + config.colour * r[..., 6:9])
    return Draw(
        scale=1.0 + config.scale * one[0],
        rotation=tf.where(turned, math.radians(config.rotation) * one[1], 0.0),
        shift=config.translation * r[..., 3:5],
        flip=one[5] < 2 * config.flip - 1,
        colour=tf.stack([factors, 127.5 * (1.0 - contrast) + lighter + 0 * factors], axis=-2),
        whole_image=one[9] < 2 * config.whole_image - 1,
        half_body=one[10] < 2 * config.half_body - 1,
        upper=one[11] < 0,
    )


def _uniform(count: int, seed: tf.Tensor) -> tf.Tensor:
    """`count` numbers from 0 to 1 of every seed: (count,) or (B, count). Each person's are its own seed's, whoever else
    is in the batch, which TensorFlow has no single operation for."""
    if len(seed.shape) == 1:
        return tf.random.stateless_uniform([count], seed)
    return tf.stack([_uniform(count, one) for one in tf.unstack(seed)])


def change_colour(crop: tf.Tensor, colour: tf.Tensor) -> tf.Tensor:
    """Multiply the colour channels of uint8 crops (..., H, W, 3) by factors and add grey levels, both in `colour`
    (..., 2, 3) as in `Draw`; the result is clipped."""
    factor, added = colour[..., :1, None, :], colour[..., 1:, None, :]
    changed = tf.cast(crop, tf.float32) * factor + (added + 0.5)
    return tf.cast(tf.clip_by_value(changed, 0.0, 255.0), tf.uint8)


def flip_keypoints(keypoints: tf.Tensor, flip: tf.Tensor, flip_order: tf.Tensor) -> tf.Tensor:
    """Exchange the names of mirrored keypoints (..., K, n) where `flip` (...) holds; positions are the transform's
    business."""
    return tf.where(flip[..., None, None], tf.gather(keypoints, flip_order, axis=-2), keypoints)


def draw_patches(config: AugmentConfig, skeleton: Skeleton, seed: tf.Tensor) -> tf.Tensor:
    """The numbers between 0 and 1, (n,) or (B, n), that patches need, apart from `draw`'s: none where all are off.

    Args:
        seed: (2,) or (B, 2) int, as in `draw`.
    """
    count = occluders.NUMBERS if config.occluders else 0
    count += masking.numbers(skeleton) if config.mask_keypoints or config.copy_keypoints else 0
    if not count:
        return tf.zeros([*seed.shape[:-1], 0])
    apart = [tf.random.fold_in(one, 1) for one in tf.unstack(tf.reshape(seed, [-1, 2]))]
    return _uniform(count, tf.reshape(tf.stack(apart), seed.shape))


def paste_patches(
    crops: tf.Tensor, targets: tf.Tensor, numbers: tf.Tensor, config: AugmentConfig, skeleton: Skeleton
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keypoint masking, and occluders over it, as far as they are on.

    Args:
        crops: (B, H, W, 3) uint8.
        targets: (B, K, 4) x, y in crop pixels, visibility, reference length.
        numbers: (B, n) as `draw_patches` gives them.

    Returns:
        crops and targets, of the same shapes.
    """
    first, layers = occluders.NUMBERS if config.occluders else 0, []
    if config.mask_keypoints or config.copy_keypoints:
        layers.append(masking.keypoint_patches(crops, targets, numbers[:, first:], config, skeleton))
    if config.occluders:
        layers.append(occluders.occluding_patches(crops.shape[1:3], numbers[:, :first], config))
    return patches.paste(crops, targets, layers) if layers else (crops, targets)
