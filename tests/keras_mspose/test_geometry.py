"""The coordinate convention: pixel centres at integers, and the way into a crop and back."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_mspose import geometry

angles = st.floats(-math.pi, math.pi)
positions = st.floats(-500, 5000)
sides = st.floats(1, 10_000)
sizes = st.sampled_from([(64, 64), (256, 256), (256, 192), (64, 128)])


def _map(matrix: np.ndarray, *points: tuple[float, float]) -> np.ndarray:
    return geometry.apply(matrix, np.array(points, float))


def test_the_box_falls_on_the_crop_edge_to_edge() -> None:
    matrix = geometry.crop_transform(np.array([100.0, 60.0]), np.float64(50), (200, 200))
    found = _map(matrix, (100, 60), (75, 35), (125, 85), (125, 35))
    np.testing.assert_allclose(found, [(99.5, 99.5), (-0.5, -0.5), (199.5, 199.5), (199.5, -0.5)], atol=1e-9)


def test_a_whole_square_image_at_its_own_size_stays_where_it_is() -> None:
    center, side = geometry.image_box(np.float64(64), np.float64(64))
    matrix = geometry.crop_transform(center, side, (64, 64))
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-12)


@pytest.mark.parametrize(
    ("size", "corner"), [((64, 128), (-0.5, 31.5 - 64)), ((128, 64), (31.5 - 64, -0.5))], ids=["wide", "high"]
)
def test_the_box_falls_on_the_longer_side_of_a_rectangular_crop(size: tuple[int, int], corner: tuple) -> None:
    height, width = size
    matrix = geometry.crop_transform(np.array([10.0, 20.0]), np.float64(32), size)
    found = _map(matrix, (10, 20), (10 - 16, 20 - 16))
    np.testing.assert_allclose(found, [((width - 1) / 2, (height - 1) / 2), corner], atol=1e-9)


def test_a_positive_rotation_turns_x_towards_y() -> None:
    def turned(angle: float) -> np.ndarray:
        return geometry.crop_transform(np.array([50.0, 50.0]), np.float64(101), (101, 101), np.float64(angle))

    # 10 px to the right of the middle; y points down, so a quarter turn brings it 10 px below.
    np.testing.assert_allclose(_map(turned(math.pi / 2), (60, 50)), [(50, 60)], atol=1e-9)
    np.testing.assert_allclose(_map(turned(-math.pi / 2), (60, 50)), [(50, 40)], atol=1e-9)
    np.testing.assert_allclose(_map(turned(math.radians(30)), (60, 50)), [(50 + 10 * math.sqrt(3) / 2, 55)], atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(x=positions, y=positions, cx=positions, cy=positions, side=sides, turn=angles, size=sizes)
def test_a_flip_is_width_less_one_less_x(
    x: float, y: float, cx: float, cy: float, side: float, turn: float, size: tuple[int, int]
) -> None:
    plain, flipped = (
        _map(geometry.crop_transform(np.array([cx, cy]), np.float64(side), size, np.float64(turn), np.bool_(f)), (x, y))
        for f in (False, True)
    )
    expected = np.stack([size[1] - 1 - plain[:, 0], plain[:, 1]], axis=1)
    np.testing.assert_allclose(flipped, expected, rtol=1e-9, atol=1e-6)


def test_flip_x_by_hand() -> None:
    # Pixel 0 of 4 becomes pixel 3, and the left edge the right one.
    np.testing.assert_array_equal(geometry.flip_x(np.array([0.0, 3.0, 1.25, -0.5]), 4), [3.0, 0.0, 1.75, 3.5])


@settings(max_examples=100, deadline=None)
@given(x=positions, y=positions, cx=positions, cy=positions, side=sides, turn=angles, flip=st.booleans(), size=sizes)
def test_there_and_back_again(
    x: float, y: float, cx: float, cy: float, side: float, turn: float, flip: bool, size: tuple[int, int]
) -> None:
    matrix = geometry.crop_transform(np.array([cx, cy]), np.float64(side), size, np.float64(turn), np.bool_(flip))
    back = geometry.apply(geometry.invert(matrix), _map(matrix, (x, y)))
    np.testing.assert_allclose(back, [(x, y)], rtol=0, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(0, 2000), y=st.floats(0, 2000), side=st.floats(20, 2000), turn=angles, flip=st.booleans())
def test_there_and_back_again_in_single_precision(x: float, y: float, side: float, turn: float, flip: bool) -> None:
    center = tf.constant([x, y]) + side / 4
    matrix = geometry.crop_transform(center, tf.constant(side), (256, 256), tf.constant(turn), tf.constant(flip))
    point = tf.constant([[x, y]])
    back = geometry.apply(geometry.invert(matrix), geometry.apply(matrix, point))
    np.testing.assert_allclose(back, point, rtol=0, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=sizes)
def test_numpy_and_tensorflow_agree(seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    center, side = rng.uniform(0, 2000, (3, 2)), rng.uniform(20, 2000, 3)
    turn, flip, points = rng.uniform(-3, 3, 3), rng.random(3) < 0.5, rng.uniform(0, 2000, (3, 5, 2))
    matrix = geometry.crop_transform(center, side, size, turn, flip)
    tensor = geometry.crop_transform(*map(tf.constant, (center, side)), size, *map(tf.constant, (turn, flip)))
    assert tf.is_tensor(tensor) and isinstance(matrix, np.ndarray) and matrix.shape == (3, 2, 3)
    np.testing.assert_allclose(tensor, matrix, atol=1e-9)
    np.testing.assert_allclose(geometry.invert(tensor), geometry.invert(matrix), atol=1e-9)
    np.testing.assert_allclose(
        geometry.apply(tensor, tf.constant(points)), geometry.apply(matrix, points), rtol=1e-12, atol=1e-9
    )
    person = np.concatenate([points[0], rng.integers(0, 3, (5, 1))], axis=1)
    for found, expected in zip(geometry.joints_box(tf.constant(person)), geometry.joints_box(person), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_batch_is_one_person_after_the_other() -> None:
    center, side = np.array([[10.0, 20.0], [300.0, 5.0]]), np.array([64.0, 400.0])
    turn, flip = np.array([0.0, 1.0]), np.array([True, False])
    together = geometry.crop_transform(center, side, (64, 64), turn, flip)
    for i in range(2):
        alone = geometry.crop_transform(center[i], side[i], (64, 64), turn[i], flip[i])
        np.testing.assert_array_equal(together[i], alone)


def test_crop_to_heatmap_by_hand() -> None:
    # The first heatmap pixel covers crop pixels 0 to 3, whose middle is 1.5.
    crop = np.array([-0.5, 1.5, 5.5, 255.5])
    np.testing.assert_array_equal(geometry.crop_to_heatmap(crop, 4), [-0.5, 0.0, 1.0, 63.5])
    np.testing.assert_array_equal(geometry.heatmap_to_crop(geometry.crop_to_heatmap(crop, 8), 8), crop)


def test_a_box_about_the_labelled_joints() -> None:
    keypoints = np.array([[10, 20, 2], [50, 100, 1], [30, 40, 2], [900, 900, 0]], float)
    center, side = geometry.joints_box(keypoints)
    np.testing.assert_array_equal(center, [30, 60])
    assert side == 100  # 1.25 * 80


def test_a_box_of_one_joint_or_of_none_has_a_side() -> None:
    center, side = geometry.joints_box(np.array([[10, 20, 2], [50, 100, 0]], float))
    assert (*center, side) == (10, 20, 1)
    center, side = geometry.joints_box(np.array([[10, 20, 0]], float))
    assert (*center, side) == (0, 0, 1)


def test_a_box_of_the_whole_image() -> None:
    center, side = geometry.image_box(np.float32(101), np.float32(51))
    np.testing.assert_array_equal(center, [50, 25])
    assert side == 101


def test_the_next_look_is_at_what_was_found() -> None:
    keypoints = np.array([[10, 20, 1.0], [50, 40, 0.5], [90, 90, 0.1]])  # the last is under 0.15 of the best
    np.testing.assert_allclose(geometry.narrowed_box(keypoints, np.array([60, 60, 100.0])), (30, 30, 1.25 * 40))


def test_a_look_narrows_to_a_third_at_most_and_never_widens() -> None:
    first = np.array([60, 60, 100.0])
    close = np.array([[10, 20, 1.0], [12, 20, 1.0]])
    np.testing.assert_allclose(geometry.narrowed_box(close, first), (11, 20, 35))
    far = np.array([[0, 0, 1.0], [100, 0, 1.0]])
    np.testing.assert_allclose(geometry.narrowed_box(far, first), (50, 0, 100))
    np.testing.assert_allclose(geometry.narrowed_box(np.full((2, 3), np.nan), first), first)


def test_the_next_box_forgets_the_last_bits() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(20, 90, (200, 14, 2)), rng.uniform(0.5, 1, (200, 14, 1))], axis=2)
    first = np.array([60, 60, 128.0])
    boxes, nearly = (geometry.narrowed_box(k, first) for k in (keypoints, keypoints + 1e-5))
    assert (boxes == nearly).all(axis=1).mean() > 0.98 and np.abs(boxes - nearly).max() <= 0.25
    np.testing.assert_array_equal(boxes * 4, np.round(boxes * 4))
