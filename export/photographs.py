"""Encoded photographs to keypoints in their pixels, inside one TensorFlow graph, as `mspose predict` does it in Python.

A request of many photographs fails as a whole, as TensorFlow has it, but says which one of them is at fault and why.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from export import exif
from keras_mspose import geometry, resample
from keras_mspose.image_files import MAX_PIXELS
from keras_mspose.person_boxes import SMALLEST, TOO_SMALL

IMAGE_BYTES, BOXES = "image_bytes", "boxes"  # input names
Look = Callable[[tf.Tensor], tf.Tensor]
SIGNS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP"}  # first bytes
READERS = 4  # photographs that are decoded at a time
LARGEST = 1e6  # of a box's numbers, pixels


def keypoints(images: tf.Tensor, boxes: tf.Tensor, look: Look, crop_size: tuple[int, int], looks: int) -> tf.Tensor:
    """Find one person in each photograph.

    Args:
        images: (B,) string, whole files: JPEG, PNG, GIF (its first picture) or BMP. A JPEG is looked at as its
            EXIF orientation says, upright.
        boxes: (B, 3) float32 centre x, centre y, side of the square about the person, pixels of the upright photograph;
            a side of 0 or below stands for the whole photograph.
        look: (B, H, W, 3) uint8 crops to keypoints (B, K, 3), x and y in crop pixels.
        crop_size: (H, W).
        looks: passes where no box is given, each after the first over a box about what the one before it found.

    Returns:
        (B, K, 3) x, y in pixels of the upright photograph, and score.

    Raises:
        tf.errors.InvalidArgumentError: in the graph, naming the first photograph or box that is no good.
    """
    crops, first, matrices = _read(images, boxes, crop_size)
    found = _in_photographs(look(crops), matrices)
    if looks == 1:
        return found
    open_ones = tf.where(boxes[:, 2] <= 0)

    def again() -> tf.Tensor:
        chosen, widest = tf.gather_nd(images, open_ones), tf.gather_nd(first, open_ones)
        better = tf.gather_nd(found, open_ones)
        for _ in range(looks - 1):
            crops, _, matrices = _read(chosen, geometry.narrowed_box(better, widest), crop_size)
            better = _in_photographs(look(crops), matrices)
        return tf.tensor_scatter_nd_update(found, open_ones, better)

    return tf.cond(tf.size(open_ones) > 0, again, lambda: found)


def _in_photographs(found: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    return tf.concat([geometry.apply(geometry.invert(matrices), found[..., :2]), found[..., 2:]], axis=-1)


def _read(images: tf.Tensor, boxes: tf.Tensor, crop_size: tuple[int, int]) -> tuple[tf.Tensor, ...]:
    """Crops (B, H, W, 3) uint8, boxes (B, 3) with those of whole photographs filled in, and matrices (B, 2, 3)."""
    one, several = (partial(way, images, boxes, crop_size) for way in (_read_one, _read_several))
    return tf.cond(tf.size(images) == 1, one, several)


def _read_one(images: tf.Tensor, boxes: tf.Tensor, crop_size: tuple[int, int]) -> tuple[tf.Tensor, ...]:
    """Without a pipeline, which takes a third of a small network's time to set up. A decoder's error is the answer:
    there is only one photograph that it can be about."""
    _, *found, reason = _cut(crop_size, tf.constant(0, tf.int64), images[0], boxes[0])
    with tf.control_dependencies([tf.debugging.Assert(reason == "", [reason])]):
        return tuple(part[None] for part in found)


def _read_several(images: tf.Tensor, boxes: tf.Tensor, crop_size: tuple[int, int]) -> tuple[tf.Tensor, ...]:
    """By a pipeline within the graph, because it is the one thing in TensorFlow that goes on after a decoder's error:
    what is missing behind it is known to be broken."""
    count = tf.shape(images, tf.int64)[0]
    files = tf.data.Dataset.from_tensor_slices((tf.range(count), images, boxes))
    cut = files.map(partial(_cut, crop_size), READERS, deterministic=True).ignore_errors()
    # So that a batch is never empty, which would be an error of its own
    last = (tf.constant(-1, tf.int64), tf.zeros((*crop_size, 3), tf.uint8), tf.zeros(3), tf.zeros((2, 3)), "")
    cut = cut.concatenate(tf.data.Dataset.from_tensors(last)).batch(count + 1)
    options = tf.data.Options()
    options.autotune.enabled = False  # for so short a life it costs more than it brings
    options.experimental_optimization.apply_default_optimizations = False
    places, *found, reasons = (part[:-1] for part in cut.with_options(options).get_single_element())
    with tf.control_dependencies([_whole(count, places, reasons)]):
        return tuple(tf.identity(part) for part in found)


def _whole(count: tf.Tensor, places: tf.Tensor, reasons: tf.Tensor) -> tf.Operation:
    """Fails, saying why, unless every photograph came through without a reason against it."""
    numbers = tf.strings.as_string(tf.range(count))
    against = tf.strings.join([f"{IMAGE_BYTES}[", numbers, "]: damaged, or cut short"])
    against = tf.tensor_scatter_nd_update(against, places[:, None], reasons)
    against = tf.boolean_mask(against, against != "")
    return tf.debugging.Assert(tf.size(against) == 0, [against], summarize=4)


def _cut(crop_size: tuple[int, int], number: tf.Tensor, image: tf.Tensor, box: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """One photograph: its number, crop, box, matrix, and why there is none, or an empty string."""
    stored, reason = _size(image)
    turn = exif.orientation(image)
    size = exif.swapped(turn, stored)
    width, height = tf.unstack(tf.cast(size, tf.float32))
    center, side = geometry.image_box(width, height)
    box = tf.where(box[2] <= 0, tf.concat([center, side[None]], axis=0), box)
    place, box_reason = tf.strings.as_string(number), _against_box(box, size)
    against_box = tf.strings.join([f"{BOXES}[", place, "]: ", box_reason])
    against_image = tf.strings.join([f"{IMAGE_BYTES}[", place, "]: ", reason])
    reason = tf.where(reason != "", against_image, tf.where(box_reason != "", against_box, ""))
    matrix = geometry.crop_transform(box[:2], box[2], crop_size)

    def from_jpeg() -> tf.Tensor:
        # Cut as it is stored, so that no more is decoded than the crop shows; then the small crop is turned.
        place = exif.as_stored(turn, matrix, stored, crop_size)
        cut = partial(resample.crop_from_jpeg, image, place, upright=True)
        if crop_size[0] == crop_size[1]:  # half the graph, which is set up for every request
            crop = cut(crop_size)
        else:
            crop = tf.cond(turn > 4, lambda: cut(crop_size[::-1]), lambda: cut(crop_size))
        shown = tf.cond(turn > 1, lambda: exif.turned(turn, crop), lambda: crop)
        return tf.ensure_shape(shown, (*crop_size, 3))

    def decoded() -> tf.Tensor:
        pixels = tf.io.decode_image(image, channels=3, expand_animations=False)
        pixels = tf.ensure_shape(pixels, (None, None, 3))
        return resample.pixels_sampled(pixels, matrix, crop_size, upright=True)

    def crop() -> tf.Tensor:
        return tf.cond(tf.strings.substr(image, 0, 3) == b"\xff\xd8\xff", from_jpeg, decoded)

    empty = tf.zeros((*crop_size, 3), tf.uint8)
    return number, tf.cond(reason == "", crop, lambda: empty), box, matrix, reason


def _size(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Width and height (2,) int32 that a file declares, and why it is not decoded, or an empty string.

    Raises:
        tf.errors.InvalidArgumentError: in the graph, the header is damaged.
    """

    def numbers(at: int, each: int, *, little: bool) -> tf.Tensor:
        kind = tf.int32 if each == 4 else tf.uint16
        return tf.cast(tf.io.decode_raw(tf.strings.substr(image, at, 2 * each), kind, little_endian=little), tf.int32)

    readers = {
        "JPEG": lambda: tf.reverse(tf.image.extract_jpeg_shape(image)[:2], [0]),
        "PNG": lambda: numbers(16, 4, little=False),
        "GIF": lambda: numbers(6, 2, little=True),
        "BMP": lambda: tf.abs(numbers(18, 4, little=True)),  # a negative height stands for rows from the top
    }
    begins = [tf.strings.substr(image, 0, len(sign)) == sign for sign in SIGNS]
    known = tf.reduce_any(begins)
    which = tf.argmax(begins, output_type=tf.int32)
    none = tf.constant([1, 1])
    size = tf.cond(known, lambda: tf.switch_case(which, [readers[kind] for kind in SIGNS.values()]), lambda: none)
    size = tf.ensure_shape(size, (2,))
    large = tf.reduce_prod(tf.cast(size, tf.int64)) > MAX_PIXELS
    text = tf.strings.as_string(size)
    too_large = tf.strings.join(
        ["declares ", text[0], " x ", text[1], f" pixels, more than {MAX_PIXELS // 1_000_000} megapixels"]
    )
    unknown = tf.where(image == "", "empty", f"not an image ({', '.join(SIGNS.values())})")
    return size, tf.where(known, tf.where(large, too_large, ""), unknown)


def _against_box(box: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Why a box is not looked at, or an empty string. Its side is above 0, or no number."""
    number = tf.reduce_all(tf.abs(box) <= LARGEST)  # not so for NaN
    width_height = tf.cast(size, tf.float32)
    half = box[2] / 2
    meets = tf.reduce_all((box[:2] + half > -0.5) & (box[:2] - half < width_height - 0.5))
    text = tf.strings.as_string(size)
    outside = tf.strings.join(["lies outside of the photograph, ", text[0], " x ", text[1], " pixels"])
    unusable = f"expected centre x, centre y, side in pixels, none beyond {LARGEST:g}"
    reason = tf.where(box[2] < SMALLEST, TOO_SMALL, tf.where(meets, "", outside))
    return tf.where(number, reason, unusable)
