"""Augmentation: random numbers for one person, then keypoints and image together through one transform.

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
    """Random numbers of one person.

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
    """Draw the numbers of one person.

    Args:
        seed: (2,) int, unlike for every person and epoch.
    """
    r = tf.random.stateless_uniform([14], seed, -1.0, 1.0)
    turned = r[2] < 2 * config.rotation_share - 1
    contrast, lighter = 1.0 + config.contrast * r[12], 255.0 * config.brightness * r[13]
    return Draw(
        scale=1.0 + config.scale * r[0],
        rotation=tf.where(turned, math.radians(config.rotation) * r[1], 0.0),
        shift=config.translation * r[3:5],
        flip=r[5] < 2 * config.flip - 1,
        colour=tf.stack([contrast * (1.0 + config.colour * r[6:9]), tf.repeat(127.5 * (1.0 - contrast) + lighter, 3)]),
        whole_image=r[9] < 2 * config.whole_image - 1,
        half_body=r[10] < 2 * config.half_body - 1,
        upper=r[11] < 0,
    )


def change_colour(crop: tf.Tensor, colour: tf.Tensor) -> tf.Tensor:
    """Multiply the colour channels of uint8 crops (..., H, W, 3) by factors and add grey levels, both in `colour`
    (..., 2, 3) as in `Draw`; the result is clipped."""
    factor, added = colour[..., :1, None, :], colour[..., 1:, None, :]
    changed = tf.cast(crop, tf.float32) * factor + (added + 0.5)
    return tf.cast(tf.clip_by_value(changed, 0.0, 255.0), tf.uint8)


def flip_keypoints(keypoints: tf.Tensor, flip: tf.Tensor, flip_order: tf.Tensor) -> tf.Tensor:
    """Exchange the names of mirrored keypoints (K, n) where `flip` () holds; positions are the transform's business."""
    return tf.where(flip, tf.gather(keypoints, flip_order), keypoints)


def draw_patches(config: AugmentConfig, skeleton: Skeleton, seed: tf.Tensor) -> tf.Tensor:
    """The numbers between 0 and 1 that patches need of one person, apart from those of `draw`: none where all are off.

    Args:
        seed: (2,) int, the person's in `draw`.
    """
    count = occluders.NUMBERS if config.occluders else 0
    count += masking.numbers(skeleton) if config.mask_keypoints or config.copy_keypoints else 0
    return tf.random.stateless_uniform([count], tf.random.fold_in(seed, 1))


def paste_patches(
    crops: tf.Tensor,
    targets: tf.Tensor,
    numbers: tf.Tensor,
    config: AugmentConfig,
    skeleton: Skeleton,
    *,
    compiled: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keypoint masking, and occluders over it, as far as they are on.

    Args:
        crops: (B, H, W, 3) uint8.
        targets: (B, K, 4) x, y in crop pixels, visibility, reference length.
        numbers: (B, n) as `draw_patches` gives them.
        compiled: by XLA, for speed where many batches of one size come.

    Returns:
        crops and targets, of the same shapes.
    """
    first = occluders.NUMBERS if config.occluders else 0

    def pasted(crops: tf.Tensor, targets: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        layers = []
        if config.mask_keypoints or config.copy_keypoints:
            layers.append(masking.keypoint_patches(crops, targets, numbers[:, first:], config, skeleton))
        if config.occluders:
            layers.append(occluders.occluding_patches(crops.shape[1:3], numbers[:, :first], config))
        return patches.paste(crops, targets, layers) if layers else (crops, targets)

    with tf.device("CPU"):  # where float32 is what it says
        return (tf.function(pasted, autograph=False, jit_compile=True) if compiled else pasted)(crops, targets, numbers)
