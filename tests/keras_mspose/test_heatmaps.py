"""The codec returns what it was given, below the pixel, in NumPy and in TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_mspose import geometry, heatmaps

SIDE = 128
inside = st.floats(-0.5, SIDE - 0.5)


def _keypoint(x: float, y: float, visibility: int = 2) -> np.ndarray:
    return np.array([[[x, y, visibility]]], np.float32)


@settings(max_examples=200, deadline=None)
@given(x=inside, y=inside, stride=st.sampled_from([4, 8, 16, 32]))
def test_a_rendered_keypoint_is_found_again(x: float, y: float, stride: int) -> None:
    maps = heatmaps.render(_keypoint(x, y), (SIDE // stride,) * 2, stride)
    found = heatmaps.decode(maps, stride)[0, 0]
    # 0.1 px of the crop at GT; 0.1 heatmap pixel at the smaller scales.
    assert np.abs(found[:2] - (x, y)).max() < (0.1 if stride == 4 else 0.1 * stride)


@settings(max_examples=100, deadline=None)
@given(x=inside, y=inside, side=st.floats(20, 2000), turn=st.floats(-3, 3), flip=st.booleans())
def test_and_through_a_person_box_in_the_photograph(x: float, y: float, side: float, turn: float, flip: bool) -> None:
    matrix = geometry.crop_transform(
        np.array([300.0, 200.0]), np.float64(side), (SIDE, SIDE), np.float64(turn), np.bool_(flip)
    )
    photograph = geometry.apply(geometry.invert(matrix), np.array([[x, y]]))
    crop = geometry.apply(matrix, photograph)[0]
    found = heatmaps.decode(heatmaps.render(_keypoint(*crop), (32, 32), 4), 4)[0, 0, :2]
    back = geometry.apply(geometry.invert(matrix), found[None].astype(float))
    assert np.abs(back - photograph).max() < 0.1 * side / SIDE


def test_both_back_ends_agree() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(-0.5, 127.5, (8, 5, 2)), rng.integers(0, 3, (8, 5, 1))], -1).astype(
        np.float32
    )
    maps = heatmaps.render(keypoints, (32, 32), 4)
    np.testing.assert_allclose(heatmaps.render(tf.constant(keypoints), (32, 32), 4), maps, atol=1e-6)
    noisy = (maps + rng.normal(0, 0.05, maps.shape)).astype(np.float32)
    np.testing.assert_allclose(heatmaps.decode(tf.constant(noisy), 4), heatmaps.decode(noisy, 4), atol=1e-4)


def test_a_gaussian_by_hand_and_nothing_for_the_unlabelled() -> None:
    maps = heatmaps.render(np.array([[[5.5, 5.5, 2], [5.5, 5.5, 0]]], np.float32), (3, 3), 4)[0]
    e, d = np.exp(-0.5), np.exp(-1.0)
    np.testing.assert_allclose(maps[..., 0], [[d, e, d], [e, 1, e], [d, e, d]], rtol=1e-6)
    assert not maps[..., 1].any()


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_empty_maps_decode_to_numbers(value: float) -> None:
    assert np.isfinite(heatmaps.decode(np.full((1, 4, 4, 1), value, np.float32), 4)).all()


def test_shrinking_by_hand() -> None:
    maps = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(heatmaps.shrink(maps, 2, "maximum")[0, ..., 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(heatmaps.shrink(maps, 2, "average")[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])
