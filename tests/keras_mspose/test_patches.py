"""Patches show the pixels that they should, and nothing else moves."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_mspose import patches

HEIGHT, WIDTH = 24, 40


def _boxes(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First pixels, lengths and sources (3, count, 2) of patches in three crops, as x, y."""
    rng = np.random.default_rng(seed)
    length = rng.integers(1, 12, (3, count, 2))
    first = rng.integers(-5, [WIDTH - 1, HEIGHT - 1], (3, count, 2))
    source = rng.integers(0, np.array([WIDTH, HEIGHT]) - length + 1)
    return tuple(part.astype(np.int32) for part in (first, length, source))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
def test_every_pixel_is_its_own_or_its_patchs(seed: int, count: int) -> None:
    first, length, source = _boxes(seed, count)
    crops = np.random.default_rng(seed).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    wanted = np.random.default_rng(seed + 1).random((3, count)) < 0.8
    pasted = patches.apart(tf.constant(first), tf.constant(length), tf.constant(wanted)).numpy()
    assert not (pasted & ~wanted).any()
    expected, owners = crops.copy(), np.zeros((3, HEIGHT, WIDTH), int)
    for b, p in zip(*np.nonzero(pasted), strict=True):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                step = np.array([x, y]) - first[b, p]
                if (step >= 0).all() and (step < length[b, p]).all():
                    at = source[b, p] + step
                    expected[b, y, x] = crops[b, at[1], at[0]]
                    owners[b, y, x] += 1
    assert owners.max() <= 1  # what stays does not overlap
    move = source - first
    shift = (move[..., 1] * WIDTH + move[..., 0]) * pasted
    rows = patches.span(tf.constant(first[..., 1]), tf.constant(length[..., 1]), HEIGHT) * shift[..., None]
    columns = patches.span(tf.constant(first[..., 0]), tf.constant(length[..., 0]), WIDTH)
    found, _ = patches.paste(tf.constant(crops), tf.zeros((3, 1, 4)), [patches.Layer(rows, columns)])
    np.testing.assert_array_equal(found, expected)


def test_a_patch_goes_only_where_an_earlier_one_is_in_its_way() -> None:
    first = tf.constant([[[0, 0], [3, 3], [4, 0], [7, 7]]])
    length = tf.constant([[[4, 4], [4, 4], [2, 2], [1, 1]]])
    wanted = ([True] * 4, [False, True, True, True])
    kept = [patches.apart(first, length, tf.constant([w])).numpy()[0].tolist() for w in wanted]
    assert kept == [[True, False, True, True], [False, True, True, True]]


def test_covered_keypoints_are_occluded_and_nothing_else_changes() -> None:
    targets = [[3.4, 3, 2, 9], [3.6, 3, 2, 9], [1, 1, 0, 9], [2, 2, 1, 9], [8, 8, 2, 9], [-3, 3, 2, 9], [3, 99, 2, 9]]
    rows, columns = np.zeros((1, 1, HEIGHT), np.float32), np.zeros((1, 1, WIDTH), np.float32)
    rows[..., :4], columns[..., :4] = 5, 1  # the corner of 4 x 4 pixels shows what is 5 pixels to its right
    crops = tf.zeros((1, HEIGHT, WIDTH, 3), tf.uint8)
    layer = patches.Layer(tf.constant(rows), tf.constant(columns))
    _, found = patches.paste(crops, tf.constant([targets], tf.float32), [layer])
    np.testing.assert_array_equal(found[0, :, 2], [1, 2, 0, 1, 2, 2, 2])
    np.testing.assert_array_equal(np.delete(found[0], 2, axis=-1), np.delete(np.float32(targets), 2, axis=-1))


def test_later_layers_lie_over_earlier_ones_and_show_the_crop_as_it_was() -> None:
    crops = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint16).reshape(1, HEIGHT, WIDTH, 3).astype(np.uint8)

    def layer(first: int, last: int, by: int) -> patches.Layer:
        rows, columns = np.zeros((1, 1, HEIGHT), np.float32), np.zeros((1, 1, WIDTH), np.float32)
        rows[..., first:last], columns[..., first:last] = by, 1
        return patches.Layer(tf.constant(rows), tf.constant(columns))

    found, _ = patches.paste(tf.constant(crops), tf.zeros((1, 1, 4)), [layer(0, 6, 5), layer(4, 8, 9)])
    expected = crops.copy()
    expected[:, :6, :6] = crops[:, :6, 5:11]
    expected[:, 4:8, 4:8] = crops[:, 4:8, 13:17]
    np.testing.assert_array_equal(found, expected)
