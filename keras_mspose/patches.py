"""Pixels of a crop shown at other places of it: what keypoint masking and occluders are made of, at one touch a pixel.

A patch is a rectangle of the crop that shows pixels from elsewhere in the same crop. The displacement of a pixel,
counted in pixels of the flattened crop, is 0 outside of every patch and a product `rows(y) * columns(x)`, or a sum of
such products, inside of one, so that the displacements of all pixels under all patches of a layer are one matrix
product. Patches of one layer must not overlap: where two do, their displacements would add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf


class Layer(NamedTuple):
    """Patches that do not overlap: pixel i of a flattened crop shows pixel i + d, d = sum_r rows[r, y] * columns[r, x].

    Attributes:
        rows: (B, R, H) float with whole numbers.
        columns: (B, R, W) float with whole numbers. Every i + d is a pixel of the crop, of less than 2 ** 24 pixels:
            up to there float32 holds every whole number.
    """

    rows: tf.Tensor
    columns: tf.Tensor


def paste(crops: tf.Tensor, targets: tf.Tensor, layers: Sequence[Layer]) -> tuple[tf.Tensor, tf.Tensor]:
    """Show patches on crops; all show pixels of the crops as they were before.

    Args:
        crops: (B, H, W, 3) uint8.
        targets: (B, K, 4) x, y in crop pixels, visibility, reference length.
        layers: later ones lie over earlier ones.

    Returns:
        crops, and targets whose visible keypoints (2) are occluded ones (1) where another pixel is shown.
    """
    height, width = crops.shape[1:3]
    displacement = tf.zeros([1, height, width])
    for rows, columns in layers:
        over = tf.matmul(rows, columns, transpose_a=True)
        displacement = tf.where(over != 0, over, displacement)
    displacement = tf.reshape(tf.cast(displacement, tf.int32), [-1, height * width])
    source = displacement + tf.range(height * width)
    shown = tf.gather(tf.reshape(crops, [-1, height * width, 3]), source, batch_dims=1)

    pixel = tf.cast(tf.round(targets[..., :2]), tf.int32)
    inside = tf.reduce_all((pixel >= 0) & (pixel < [width, height]), axis=-1)
    x, y = tf.unstack(tf.where(inside[..., None], pixel, 0), axis=-1)
    hidden = inside & (tf.gather(displacement, y * width + x, batch_dims=1) != 0)
    visibility = tf.where(hidden, tf.minimum(targets[..., 2], 1.0), targets[..., 2])
    targets = tf.concat([targets[..., :2], visibility[..., None], targets[..., 3:]], axis=-1)
    return tf.reshape(shown, tf.shape(crops)), targets


def span(first: tf.Tensor, length: tf.Tensor, size: int) -> tf.Tensor:
    """(..., size) float: 1 on the `length` pixels from `first` on, 0 elsewhere; of a patch, its rows or its columns."""
    pixel = tf.range(size)
    return tf.cast((pixel >= first[..., None]) & (pixel < (first + length)[..., None]), tf.float32)


def apart(first: tf.Tensor, length: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Which of the wanted patches stay if one that overlaps an earlier wanted one goes.

    Args:
        first: (B, P, 2) x, y of each patch's first pixel.
        length: (B, P, 2) its width and height.
        wanted: (B, P) bool.

    Returns:
        (B, P) bool.
    """
    last = first + length
    crossing = (first[:, :, None] < last[:, None]) & (first[:, None] < last[:, :, None])
    overlap = tf.reduce_all(crossing, axis=-1) & wanted[:, None, :] & wanted[:, :, None]
    patches = tf.range(tf.shape(wanted)[1])
    return wanted & ~tf.reduce_any(overlap & (patches[None, :] < patches[:, None]), axis=-1)
