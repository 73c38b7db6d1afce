"""Pixels of a crop shown at other places of it: what keypoint masking and occluders are made of, at one touch a pixel.

A patch is a rectangle of the crop that shows pixels from elsewhere in the same crop. The displacement of a pixel,
counted in pixels of the flattened crop, is 0 outside of every patch and `rows(y) * columns(x)` inside of one, so that
the displacements of all pixels under all patches are one matrix product. Patches must not overlap: where two do, their
displacements would add up.
"""

from __future__ import annotations

import tensorflow as tf


def displaced(crops: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Show at pixel i of every flattened crop its pixel i + d, d = sum_r rows[r, y] * columns[r, x].

    Args:
        crops: (B, H, W, 3) uint8.
        rows: (B, R, H) float with whole numbers; rows of a crop where all R are 0 are not touched, and cost little.
        columns: (B, R, W) float with whole numbers. Every i + d is a pixel of the crop, of less than 2 ** 24 pixels:
            up to there float32 holds every whole number.

    Returns:
        (B, H, W, 3) uint8.
    """
    height, width = crops.shape[1:3]
    count = tf.shape(crops)[0]
    # one more term, x, makes the product the place in its own crop's row that every pixel is to show
    across = tf.tile(tf.range(width, dtype=tf.float32)[None, None], [count, 1, 1])
    displacement = tf.matmul(
        tf.concat([rows, tf.ones([count, 1, height])], axis=1), tf.concat([columns, across], axis=1), transpose_a=True
    )
    touched = tf.where(tf.reshape(tf.reduce_any(rows != 0, axis=1), [-1]))  # (n, 1) rows of the batch of crops
    places = tf.cast(tf.gather(tf.reshape(displacement, [-1, width]), touched[:, 0]), tf.int32)
    places += tf.cast(touched, tf.int32) * width
    shown = tf.gather(tf.reshape(crops, [-1, 3]), places)
    changed = tf.tensor_scatter_nd_update(tf.reshape(crops, [-1, width, 3]), touched, shown)
    return tf.reshape(changed, tf.shape(crops))


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


def covered(keypoints: tf.Tensor, first: tf.Tensor, length: tf.Tensor, pasted: tf.Tensor) -> tf.Tensor:
    """Keypoints (B, K, 3+) whose visible ones (2) become occluded ones (1) where a pasted patch covers them.

    Args:
        first, length, pasted: patches as in `apart`.
    """
    xy = tf.round(keypoints[:, :, None, :2])
    inside = (xy >= tf.cast(first, tf.float32)[:, None]) & (xy < tf.cast(first + length, tf.float32)[:, None])
    hidden = tf.reduce_any(tf.reduce_all(inside, axis=-1) & pasted[:, None], axis=-1)
    visibility = keypoints[..., 2]
    occluded = tf.where(hidden, tf.minimum(visibility, 1.0), visibility)
    return tf.concat([keypoints[..., :2], occluded[..., None], keypoints[..., 3:]], axis=-1)
