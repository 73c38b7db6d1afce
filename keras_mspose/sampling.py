"""Resampling of an image to a crop: smoothed where the crop's pixels are larger, then bilinear. The slowest of the
pipeline's own work, so that XLA compiles it.

The arithmetic is of integers: compiled or not, on any machine, the same image gives the same crop.
"""

from __future__ import annotations

from functools import lru_cache, partial

import tensorflow as tf

from keras_mspose.crop_rule import BLUR_BITS, FAR, POSITION_BITS, WEIGHT_BITS

HALF = 2 ** (2 * WEIGHT_BITS - 1)  # of a grey level, in products of two such weights
# Pixels that images are filled up to: XLA compiles for one shape at a time, and images have every shape.
LENGTHS = tuple(pixels for n in range(13, 28) for pixels in (2**n, 3 * 2 ** (n - 1)))


def sample(
    image: tf.Tensor,
    positions: tf.Tensor,
    crop_size: tuple[int, int],
    *,
    compiled: bool = True,
    upright: bool = False,
) -> tf.Tensor:
    """Resample an image to a crop.

    Where a crop pixel spans s > 1 image pixels, each pixel is first averaged with its neighbours, weighted by a
    triangle of half-width s, as Pillow's and `tf.image.resize`'s anti-aliasing have it. That does for s up to 2.

    Args:
        image: (h, w, 3) uint8.
        positions: (2, 3) float transform from crop pixels to the image's, angle-preserving.
        crop_size: (H, W), at most 2,000 each.
        compiled: by XLA, for speed. Without, for graphs that are to run where there is none: same crops, slower.
        upright: `positions` neither turns nor mirrors. Without XLA that is several times as fast, rows first and then
            columns: the same integers added up in another order, so the same crops.

    Returns:
        (H, W, 3) uint8; black beyond the image.
    """
    size = tf.shape(image)[:2]
    fixed, weight, length = _prepare(positions, size)
    height, width = tf.unstack(size)
    pixels = tf.reshape(image, [-1])
    smooth = _smooth_compiled if compiled else _smooth
    plain = partial(_bilinear_upright if upright else _bilinear, crop_size)
    resample = _bilinear_compiled(crop_size) if compiled else plain

    def smoothed() -> tf.Tensor:
        rows = tf.pad(pixels, [[0, length + 6 * width + 6 - tf.size(pixels)]])
        return smooth(*(tf.slice(rows, [3 * row * width], [length + 6]) for row in range(3)), weight)

    pixels = tf.cond(weight > 0, smoothed, lambda: tf.pad(pixels, [[0, length - tf.size(pixels)]]))
    return tf.ensure_shape(resample(pixels, height, width, tf.minimum(weight, 1), fixed), (*crop_size, 3))


def _prepare(positions: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The numbers of one image.

    Returns:
        Positions (2, 3) in 2^-16 pixels, the smoothing weight of a neighbour () in 1/64, and () how many bytes to make
        the pixels.
    """
    across = tf.math.rsqrt(tf.reduce_sum(positions[:, :2] ** 2) / 2)  # 1 / s
    beside = tf.maximum(1 - across, 0)  # the triangle's height one pixel beside its middle, which is 1
    weight = tf.cast(tf.round(2**BLUR_BITS * beside / (1 + 2 * beside)), tf.int32)
    weight = tf.where(tf.reduce_min(size) > 2, weight, 0)
    fixed = tf.clip_by_value(positions, -FAR, FAR) * 2.0**POSITION_BITS
    lengths = tf.constant(LENGTHS)
    length = tf.reduce_min(tf.where(lengths >= tf.reduce_prod(size), lengths, LENGTHS[-1]))
    return tf.cast(tf.round(fixed), tf.int32), weight, 3 * length


def _smooth(above: tf.Tensor, here: tf.Tensor, below: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """The weighted mean of each pixel of a row with its eight neighbours.

    Args:
        above, here, below: (n + 6,) uint8, the same pixels from one row, from the next and from the one after on. XLA
            has no fast way of its own to take them from one array where the rows' length is not known beforehand.
        weight: () of either neighbour, across and down, in 1/64.

    Returns:
        (n,) uint8. The first is the mean about the second pixel of `here`, as the first has no eight neighbours.
    """
    side = tf.cast(weight, tf.uint16)
    middle = 2**BLUR_BITS - 2 * side

    def across(row: tf.Tensor) -> tf.Tensor:
        row = tf.cast(row, tf.uint16)
        mean = (row[:-6] + row[6:]) * side + row[3:-3] * middle
        return tf.bitwise.right_shift(mean + 8, tf.constant(4, tf.uint16))

    mean = (across(above) + across(below)) * side + across(here) * middle
    return tf.cast(tf.bitwise.right_shift(mean + 128, tf.constant(8, tf.uint16)), tf.uint8)


def _bilinear(
    crop_size: tuple[int, int],
    pixels: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    border: tf.Tensor,
    positions: tf.Tensor,
) -> tf.Tensor:
    """Bilinear sampling.

    Args:
        crop_size: (H, W).
        pixels: (n,) uint8, an image's rows one after the other, from the pixel border, border on.
        height, width: () of the image.
        border: () width of the rim that has no pixels; those within stand in for them.
        positions: (2, 3) int32 transform from crop pixels to the image's, in 2^-16 pixels.

    Returns:
        (H, W, 3) uint8; black beyond the image.
    """
    across = tf.range(crop_size[1])[None, :]
    down = tf.range(crop_size[0])[:, None]
    x, y = (row[0] * across + row[1] * down + row[2] for row in tf.unstack(positions))
    colours = tf.reshape(pixels, [-1, 3])
    total = tf.constant(HALF)
    for row, of_row in _taps(y, height, border):
        for column, of_column in _taps(x, width, border):
            colour = tf.cast(tf.gather(colours, row * width + column), tf.int32)
            total += colour * (of_row * of_column)[..., None]
    return tf.cast(tf.bitwise.right_shift(total, 2 * WEIGHT_BITS), tf.uint8)


def _bilinear_upright(
    crop_size: tuple[int, int],
    pixels: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    border: tf.Tensor,
    positions: tf.Tensor,
) -> tf.Tensor:
    """`_bilinear` for positions that neither turn nor mirror: a row's pixels share their weights, and a column's."""
    x = positions[0, 0] * tf.range(crop_size[1]) + positions[0, 2]
    y = positions[1, 1] * tf.range(crop_size[0]) + positions[1, 2]
    image = tf.reshape(pixels[: 3 * height * width], [height, 3 * width])
    rows = tf.add_n(
        [tf.cast(tf.gather(image, row), tf.int32) * weight[:, None] for row, weight in _taps(y, height, border)]
    )
    rows = tf.reshape(rows, [crop_size[0], width, 3])
    total = tf.constant(HALF)
    for column, weight in _taps(x, width, border):
        total += tf.gather(rows, column, axis=1) * weight[:, None]
    return tf.cast(tf.bitwise.right_shift(total, 2 * WEIGHT_BITS), tf.uint8)


def _taps(position: tf.Tensor, length: tf.Tensor, border: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Index and weight of the pixel before a position and of the one behind it; see `_bilinear` for the arguments."""
    one = 2**WEIGHT_BITS
    first = tf.bitwise.right_shift(position, POSITION_BITS)
    share = tf.bitwise.bitwise_and(tf.bitwise.right_shift(position, POSITION_BITS - WEIGHT_BITS), one - 1)
    return [
        (tf.clip_by_value(i, border, length - 1 - border) - border, tf.where((i >= 0) & (i < length), weight, 0))
        for i, weight in ((first, one - share), (first + 1, share))
    ]


_bytes, _number = tf.TensorSpec((None,), tf.uint8), tf.TensorSpec((), tf.int32)
_smooth_compiled = tf.function(_smooth, [_bytes, _bytes, _bytes, _number], autograph=False, jit_compile=True)


@lru_cache
def _bilinear_compiled(crop_size: tuple[int, int]) -> tf.types.experimental.PolymorphicFunction:
    signature = [_bytes, _number, _number, _number, tf.TensorSpec((2, 3), tf.int32)]
    return tf.function(partial(_bilinear, crop_size), signature, autograph=False, jit_compile=True)
