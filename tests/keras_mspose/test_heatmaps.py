"""The codec returns what it was given, below the pixel, in NumPy and in TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_mspose import geometry, heatmaps

SIDE = 128
inside = st.floats(-0.5, SIDE - 0.5, width=32)
seeds = st.integers(0, 2**32 - 1)
SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0)


def _keypoint(x: float, y: float, visibility: int = 2) -> np.ndarray:
    return np.array([[[x, y, visibility]]], np.float32)


@settings(max_examples=200, deadline=None)
@given(x=inside, y=inside, stride=st.sampled_from([4, 8, 16, 32]))
@example(x=-0.5, y=SIDE - 0.5, stride=4)
@example(x=-0.5, y=SIDE - 0.5, stride=32)
@example(x=3.5, y=63.5, stride=4)  # on the border between two heatmap pixels
def test_a_rendered_keypoint_is_found_again(x: float, y: float, stride: int) -> None:
    maps = heatmaps.render(_keypoint(x, y), (SIDE // stride,) * 2, stride)
    found = heatmaps.decode(maps, stride)[0, 0]
    # 0.1 px of the crop at GT; 0.1 heatmap pixel at the smaller scales.
    assert np.abs(found[:2] - (x, y)).max() < (0.1 if stride == 4 else 0.1 * stride)


@settings(max_examples=60, deadline=None)
@given(x=inside, y=inside, sigma=st.sampled_from(SIGMAS))
@example(x=-0.5, y=SIDE - 0.5, sigma=0.5)
@example(x=-0.5, y=SIDE - 0.5, sigma=3.0)
def test_and_with_every_sigma(x: float, y: float, sigma: float) -> None:
    maps = heatmaps.render(_keypoint(x, y), (SIDE // 4,) * 2, 4, sigma)
    assert np.abs(heatmaps.decode(maps, 4, sigma)[0, 0, :2] - (x, y)).max() < 0.1


def test_and_at_every_position_of_a_fine_grid() -> None:
    steps = np.linspace(-0.5, 63.5, 257, dtype=np.float32)
    across, down = np.meshgrid(steps, steps)
    keypoints = np.stack([across, down, np.full_like(across, 2)], axis=-1).reshape(257, 257, 3)
    found = heatmaps.decode(heatmaps.render(keypoints, (16, 16), 4), 4)
    assert np.abs(found[..., :2] - keypoints[..., :2]).max() < 0.1


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
    # A distance, not a difference along x: the box may be turned. 0.1 px of the crop is that much of the photograph.
    assert np.linalg.norm(back - photograph) < 0.1 * side / SIDE


def test_a_rectangular_crop_keeps_x_and_y_apart() -> None:
    maps = heatmaps.render(_keypoint(100.25, 20.75), (16, 32), 4)
    assert maps.shape == (1, 16, 32, 1)
    np.testing.assert_allclose(heatmaps.decode(maps, 4)[0, 0, :2], [100.25, 20.75], atol=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, stride=st.sampled_from([4, 8, 32]), sigma=st.sampled_from(SIGMAS))
def test_both_back_ends_agree(seed: int, stride: int, sigma: float) -> None:
    rng = np.random.default_rng(seed)
    keypoints = np.concatenate([rng.uniform(-0.5, 127.5, (2, 5, 2)), rng.integers(0, 3, (2, 5, 1))], axis=-1)
    keypoints = keypoints.astype(np.float32)
    size = (SIDE // stride,) * 2
    maps = heatmaps.render(keypoints, size, stride, sigma)
    np.testing.assert_allclose(heatmaps.render(tf.constant(keypoints), size, stride, sigma), maps, atol=1e-6)
    for seen in (maps, (maps + rng.normal(0, 0.05, maps.shape)).astype(np.float32)):
        found = heatmaps.decode(tf.constant(seen), stride, sigma)
        assert tf.is_tensor(found)
        np.testing.assert_allclose(found, heatmaps.decode(seen, stride, sigma), rtol=0, atol=1e-4)


def test_it_decodes_inside_a_graph_of_unknown_batch() -> None:
    graph = tf.function(lambda m: heatmaps.decode(m, 4), input_signature=[tf.TensorSpec((None, 32, 32, 2))])
    maps = heatmaps.render(np.array([[[10, 20, 2], [77.3, 3.1, 1]]] * 3, np.float32), (32, 32), 4)
    np.testing.assert_allclose(graph(maps), heatmaps.decode(maps, 4), rtol=0, atol=1e-4)


def test_a_gaussian_by_hand_and_nothing_for_the_unlabelled() -> None:
    maps = heatmaps.render(np.array([[[5.5, 5.5, 2], [5.5, 5.5, 0]]], np.float32), (3, 3), 4)[0]
    e, d = np.exp(-0.5), np.exp(-1.0)
    np.testing.assert_allclose(maps[..., 0], [[d, e, d], [e, 1, e], [d, e, d]], rtol=1e-6)
    assert not maps[..., 1].any()


def test_a_gaussian_between_pixels_by_hand() -> None:
    # Half a heatmap pixel to the right of pixel (1, 1), with sigma 2: exp(-distance^2 / 8).
    maps = heatmaps.render(_keypoint(7.5, 5.5), (3, 3), 4, sigma=2.0)[0, ..., 0]
    squares = np.array([[3.25, 1.25, 1.25], [2.25, 0.25, 0.25], [3.25, 1.25, 1.25]])
    np.testing.assert_allclose(maps, np.exp(-squares / 8), rtol=1e-6)


def test_an_occluded_keypoint_is_drawn_as_a_visible_one() -> None:
    occluded, visible = (heatmaps.render(_keypoint(9, 11, v), (8, 8), 4) for v in (1, 2))
    np.testing.assert_array_equal(occluded, visible)


def test_a_keypoint_outside_is_decoded_at_the_border_towards_it() -> None:
    maps = heatmaps.render(_keypoint(-3.0, 30.0), (16, 16), 4)
    np.testing.assert_allclose(heatmaps.decode(maps, 4)[0, 0, :2], [-0.5, 30.0], atol=0.1)


def test_the_score_is_the_peak() -> None:
    maps = np.zeros((1, 4, 4, 2), np.float32)
    maps[0, 2, 1] = 0.625, 7.5
    np.testing.assert_array_equal(heatmaps.decode(maps, 4)[0, :, 2], [0.625, 7.5])
    np.testing.assert_allclose(heatmaps.decode(maps, 4)[0, :, :2], [[5.5, 9.5]] * 2, atol=1e-5)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_how_high_a_peak_is_does_not_move_it(scale: float) -> None:
    maps = heatmaps.render(_keypoint(41.3, 17.9), (16, 16), 4) * np.float32(scale)
    np.testing.assert_allclose(heatmaps.decode(maps, 4)[0, 0, :2], [41.3, 17.9], atol=0.01)


@pytest.mark.parametrize("backend", [np.asarray, tf.constant], ids=["numpy", "tensorflow"])
@pytest.mark.parametrize("value", [0.0, -1.0, 1.0, 1e-30, 1e30])
def test_flat_maps_decode_to_numbers_inside_the_crop(value: float, backend) -> None:
    found = np.asarray(heatmaps.decode(backend(np.full((1, 4, 4, 1), value, np.float32)), 4))
    assert np.isfinite(found).all()
    assert (found[..., :2] >= -0.5).all() and (found[..., :2] <= 15.5).all()


@pytest.mark.parametrize("backend", [np.asarray, tf.constant], ids=["numpy", "tensorflow"])
def test_negative_and_lonely_peaks_decode_to_their_own_pixel(backend) -> None:
    maps = np.full((1, 5, 5, 2), -1.0, np.float32)
    maps[0, 2, 3] = -0.5, 1.0
    found = np.asarray(heatmaps.decode(backend(maps), 4))
    np.testing.assert_allclose(found[0], [[13.5, 9.5, -0.5], [13.5, 9.5, 1.0]], atol=1e-5)


@pytest.mark.parametrize("backend", [np.asarray, tf.constant], ids=["numpy", "tensorflow"])
def test_shrinking_by_hand(backend) -> None:
    maps = backend(np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1))
    np.testing.assert_array_equal(heatmaps.shrink(maps, 2, "maximum")[0, ..., 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(heatmaps.shrink(maps, 2, "average")[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(heatmaps.shrink(maps, 4, "average")[0, ..., 0], [[7.5]])


def test_shrinking_keeps_keypoints_apart() -> None:
    maps = np.zeros((2, 2, 4, 3), np.float32)
    maps[1, 0, 3, 2] = 8.0
    for how, value in (("maximum", 8.0), ("average", 2.0)):
        small = heatmaps.shrink(maps, 2, how)
        assert small.shape == (2, 1, 2, 3)
        assert small[1, 0, 1, 2] == value and small.sum() == value


def test_only_named_ways_of_shrinking_are_taken() -> None:
    with pytest.raises(ValueError, match="median"):
        heatmaps.shrink(np.zeros((1, 4, 4, 1), np.float32), 2, "median")


@pytest.mark.parametrize("backend", [np.asarray, tf.constant])
def test_other_decodings_by_hand(backend) -> None:
    maps = np.zeros((1, 5, 5, 2), np.float32)
    maps[0, 2, 1:4, 0] = 0.2, 1, 0.6  # higher to the right, and level up and down
    maps[0, 0, :2, 1] = 1, 0.9  # at a corner: neighbours are missing
    found = {how: np.asarray(heatmaps.decode(backend(maps), 4, 1.0, how))[0, :, :2] for how in ("argmax", "quarter")}
    np.testing.assert_allclose(found["argmax"], [[9.5, 9.5], [1.5, 1.5]])  # (2 + 0.5) * 4 - 0.5
    np.testing.assert_allclose(found["quarter"], [[10.5, 9.5], [1.5, 1.5]])
    with pytest.raises(ValueError, match="how must be among"):
        heatmaps.decode(backend(maps), 4, 1.0, "softmax")


def test_each_decoding_comes_nearer_than_the_one_before() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(10, 53, (200, 1, 2)), np.full((200, 1, 1), 2.0)], axis=-1)
    maps = heatmaps.render(keypoints, (16, 16), 4, 1.0)
    found = {how: heatmaps.decode(maps, 4, 1.0, how)[..., :2] for how in heatmaps.DECODINGS}
    error = {how: np.abs(xy - keypoints[..., :2]).mean() for how, xy in found.items()}
    assert error["parabola"] < 0.01 < error["quarter"] < 0.7 * error["argmax"]
