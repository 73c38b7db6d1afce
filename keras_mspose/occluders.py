"""Random occluders: one or two rectangles or ellipses that hide part of a crop, wherever it may be.

Each shows one of three things, equally often: another part of the crop, upright as it is there; the colour of one of
the crop's pixels; or noise, the crop's own pixels in disorder. All are displacements of the crop's own pixels (see
`patches`), so that light and colours fit the photograph. Hidden keypoints stay labelled and become occluded. A second
occluder that would overlap the first is left out.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_mspose import patches
from keras_mspose.config import AugmentConfig

MOST = 2
SMALLEST = 0.1  # width or height, as a share of the crop's side
BANDS = 6  # an ellipse is drawn as so many pairs of rows of rectangles, each pair of one width
NUMBERS = 2 + 9 * MOST  # random numbers of a crop
DISORDER = np.random.default_rng(0).random(4096).astype(np.float32)


def occluding_patches(crop_size: tuple[int, int], drawn: tf.Tensor, config: AugmentConfig) -> patches.Layer:
    """Patches that hide parts of some crops.

    Args:
        crop_size: (H, W).
        drawn: (B, `NUMBERS`) between 0 and 1.
        config: `occluders` is the share of crops, `occluder_size` the largest width and height.
    """
    height, width = crop_size
    size = tf.constant([width, height], tf.float32)
    each = tf.reshape(drawn[:, 2:], [-1, MOST, 9])
    lengths, corners, sources, shape, kind, phase = tf.split(each, [2, 2, 2, 1, 1, 1], axis=-1)
    lengths = tf.round(size * (SMALLEST + (config.occluder_size - SMALLEST) * lengths))  # (B, P, 2) as x, y
    first, source = tf.floor(corners * (size - lengths + 1)), tf.floor(sources * (size - lengths + 1))
    wanted = (drawn[:, :1] < config.occluders) & (tf.range(MOST) < 1 + tf.cast(MOST * drawn[:, 1:2], tf.int32))
    pasted = tf.cast(patches.apart(first, lengths, wanted), tf.float32)

    x, y = tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32)
    move, pixel = source - first, tf.floor(sources * size)
    # row and column displacements (B, P, H) and (B, P, W): a part of the crop, one colour, noise
    part = (move[..., 1:] * width + move[..., :1] + 0 * y, 0 * x)
    colour = ((pixel[..., 1:] - y) * width + pixel[..., :1], -x)
    rows, columns = ((tf.constant(DISORDER[:n]) + phase) % 1.0 for n in (height, width))
    room = size - lengths + 1
    noise = (
        tf.floor(rows * room[..., :1]) - first[..., :1],
        (tf.floor(columns * room[..., 1:]) - first[..., 1:]) * width,
    )
    which = tf.cast(3 * kind, tf.int32)
    down, across = (
        tf.where(which == 0, a, tf.where(which == 1, b, c)) for a, b, c in zip(part, colour, noise, strict=True)
    )

    # of every band its rows (B, P, BANDS, H) and its columns (B, P, BANDS, W)
    half = lengths / 2
    middle = first + half - 0.5
    band = tf.floor(BANDS * tf.abs(y - middle[..., 1:]) / half[..., 1:])
    in_band = tf.cast(band[:, :, None] == tf.range(BANDS, dtype=tf.float32)[:, None], tf.float32)
    in_band *= pasted[..., None, None]
    round_widths = tf.sqrt(1 - ((tf.range(BANDS, dtype=tf.float32) + 0.5) / BANDS) ** 2)
    widths = half[..., :1] * tf.where(shape < 0.5, 1.0, round_widths)
    in_width = tf.cast(tf.abs(x - middle[..., :1])[:, :, None] <= widths[..., None], tf.float32)
    rows = tf.concat([in_band * down[:, :, None], in_band], axis=2)
    columns = tf.concat([in_width, in_width * across[:, :, None]], axis=2)
    terms = 2 * BANDS * MOST
    return patches.Layer(tf.reshape(rows, [-1, terms, height]), tf.reshape(columns, [-1, terms, width]))
