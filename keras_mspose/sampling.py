"""Resampling of an image to a crop: smoothed where the crop's pixels are larger, then bilinear. The slowest of the
pipeline's own work, so that XLA compiles it.

The arithmetic is of integers: compiled or not, on any machine, the same image gives the same crop. A pixel's three
colours lie side by side in one 64-bit number, 21 bits apart, so that one load and one multiplication serve all three.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import NamedTuple

import tensorflow as tf

from keras_mspose.crop_rule import BETWEEN_BITS, BLUR_BITS, FAR, POSITION_BITS, WEIGHT_BITS

LANE_BITS = 21  # from a colour to the next: three in 63 bits
# Pixels that images are filled up to: XLA compiles for one shape at a time, half a second each, and images have every
# shape. Of a power of two XLA knows that an index masked by it is inside, and leaves out four tests a pixel.
LENGTHS = tuple(2**n for n in range(13, 28))


class Numbers(NamedTuple):
    """The numbers of one image or, with the same leading dimensions in all, of several.

    Attributes:
        size: (..., 2) int32 height and width.
        fixed: (..., 2, 3) int32 transform from crop pixels to the image's, in 2^-16 pixels.
        weight: (...) int32 smoothing weight of a neighbour, in 1/64.
        length: (...) int32 how many pixels to fill the image up to.
    """

    size: tf.Tensor
    fixed: tf.Tensor
    weight: tf.Tensor
    length: tf.Tensor


def sample(image: tf.Tensor, positions: tf.Tensor, crop_size: tuple[int, int], *, compiled: bool = True) -> tf.Tensor:
    """Resample an image to a crop.

    Where a crop pixel spans s > 1 image pixels, each pixel is first averaged with its neighbours, weighted by a
    triangle of half-width s, as Pillow's and `tf.image.resize`'s anti-aliasing have it. That does for s up to 2.

    Args:
        image: (h, w, 3) uint8.
        positions: (2, 3) float transform from crop pixels to the image's, angle-preserving.
        crop_size: (H, W), at most 2,000 each.
        compiled: by XLA, for speed. Without, for graphs that are to run where there is none: same crops, slower.

    Returns:
        (H, W, 3) uint8; black beyond the image.
    """
    of = numbers(positions, tf.shape(image)[:2], crop_size)
    return unpacked(packed(image, of, crop_size, compiled=compiled))


def numbers(positions: tf.Tensor, size: tf.Tensor, crop_size: tuple[int, int]) -> Numbers:
    """What `packed` needs to know of images.

    Args:
        positions: (..., 2, 3) as for `sample`.
        size: (..., 2) int32 height and width of the images.
        crop_size: (H, W). To fill an image up to as many pixels costs little, and spares shapes.
    """
    across = tf.math.rsqrt(tf.reduce_sum(positions[..., :2] ** 2, axis=[-2, -1]) / 2)  # 1 / s
    beside = tf.maximum(1 - across, 0)  # the triangle's height one pixel beside its middle, which is 1
    weight = tf.cast(tf.round(2**BLUR_BITS * beside / (1 + 2 * beside)), tf.int32)
    weight = tf.where(tf.reduce_min(size, axis=-1) > 2, weight, 0)
    fixed = tf.clip_by_value(positions, -FAR, FAR) * 2.0**POSITION_BITS
    lengths = tf.constant([length for length in LENGTHS if length >= min(math.prod(crop_size), LENGTHS[-1])])
    pixels = tf.reduce_prod(size, axis=-1, keepdims=True)
    length = tf.reduce_min(tf.where(lengths >= pixels, lengths, LENGTHS[-1]), axis=-1)
    return Numbers(size, tf.cast(tf.round(fixed), tf.int32), weight, length)


def packed(image: tf.Tensor, of: Numbers, crop_size: tuple[int, int], *, compiled: bool = True) -> tf.Tensor:
    """`sample`, its three colours in one number: (H, W) int32 for `unpacked`.

    Args:
        image: (h, w, 3) uint8.
        of: the image's `numbers`.
        crop_size, compiled: as for `sample`.
    """
    height, width = tf.unstack(of.size)
    pixels = tf.reshape(image, [-1])

    def filled(length: tf.Tensor) -> tf.Tensor:
        rest = tf.raw_ops.Empty(shape=(length - tf.size(pixels))[None], dtype=tf.uint8)
        return tf.concat([pixels, rest], axis=0)

    smooth, table = (_smooth_compiled, _spread_compiled) if compiled else (_smooth, _spread)
    bilinear = _bilinear_compiled if compiled else partial(partial, _bilinear)

    def smoothed() -> tf.Tensor:
        many = 3 * of.length + 6
        whole = filled(many + 6 * width)
        # Cut here, as XLA would compile anew for every width.
        rows = [tf.slice(whole, [3 * place * width], [many]) for place in range(3)]
        return bilinear(crop_size)(table(smooth(*rows, of.weight)), height, width, of.fixed, 1)

    def sharp() -> tf.Tensor:
        return bilinear(crop_size)(table(filled(3 * of.length)), height, width, of.fixed, 0)

    return tf.ensure_shape(tf.cond(of.weight > 0, smoothed, sharp), crop_size)


def unpacked(crops: tf.Tensor) -> tf.Tensor:
    """(..., H, W, 3) uint8 of (..., H, W) int32."""
    return tf.bitcast(crops, tf.uint8)[..., :3]


def _smooth(above: tf.Tensor, here: tf.Tensor, below: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """The weighted mean of each pixel with its eight neighbours.

    Args:
        above, here, below: (n + 6,) uint8, an image's rows one after the other, from its first, second, third row on.
        weight: () of either neighbour, across and down, in 1/64.

    Returns:
        (n,) uint8. The first is the mean about the second pixel of the second row, the first that has eight neighbours.
    """
    side = tf.cast(weight, tf.uint16)
    middle = 2**BLUR_BITS - 2 * side

    def across(row: tf.Tensor) -> tf.Tensor:
        row = tf.cast(row, tf.uint16)
        mean = (row[:-6] + row[6:]) * side + row[3:-3] * middle
        return tf.bitwise.right_shift(mean + 8, tf.constant(4, tf.uint16))

    mean = (across(above) + across(below)) * side + across(here) * middle
    return tf.cast(tf.bitwise.right_shift(mean + 128, tf.constant(8, tf.uint16)), tf.uint8)


def _spread(pixels: tf.Tensor) -> tf.Tensor:
    return spread(tf.reshape(pixels, [-1, 3]))


def spread(pixels: tf.Tensor) -> tf.Tensor:
    """Pixels (..., 3) uint8 as (...) int64, their colours `LANE_BITS` apart."""
    red, green, blue = tf.unstack(tf.cast(pixels, tf.int64), axis=-1)
    return red | green * 2**LANE_BITS | blue * 2 ** (2 * LANE_BITS)


def _bilinear(
    crop_size: tuple[int, int],
    table: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    positions: tf.Tensor,
    border: tf.Tensor | int,
) -> tf.Tensor:
    """Bilinear sampling.

    Args:
        crop_size: (H, W).
        table: (n,) int64, an image's pixels as `spread` gives them, row after row, from the pixel border, border on; n
            is a power of two.
        height, width: () of the image.
        positions: (2, 3) int32 transform from crop pixels to the image's, in 2^-16 pixels.
        border: () int32 0, or 1 where the image's rim has no pixels; those within stand in for them.

    Returns:
        (H, W) int32, colours 8 bits apart; black beyond the image.
    """
    across = tf.range(crop_size[1])[None, :]
    down = tf.range(crop_size[0])[:, None]
    x, y = (row[0] * across + (row[1] * down + row[2]) for row in tf.unstack(positions))
    last = tf.size(table) - 1
    columns = taps(x, width, border)

    def within(row: tf.Tensor) -> tf.Tensor:
        pixels = [(tf.gather(table, tf.bitwise.bitwise_and(row * width + i, last)), share) for i, share in columns]
        return between(pixels)

    return bytes_apart([(within(row), share) for row, share in taps(y, height, border)])


def taps(position: tf.Tensor, length: tf.Tensor, border: tf.Tensor | int) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Index and int64 weight of the pixel before a position (in 2^-16 pixels) and of the one behind it. The weight of
    what lies beside the image is 0, its index anything."""
    one = 2**WEIGHT_BITS
    first = tf.bitwise.right_shift(position, POSITION_BITS)
    share = tf.bitwise.bitwise_and(tf.bitwise.right_shift(position, POSITION_BITS - WEIGHT_BITS), one - 1)
    return [
        (
            tf.clip_by_value(i, border, length - 1 - border) - border,
            tf.cast(tf.where((i >= 0) & (i < length), weight, 0), tf.int64),
        )
        for i, weight in ((first, one - share), (first + 1, share))
    ]


def _lanes(value: int) -> tf.Tensor:
    """The same value in each of the three colours of an int64."""
    return tf.constant(value * (1 + 2**LANE_BITS + 2 ** (2 * LANE_BITS)), tf.int64)


def between(pixels: list[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """The weighted sum of two neighbours in a row, `BETWEEN_BITS` kept below a grey level."""
    lost = WEIGHT_BITS - BETWEEN_BITS
    total = _lanes(2 ** (lost - 1))
    for pixel, weight in pixels:
        total += pixel * weight
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(total, lost), _lanes(2 ** (LANE_BITS - lost) - 1))


def bytes_apart(rows: list[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """The weighted sum of what lies between two rows, as int32 with the colours 8 bits apart."""
    total = _lanes(2 ** (WEIGHT_BITS + BETWEEN_BITS - 1))
    for row, weight in rows:
        total += row * weight
    shifts = (WEIGHT_BITS + BETWEEN_BITS + lane * LANE_BITS for lane in range(3))
    red, green, blue = (
        tf.bitwise.bitwise_and(tf.cast(tf.bitwise.right_shift(total, shift), tf.int32), 255) for shift in shifts
    )
    return red | green * 2**8 | blue * 2**16


_bytes, _number = tf.TensorSpec((None,), tf.uint8), tf.TensorSpec((), tf.int32)
_smooth_compiled = tf.function(_smooth, [_bytes, _bytes, _bytes, _number], autograph=False, jit_compile=True)
_spread_compiled = tf.function(_spread, [_bytes], autograph=False, jit_compile=True)


@lru_cache
def _bilinear_compiled(crop_size: tuple[int, int]) -> tf.types.experimental.PolymorphicFunction:
    signature = [tf.TensorSpec((None,), tf.int64), _number, _number, tf.TensorSpec((2, 3), tf.int32), _number]
    return tf.function(partial(_bilinear, crop_size), signature, autograph=False, jit_compile=True)
