"""From an encoded photograph to crops: decode what the crop shows as small as it allows, then resample once.

A photograph larger than its crop is decoded at 1/2, 1/4 or 1/8 of its size, whichever comes nearest to the crop's
pixels: the JPEG's own blocks are averaged, so that fewer pixels are touched. Where decoded pixels are still finer than
the crop's, a triangle as wide as a crop pixel smooths them before bilinear sampling, so that no texture aliases.

The arithmetic is of integers: compiled or not, on any machine, the same photograph gives the same crop.
"""

from __future__ import annotations

from functools import lru_cache, partial

import tensorflow as tf

from keras_mspose import geometry

RATIOS = (1, 2, 4, 8)
FINEST = 0.5**0.5 * 0.999  # decoded pixels a crop pixel, at least; sqrt(2) at most, as ratios double
POSITION_BITS = 16  # of a position's fraction
WEIGHT_BITS = 11  # of a bilinear weight: two of them and a grey level fit in 30 bits
BLUR_BITS = 6  # of a smoothing weight: with a grey level and two bits of a fraction they fit in 16
MARGIN = 2  # pixels about those a crop lies on: one for smoothing, one that a decoder guesses without its neighbours


def decode_ratio(matrix: tf.Tensor) -> tf.Tensor:
    """() int32, position in RATIOS of the strongest reduction that leaves a crop pixel `FINEST` decoded pixels.

    Args:
        matrix: (2, 3) transform from photograph to crop pixels, angle-preserving.
    """
    return tf.reduce_sum(tf.cast(tf.constant(RATIOS[1:]) <= _largest_ratio(matrix), tf.int32))


def crop_from_jpeg(
    jpeg: tf.Tensor, matrix: tf.Tensor, crop_size: tuple[int, int], *, compiled: bool = True
) -> tf.Tensor:
    """Cut a crop out of an encoded photograph, of which no more is decoded than the crop shows.

    Args:
        jpeg: () string.
        matrix: (2, 3) transform from photograph to crop pixels.
        crop_size: (H, W).
        compiled: by XLA, for speed. Without, for graphs that are to run where there is none: same crops, slower.

    Returns:
        (H, W, 3) uint8 RGB; black beyond the photograph's border.
    """
    step = decode_ratio(matrix)
    ratio = tf.gather(tf.constant(RATIOS), step)
    mean = _mean_of(matrix, ratio)
    height, width = tf.unstack(tf.image.extract_jpeg_shape(jpeg)[:2])
    whole = tf.stack([-(-height // ratio), -(-width // ratio)])
    window = _window(matrix, crop_size, ratio, mean, whole)
    # TensorFlow's own choice, INTEGER_FAST, saves about 5 % of the time and is up to 13 grey levels off other decoders.
    decode = partial(
        tf.raw_ops.DecodeAndCropJpeg, contents=jpeg, crop_window=window, channels=3, dct_method="INTEGER_ACCURATE"
    )
    image = tf.switch_case(step, [partial(decode, ratio=ratio) for ratio in RATIOS])
    image = tf.cond(mean > 1, lambda: _averaged(image, mean), lambda: image)
    return _warp(image, matrix, crop_size, ratio * mean, window[:2] // mean, compiled)


def crops_from_jpegs(
    jpegs: tf.Tensor, matrices: tf.Tensor, crop_size: tuple[int, int], *, compiled: bool = True
) -> tf.Tensor:
    """`crop_from_jpeg` for (B,) strings and (B, 2, 3) transforms: (B, H, W, 3) uint8."""
    return tf.map_fn(
        lambda one: crop_from_jpeg(*one, crop_size, compiled=compiled),
        (jpegs, matrices),
        fn_output_signature=tf.uint8,
    )


def crop_from_pixels(image: tf.Tensor, matrix: tf.Tensor, crop_size: tuple[int, int]) -> tf.Tensor:
    """Cut a crop out of a decoded photograph (h, w, 3) uint8, reduced by averaging as a JPEG decoder would.

    Args:
        matrix: (2, 3) transform from photograph to crop pixels.
        crop_size: (H, W).

    Returns:
        (H, W, 3) uint8 RGB; black beyond the photograph's border.
    """
    matrix = tf.convert_to_tensor(matrix, tf.float32)
    ratio = tf.gather(tf.constant(RATIOS), decode_ratio(matrix))
    ratio *= _mean_of(matrix, ratio)
    window = _window(matrix, crop_size, 1, ratio, tf.constant(image.shape[:2]))
    y, x, height, width = window.numpy()
    seen = tf.convert_to_tensor(image[y : y + height, x : x + width])
    if ratio > 1:
        seen = _averaged(seen, ratio)
    return _warp(seen, matrix, crop_size, ratio, window[:2] // ratio, True)


def _shrink(matrix: tf.Tensor) -> tf.Tensor:
    """() photograph pixels that a crop pixel is wide."""
    return 1.0 / tf.sqrt(tf.abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))


def _largest_ratio(matrix: tf.Tensor) -> tf.Tensor:
    """() int32, photograph pixels that may be averaged either way into one."""
    return tf.cast(_shrink(matrix) / FINEST, tf.int32)


def _mean_of(matrix: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
    """() int32, how many decoded pixels are to be averaged either way where no decoder reduces far enough, else 1."""
    return tf.maximum(_largest_ratio(matrix) // ratio, 1)


def _positions(matrix: tf.Tensor, ratio: tf.Tensor, origin: tf.Tensor) -> tf.Tensor:
    """(2, 3) transform from crop pixels to those of a window, at y, x `origin` (2,), of the photograph at 1 / ratio."""
    scale = tf.cast(ratio, tf.float32)
    middle = (1.0 / scale - 1.0) / 2  # x_small = (x + 0.5) / ratio - 0.5
    shift = middle - tf.cast(origin[::-1], tf.float32)
    back = geometry.invert(tf.cast(matrix, tf.float32)) / scale
    return tf.concat([back[:, :2], back[:, 2:] + shift[:, None]], axis=1)


def _window(
    matrix: tf.Tensor, crop_size: tuple[int, int], ratio: tf.Tensor | int, mean: tf.Tensor, whole: tf.Tensor
) -> tf.Tensor:
    """(4,) int32 y, x, height, width of what a crop shows of the photograph, in pixels of 1 / ratio of its size.

    It begins at a multiple of `mean` and is never empty: a crop beside the photograph gets pixels it does not show.

    Args:
        whole: (2,) int32 height and width of the photograph in the same pixels.
    """
    height, width = crop_size
    corners = tf.constant([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], tf.float32)
    seen = geometry.apply(_positions(matrix, tf.cast(ratio, tf.int32) * mean, tf.zeros([2], tf.int32)), corners)[
        :, ::-1
    ]
    seen = tf.clip_by_value(seen, -1e6, 1e6)
    first = tf.cast(tf.floor(tf.reduce_min(seen, axis=0)), tf.int32) - MARGIN
    behind = tf.cast(tf.floor(tf.reduce_max(seen, axis=0)), tf.int32) + 2 + MARGIN
    first = tf.clip_by_value(first * mean, 0, (whole - 1) // mean * mean)
    behind = tf.clip_by_value(behind * mean, first + 1, whole)
    return tf.concat([first, behind - first], axis=0)


def _averaged(image: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Mean of each block of side x side pixels of a (h, w, 3) uint8 image; the last ones mirror what is missing."""
    size = tf.shape(image)
    image = tf.pad(image, tf.stack([[0, -size[0] % side], [0, -size[1] % side], [0, 0]]), "SYMMETRIC")
    height, width = tf.shape(image)[0] // side, tf.shape(image)[1] // side
    blocks = tf.cast(tf.reshape(image, [height, side, width, side, 3]), tf.int32)
    count = side * side
    return tf.cast((tf.reduce_sum(blocks, axis=[1, 3]) + count // 2) // count, tf.uint8)


def _warp(
    image: tf.Tensor,
    matrix: tf.Tensor,
    crop_size: tuple[int, int],
    ratio: tf.Tensor,
    origin: tf.Tensor,
    compiled: bool,
) -> tf.Tensor:
    """Resample a window (h, w, 3) uint8, at y, x `origin` (2,) of a photograph at 1 / ratio of its size, to a crop."""
    positions = _positions(matrix, ratio, origin) * 2.0**POSITION_BITS
    # A crop beside the photograph may be any distance away; one so far is beyond every window, and does not overflow.
    far = 2.0 ** (13 + POSITION_BITS)
    positions = tf.cast(tf.round(tf.clip_by_value(positions, -far, far)), tf.int32)
    height, width = tf.unstack(tf.shape(image)[:2])
    shrink = _shrink(matrix) / tf.cast(ratio, tf.float32)
    neighbour = tf.maximum(1 - 1 / shrink, 0)  # the triangle's height one pixel beside its middle, which is 1
    weight = tf.cast(tf.round(2**BLUR_BITS * neighbour / (1 + 2 * neighbour)), tf.int32)
    weight = tf.where(tf.minimum(height, width) > 2, weight, 0)
    pixels = tf.reshape(image, [-1])
    count = 3 * _bucket(height * width)
    resample = _compiled(crop_size) if compiled else partial(_resample, crop_size)
    with tf.device("CPU"):

        def smoothed() -> tf.Tensor:
            rows = tf.pad(pixels, [[0, count + 6 * width + 6 - tf.size(pixels)]])
            starts = (0, 3 * width, 6 * width)
            smooth = _smooth_compiled if compiled else _smooth
            return smooth(*(tf.slice(rows, [start], [count + 6]) for start in starts), weight)

        def sharp() -> tf.Tensor:
            return tf.pad(pixels, [[0, count - tf.size(pixels)]])

        pixels = tf.cond(weight > 0, smoothed, sharp)
        return tf.ensure_shape(resample(pixels, height, width, tf.minimum(weight, 1), positions), (*crop_size, 3))


def _bucket(pixels: tf.Tensor) -> tf.Tensor:
    """() int32 next number of 2^n or 3 * 2^n pixels: XLA compiles once for each length that it meets."""
    power = tf.math.ceil(tf.math.log(tf.cast(pixels, tf.float32)) / tf.math.log(2.0))
    power = tf.pow(2, tf.maximum(tf.cast(power, tf.int32), 14))
    return tf.where(pixels <= power // 4 * 3, power // 4 * 3, power)


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


def _resample(
    crop_size: tuple[int, int],
    pixels: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    border: tf.Tensor,
    positions: tf.Tensor,
) -> tf.Tensor:
    """Bilinear sampling of an image (height, width, 3).

    Args:
        crop_size: (H, W).
        pixels: (n,) uint8, the image's rows one after the other, first the pixel border, border.
        border: () how many pixels along the border there are none of; those within them stand in.
        positions: (2, 3) int32 transform from crop pixels to the image's, in 2^-16 pixels.

    Returns:
        (H, W, 3) uint8; black beyond the image.
    """
    across = tf.range(crop_size[1])[None, :]
    down = tf.range(crop_size[0])[:, None]
    x, y = (row[0] * across + row[1] * down + row[2] for row in tf.unstack(positions))
    one = 2**WEIGHT_BITS

    def taps(position: tf.Tensor, length: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Index and weight of the pixel before a position and of the one behind it."""
        first = tf.bitwise.right_shift(position, POSITION_BITS)
        share = tf.bitwise.bitwise_and(tf.bitwise.right_shift(position, POSITION_BITS - WEIGHT_BITS), one - 1)
        return [
            (tf.clip_by_value(i, border, length - 1 - border) - border, tf.where((i >= 0) & (i < length), weight, 0))
            for i, weight in ((first, one - share), (first + 1, share))
        ]

    colours = tf.reshape(pixels, [-1, 3])
    total = tf.constant(one * one // 2)
    for row, of_row in taps(y, height):
        for column, of_column in taps(x, width):
            colour = tf.cast(tf.gather(colours, row * width + column), tf.int32)
            total += colour * (of_row * of_column)[..., None]
    return tf.cast(tf.bitwise.right_shift(total, 2 * WEIGHT_BITS), tf.uint8)


_bytes, _number = tf.TensorSpec((None,), tf.uint8), tf.TensorSpec((), tf.int32)
_smooth_compiled = tf.function(_smooth, input_signature=[_bytes, _bytes, _bytes, _number], jit_compile=True)


@lru_cache
def _compiled(crop_size: tuple[int, int]) -> tf.types.experimental.PolymorphicFunction:
    signature = [_bytes, _number, _number, _number, tf.TensorSpec((2, 3), tf.int32)]
    return tf.function(partial(_resample, crop_size), input_signature=signature, jit_compile=True)
