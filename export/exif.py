"""How a JPEG is to be turned before it is looked at, read from its bytes by TensorFlow's operations alone.

A camera stores what its sensor saw and, as EXIF's orientation, how it was held. Only the bytes that lead there are
looked at, so that a large file costs no more than a small one, and none makes it fail.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

SEGMENTS = 64  # among which EXIF is looked for, filling bytes counted too; cameras write it first or second
FILLING, APPLICATION, SCAN, END = 0xFF, 0xE1, 0xDA, 0xD9  # second bytes of markers
STARTS = [b"MM\0*", b"II*\0"]  # of EXIF's content: the largest byte of a number comes first, or last
# In its directory, for either: tag 0x0112, type SHORT, one number, and the number
ENTRIES = [
    [bytes([1, 0x12, 0, 3, 0, 0, 0, 1, 0, turn]) for turn in range(1, 9)],
    [bytes([0x12, 1, 3, 0, 1, 0, 0, 0, turn, 0]) for turn in range(1, 9)],
]
# By orientation, from x, y as stored to x, y as shown, but for where they begin
TURNS = np.float32(
    [
        [[1, 0], [0, 1]],
        [[-1, 0], [0, 1]],
        [[-1, 0], [0, -1]],
        [[1, 0], [0, -1]],
        [[0, 1], [1, 0]],
        [[0, -1], [1, 0]],
        [[0, -1], [-1, 0]],
        [[0, 1], [-1, 0]],
    ]
)


def orientation(image: tf.Tensor) -> tf.Tensor:
    """EXIF's orientation of an encoded photograph, as a part of a graph.

    Args:
        image: () string, a whole file.

    Returns:
        () int32, 1 to 8. 1, to be shown as stored, where nothing else is to be read: in no JPEG (a PNG's is not looked
        for), in one without EXIF or with a damaged one.
    """

    def segment(at: tf.Tensor, begin: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, ...]:
        head = _bytes(image, at, 10)
        marker, size = head[1], 256 * head[2] + head[3]  # of what follows, these two bytes among it
        further = (head[0] == 0xFF) & (marker != SCAN) & (marker != END) & (size >= 2)
        exif = further & (marker == APPLICATION) & tf.reduce_all(head[4:] == list(b"Exif\0\0"))
        begin, length = tf.where(exif, at + 10, begin), tf.where(exif, tf.maximum(size - 8, 0), length)
        return tf.where(further & ~exif, at + tf.where(marker == FILLING, 1, 2 + size), -1), begin, length

    at = tf.where(_part(image, 0, 3) == b"\xff\xd8\xff", 2, -1)
    at, begin, length = tf.while_loop(
        lambda at, *_: at >= 0, segment, (at, 0, 0), maximum_iterations=SEGMENTS, parallel_iterations=1
    )
    return _in_directory(_part(image, begin, length))


def swapped(turn: tf.Tensor, size: tf.Tensor | tuple[int, int]) -> tf.Tensor:
    """Width and height (2,), or height and width, as shown, from those as stored, or the other way round."""
    return tf.where(turn > 4, size[::-1], size)


def as_stored(turn: tf.Tensor, matrix: tf.Tensor, size: tf.Tensor, crop_size: tuple[int, int]) -> tf.Tensor:
    """Where a crop lies in the photograph as it is stored, the crop itself being as `turned` expects it.

    Args:
        turn: () int32, orientation.
        matrix: (2, 3) float32 transform from pixels as shown to crop pixels; it neither turns nor mirrors.
        size: (2,) int32 width and height of the photograph as stored.
        crop_size: (H, W) of the crop as shown.

    Returns:
        (2, 3) float32 transform from pixels as stored to those of the crop that is yet to be turned: nor does it.
    """
    linear = tf.gather(TURNS, turn - 1)

    def begin(size: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matvec(tf.maximum(-linear, 0), tf.cast(size - 1, tf.float32))

    shift = matrix[:, 2] + matrix[0, 0] * begin(size) - begin(swapped(turn, crop_size[::-1]))
    return tf.concat([matrix[:, :2], tf.linalg.matvec(linear, shift, transpose_a=True)[:, None]], axis=1)


def turned(turn: tf.Tensor, picture: tf.Tensor) -> tf.Tensor:
    """A picture (h, w, 3) as shown, from one as stored."""
    mirrored = tf.reduce_any(tf.gather(TURNS, turn - 1) < 0, axis=0)
    picture = tf.raw_ops.Reverse(tensor=picture, dims=tf.concat([mirrored[::-1], [False]], axis=0))
    return tf.transpose(picture, tf.where(turn > 4, [1, 0, 2], [0, 1, 2]))


def _in_directory(content: tf.Tensor) -> tf.Tensor:
    """The orientation (), 1 to 8, in EXIF's first directory."""
    order = _part(content, 0, 4) == tf.constant(STARTS)

    def number(at: tf.Tensor | int, size: int) -> tf.Tensor:
        digits = tf.cast(_bytes(content, at, size), tf.int64)
        return tf.reduce_sum(tf.where(order[1], digits, digits[::-1]) * 256 ** tf.range(size, dtype=tf.int64))

    begin = number(4, 4)
    whole = (_length(content) - begin - 2) // 12  # entries that there is room for
    begins = begin + 2 + 12 * tf.range(tf.clip_by_value(number(begin, 2), 0, tf.maximum(whole, 0)))
    entries = _part(content, begins, 10)
    found = tf.reduce_any((entries[:, None, None] == tf.constant(ENTRIES)) & order[:, None], axis=[0, 1])
    return tf.where(tf.reduce_any(found), tf.argmax(found, output_type=tf.int32) + 1, 1)


def _bytes(text: tf.Tensor, at: tf.Tensor | int, size: int) -> tf.Tensor:
    """(size,) int32, 0 for bytes behind the end."""
    return tf.cast(tf.io.decode_raw(_part(text, at, size), tf.uint8, fixed_length=size), tf.int32)


def _part(text: tf.Tensor, at: tf.Tensor | int, size: tf.Tensor | int) -> tf.Tensor:
    """What there is of `size` bytes from there on; `at` may lie behind the end, where `substr` itself fails."""
    at = tf.minimum(tf.cast(at, tf.int64), _length(text))
    return tf.strings.substr(text, at, tf.cast(size, tf.int64) + tf.zeros_like(at))


def _length(text: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(text), tf.int64)
