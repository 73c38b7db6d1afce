"""`sampling` for a crop that is neither turned nor mirrored, in a graph without XLA, where every operation reads and
writes memory of its own: a column's pixels share their weights, and a row's, and nothing is computed twice. The same
integers, so the same crops."""

from __future__ import annotations

import tensorflow as tf

from keras_mspose import sampling
from keras_mspose.crop_rule import BLUR_BITS


def packed(image: tf.Tensor, of: sampling.Numbers, crop_size: tuple[int, int]) -> tf.Tensor:
    """As `sampling.packed`.

    Args:
        image: (h, w, 3) uint8.
        of: the image's `numbers`, whose transform neither turns nor mirrors.
        crop_size: (H, W).
    """
    height, width = tf.unstack(of.size)
    border = tf.cast(of.weight > 0, tf.int32)
    seen = tf.cond(of.weight > 0, lambda: _smooth(image, of.weight), lambda: image)
    across, down = (of.fixed[axis, axis] * tf.range(crop_size[1 - axis]) + of.fixed[axis, 2] for axis in (0, 1))
    table = sampling.spread(seen)
    columns = sampling.taps(across, width, border)
    rows = sampling.between([(tf.gather(table, place, axis=1), share) for place, share in columns])
    lines = sampling.taps(down, height, border)
    return sampling.bytes_apart([(tf.gather(rows, place), share[:, None]) for place, share in lines])


def _smooth(image: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """The weighted mean of each pixel with its eight neighbours, where it has them: (h - 2, w - 2, 3) uint8."""
    side = tf.cast(weight, tf.uint16)
    middle = 2**BLUR_BITS - 2 * side
    image = tf.cast(image, tf.uint16)
    mean = (image[:, :-2] + image[:, 2:]) * side + image[:, 1:-1] * middle
    mean = tf.bitwise.right_shift(mean + 8, tf.constant(4, tf.uint16))
    mean = (mean[:-2] + mean[2:]) * side + mean[1:-1] * middle
    return tf.cast(tf.bitwise.right_shift(mean + 128, tf.constant(8, tf.uint16)), tf.uint8)
