"""Averaging over flips and scales: maps come back to where the plain crop has them, below the pixel."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose.heatmaps import decode, render
from keras_mspose.passes import Passes, heatmaps_by_passes, rescaled
from keras_mspose.skeleton import LSP14

SIZE = 64  # crop pixels; heatmaps have 16


def _keypoints(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(14, 50, (3, 14, 2)), np.full((3, 14, 1), 2)], axis=-1).astype(np.float32)


@pytest.mark.parametrize("scale", [0.75, 0.9, 1.1, 1.3])
def test_a_heatmap_of_another_scale_comes_back_to_its_place(scale: float) -> None:
    keypoints = _keypoints()
    middle = (SIZE - 1) / 2
    larger = keypoints.copy()
    larger[..., :2] = middle + (keypoints[..., :2] - middle) * scale
    back = rescaled(tf.constant(render(larger, (16, 16), 4)), scale)
    found = decode(back.numpy(), 4, 1 / scale)
    assert np.abs(found[..., :2] - keypoints[..., :2]).max() < 0.15
    np.testing.assert_array_equal(rescaled(back, 1.0), back)


def _painter() -> keras.Model:
    """A network whose heatmap k is the crop's red channel, shrunk by 4, for every k."""
    crop = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    grey = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(crop))
    maps = keras.layers.Conv2D(14, 1, use_bias=False, kernel_initializer="zeros", name="stack1_gt1")(grey)
    model = keras.Model(crop, {"stack1_gt1": maps})
    weights = np.zeros((1, 1, 3, 14))
    weights[:, :, 0] = 1
    model.layers[-1].set_weights([weights])
    return model


def test_passes_of_a_network_that_sees_well_agree() -> None:
    model = _painter()
    down, across = np.mgrid[:SIZE, :SIZE]
    middle = (SIZE - 1) / 2
    crops = {}
    for scale in (0.8, 1.0, 1.25):
        x, y = middle + (20.0 - middle) * scale, middle + (41.0 - middle) * scale
        spot = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 5.0**2))
        crops[scale] = tf.constant(np.repeat(np.round(255 * spot)[None, ..., None], 3, -1).astype(np.uint8))
    asked = [Passes(), Passes(True), Passes(False, (0.8, 1.0, 1.25)), Passes(True, (0.8, 1.25))]
    by_passes = heatmaps_by_passes(model, crops, LSP14, asked)
    assert list(by_passes) == asked
    for passes, heads in by_passes.items():
        found = decode(heads["stack1_gt1"].numpy(), 4, 1.6)
        np.testing.assert_allclose(found[0, :, :2], np.tile((20.0, 41.0), (14, 1)), atol=0.4, err_msg=str(passes))


def test_beyond_an_enlarged_crop_the_others_answer_alone() -> None:
    model = _painter()
    white = tf.fill((1, SIZE, SIZE, 3), tf.constant(255, tf.uint8))
    (maps,) = heatmaps_by_passes(model, {1.0: white, 2.0: white}, LSP14, [Passes(True, (1.0, 2.0))]).values()
    np.testing.assert_allclose(maps["stack1_gt1"], 1, atol=1e-5)
