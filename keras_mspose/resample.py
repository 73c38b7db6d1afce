"""From an encoded photograph to crops: decode what the crop shows as small as it allows, then resample once.

A photograph larger than its crop is decoded at 1/2, 1/4 or 1/8 of its size, whichever comes nearest to the crop's
pixels: the JPEG's own blocks are averaged, so that fewer pixels are touched and fine texture cannot alias into the
crop. `sampling` smooths what is left, below sqrt(2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import tensorflow as tf

from keras_mspose import sampling, upright_sampling
from keras_mspose.crop_rule import FINEST, MARGIN, RATIOS

OUTSIDE = 0  # grey level beyond the photograph's border


def crop_from_jpeg(
    jpeg: tf.Tensor, matrix: tf.Tensor, crop_size: tuple[int, int], *, compiled: bool = True, upright: bool = False
) -> tf.Tensor:
    """`crops_from_jpegs` of one () string and one (2, 3) transform: (H, W, 3) uint8. `upright`: the transform neither
    turns nor mirrors; then it is not compiled, see `upright_sampling`."""
    with tf.device("CPU"):
        size = tf.image.extract_jpeg_shape(jpeg)[:2]
        plan = _planned(matrix[None], size[None], crop_size)[0]
        return sampling.unpacked(_cut(jpeg, plan, crop_size, compiled=compiled, upright=upright))


def crops_from_jpegs(
    jpegs: tf.Tensor,
    matrices: tf.Tensor,
    crop_size: tuple[int, int],
    *,
    sizes: tf.Tensor | None = None,
    compiled: bool = True,
) -> tf.Tensor:
    """Cut crops out of encoded photographs, of which no more is decoded than the crops show.

    Args:
        jpegs: (B,) strings.
        matrices: (B, 2, 3) transforms from photograph to crop pixels.
        crop_size: (H, W).
        sizes: (B, 2) int32 height and width of the photographs; None: they are read from the photographs.
        compiled: see `sampling.sample`.

    Returns:
        (B, H, W, 3) uint8 RGB; black beyond the photographs' borders.
    """
    with tf.device("CPU"):
        return sampling.unpacked(packed_crops(jpegs, matrices, crop_size, sizes=sizes, compiled=compiled))


def packed_crops(
    jpegs: tf.Tensor,
    matrices: tf.Tensor,
    crop_size: tuple[int, int],
    *,
    sizes: tf.Tensor | None = None,
    compiled: bool = True,
) -> tf.Tensor:
    """`crops_from_jpegs` for `sampling.unpacked`: (B, H, W) int32."""
    with tf.device("CPU"):
        if sizes is None:
            shapes = tf.map_fn(tf.image.extract_jpeg_shape, jpegs, fn_output_signature=tf.TensorSpec((3,), tf.int32))
            sizes = shapes[:, :2]
        plan = _planned(matrices, sizes, crop_size)
        cut = partial(_cut, crop_size=crop_size, compiled=compiled, upright=False)
        return tf.map_fn(lambda one: cut(*one), (jpegs, plan), fn_output_signature=tf.TensorSpec(crop_size, tf.int32))


def _planned(matrices: tf.Tensor, sizes: tf.Tensor, crop_size: tuple[int, int]) -> tf.Tensor:
    """All that `_cut` needs to know of photographs (B, 2) height and width, computed for all at once: (B, 16) int32. In
    one tensor: each that a loop runs over costs every person an operation."""
    step, mean, positions = _reduction(matrices)
    windows, positions = _window(positions, crop_size, mean, -(-sizes // tf.bitwise.left_shift(1, step)[:, None]))
    size, fixed, weight, length = sampling.numbers(positions, -(-windows[:, 2:] // mean[:, None]), crop_size)
    kind = tf.where(mean > 1, len(RATIOS), step)
    rest = tf.stack([kind, mean, weight, length], axis=1)
    return tf.concat([windows, size, tf.reshape(fixed, [-1, 6]), rest], axis=1)


def _cut(jpeg: tf.Tensor, plan: tf.Tensor, crop_size: tuple[int, int], *, compiled: bool, upright: bool) -> tf.Tensor:
    """One photograph's crop (H, W) int32, as `sampling.packed` has it."""
    window, size, fixed, rest = tf.split(plan, [4, 2, 6, 4])
    kind, mean, weight, length = tf.unstack(rest)
    of = sampling.Numbers(size, tf.reshape(fixed, [2, 3]), weight, length)
    return _packing(compiled, upright)(_decoded(jpeg, window, kind, mean), of, crop_size)


def _decoded(jpeg: tf.Tensor, window: tf.Tensor, kind: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
    """A window of a photograph: (h, w, 3) uint8, reduced by the decoder alone, by the one at this place in `RATIOS`,
    or, where `kind` is beyond those, by the last of them and then by averaging `mean` pixels either way."""
    # TensorFlow's own choice, INTEGER_FAST, saves 3 % of the time and is up to 13 grey levels off other decoders.
    decode = partial(
        tf.raw_ops.DecodeAndCropJpeg, contents=jpeg, crop_window=window, channels=3, dct_method="INTEGER_ACCURATE"
    )
    ways = [partial(decode, ratio=ratio) for ratio in RATIOS]
    return tf.switch_case(kind, [*ways, lambda: _averaged(decode(ratio=RATIOS[-1]), mean)])


def crop_from_pixels(image: tf.Tensor, matrix: tf.Tensor, crop_size: tuple[int, int]) -> tf.Tensor:
    """Cut a crop out of a decoded photograph (h, w, 3) uint8, reduced by averaging as a JPEG decoder would.

    Args:
        matrix: (2, 3) transform from photograph to crop pixels.
        crop_size: (H, W).

    Returns:
        (H, W, 3) uint8 RGB; black beyond the photograph's border.
    """
    return _from_pixels(crop_size)(image, tf.convert_to_tensor(matrix, tf.float32))


def pixels_sampled(
    image: tf.Tensor, matrix: tf.Tensor, crop_size: tuple[int, int], *, compiled: bool = True, upright: bool = False
) -> tf.Tensor:
    """`crop_from_pixels` as a part of a graph; for `compiled` and `upright` see `crop_from_jpeg`."""
    with tf.device("CPU"):
        step, mean, positions = _reduction(matrix)
        side = tf.bitwise.left_shift(mean, step)
        window, positions = _window(positions, crop_size, side, tf.shape(image)[:2])
        seen = tf.image.crop_to_bounding_box(image, *tf.unstack(window))
        seen = tf.cond(side > 1, lambda: _averaged(seen, side), lambda: seen)
        of = sampling.numbers(positions, tf.shape(seen)[:2], crop_size)
        return sampling.unpacked(_packing(compiled, upright)(seen, of, crop_size))


def _packing(compiled: bool, upright: bool) -> Callable[..., tf.Tensor]:
    return upright_sampling.packed if upright else partial(sampling.packed, compiled=compiled)


@lru_cache
def _from_pixels(crop_size: tuple[int, int]) -> tf.types.experimental.PolymorphicFunction:
    def crop(image: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        return pixels_sampled(image, matrix, crop_size)

    signature = [tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((2, 3))]
    return tf.function(crop, input_signature=signature, autograph=False)


def _reduction(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """How far to reduce a photograph before a crop is sampled: as far as leaves a crop pixel `FINEST` pixels.

    Args:
        matrix: (..., 2, 3) transform from photograph to crop pixels, angle-preserving.

    Returns:
        Position in `RATIOS` (...) int32 of what a decoder does; where that does not go far enough, pixels that are to
        be averaged (...) int32 either way, else 1; and transform (..., 2, 3) from crop pixels to those of the reduced
        photograph.
    """
    matrix = tf.cast(matrix, tf.float32)
    linear = matrix[..., :2]
    # of a photograph pixel in the crop: the determinant, but for the sign
    area = tf.reduce_sum(linear * linear, axis=[-2, -1]) / 2
    largest = tf.cast(tf.math.rsqrt(area) / FINEST, tf.int32)
    step = tf.reduce_sum(tf.cast(tf.constant(RATIOS[1:]) <= largest[..., None], tf.int32), axis=-1)
    mean = tf.maximum(tf.bitwise.right_shift(largest, step), 1)
    reduced = tf.cast(tf.bitwise.left_shift(mean, step), tf.float32)
    # the inverse is the transpose: no angle changes
    back = tf.linalg.matrix_transpose(linear) / (area * reduced)[..., None, None]
    shift = ((1 / reduced - 1) / 2)[..., None] - _turned(back, matrix[..., 2])  # x_small = (x + 0.5) / reduced - 0.5
    return step, mean, tf.concat([back, shift[..., None]], axis=-1)


def _window(
    positions: tf.Tensor, crop_size: tuple[int, int], mean: tf.Tensor, whole: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """What a crop shows of a photograph.

    Args:
        positions: (..., 2, 3) transform from crop pixels to those of the reduced photograph.
        mean: (...) int32, pixels that are yet to be averaged either way into one.
        whole: (..., 2) int32 height and width of the photograph, in pixels not yet averaged.

    Returns:
        Window (..., 4) int32 y, x, height, width in pixels not yet averaged: it begins at a multiple of `mean` and is
        never empty, as a crop beside the photograph gets pixels that it does not show. And `positions` in this window.
    """
    middle = tf.constant([(edge - 1) / 2 for edge in crop_size[::-1]], tf.float32)
    back, mean = positions[..., :2], mean[..., None]
    center = _turned(back, middle) + positions[..., 2]
    half = _turned(tf.abs(back), middle)

    def edge(place: tf.Tensor, beyond: int) -> tf.Tensor:
        pixel = tf.cast(tf.floor(tf.clip_by_value(place, -1e6, 1e6)), tf.int32) + beyond
        return tf.reverse(pixel, [-1]) * mean

    first = tf.clip_by_value(edge(center - half, -MARGIN), 0, (whole - 1) // mean * mean)
    behind = tf.clip_by_value(edge(center + half, 2 + MARGIN), first + 1, whole)
    origin = tf.cast(tf.reverse(first // mean, [-1]), tf.float32)
    moved = tf.concat([back, (positions[..., 2] - origin)[..., None]], axis=-1)
    return tf.concat([first, behind - first], axis=-1), moved


def _turned(linear: tf.Tensor, xy: tf.Tensor) -> tf.Tensor:
    """(..., 2, 2) linear transforms of (..., 2) points."""
    return tf.reduce_sum(linear * xy[..., None, :], axis=-1)


def _averaged(image: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Mean of each block of side x side pixels of a (h, w, 3) uint8 image; the last pixels stand for those missing."""
    for axis in (0, 1):
        last = tf.gather(image, [tf.shape(image)[axis] - 1], axis=axis)
        image = tf.concat([image, tf.repeat(last, -tf.shape(image)[axis] % side, axis=axis)], axis=axis)
    height, width = tf.shape(image)[0] // side, tf.shape(image)[1] // side
    rows = tf.cast(tf.reshape(image, [height, side, width * side * 3]), tf.int32)
    total = tf.reduce_sum(tf.reshape(tf.reduce_sum(rows, axis=1), [height, width, side, 3]), axis=2)
    return tf.cast((total + side * side // 2) // (side * side), tf.uint8)
