"""The loss is equation 1, as written out in two loops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose.heatmaps import render, shrink
from keras_mspose.losses import HeatmapLoss

PYRAMIDS = ("rendered", "maximum", "average")


def _targets(persons: int, keypoints: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    xy, visibility = rng.uniform(0, 63, (persons, keypoints, 2)), rng.integers(0, 3, (persons, keypoints, 1))
    return np.concatenate([xy, visibility, np.ones((persons, keypoints, 1))], axis=-1).astype(np.float32)


def _truth(targets: np.ndarray, scale: int, sigma: float, pyramid: str) -> np.ndarray:
    if pyramid == "rendered":
        return render(targets, (16 // scale, 16 // scale), 4 * scale, sigma)
    return shrink(render(targets, (16, 16), 4, sigma), scale, pyramid)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize(("scale", "sigma"), [(1, 1.0), (2, 1.0), (2, 1.5), (4, 1.0)])
def test_it_is_equation_1(scale: int, sigma: float, pyramid: str) -> None:
    targets = _targets(3, 5)
    truth = _truth(targets, scale, sigma, pyramid)
    predicted = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    assert (targets[..., 2] == 0).any()
    losses = []
    for person in range(3):
        squares = 0.0
        for n in range(5):
            if targets[person, n, 2] > 0:  # an unlabelled keypoint adds 0, and N counts it all the same
                squares += ((predicted[person, ..., n].astype(float) - truth[person, ..., n]) ** 2).sum()
        losses.append(squares / 5)
    loss = HeatmapLoss(scale, sigma, pyramid)
    np.testing.assert_allclose(loss.call(tf.constant(targets), tf.constant(predicted)), losses, rtol=1e-5)
    assert float(loss(targets, predicted)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_one_pixel_by_hand() -> None:
    targets = np.array([[[1.5, 1.5, 2, 0], [1.5, 1.5, 0, 0]]], np.float32)  # the only pixel's middle; not labelled
    predicted = np.array([0.25, 7.0], np.float32).reshape(1, 1, 1, 2)
    assert float(HeatmapLoss()(targets, predicted)) == pytest.approx(0.75**2 / 2)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("scale", [1, 2])
def test_a_perfect_prediction_costs_nothing(scale: int, pyramid: str) -> None:
    targets = _targets(4, 6, seed=2)
    assert float(HeatmapLoss(scale, 1.0, pyramid)(targets, _truth(targets, scale, 1.0, pyramid))) < 1e-10


def test_what_an_unlabelled_map_shows_does_not_matter() -> None:
    targets = _targets(2, 4, seed=3)
    targets[:, 1, 2] = 0
    predicted = tf.Variable(np.random.default_rng(4).normal(size=(2, 16, 16, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = HeatmapLoss()(targets, predicted)
    gradient = tape.gradient(loss, predicted).numpy()
    assert not gradient[..., 1].any() and gradient[..., 0].any()


def test_an_occluded_keypoint_costs_as_a_visible_one() -> None:
    targets, predicted = _targets(2, 4), np.zeros((2, 16, 16, 4), np.float32)
    targets[..., 2] = 1
    occluded = float(HeatmapLoss()(targets, predicted))
    targets[..., 2] = 2
    assert float(HeatmapLoss()(targets, predicted)) == occluded > 0


def test_it_survives_a_file() -> None:
    loss = HeatmapLoss(scale=4, sigma=1.5, pyramid="maximum", name="stack1_gt4")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, HeatmapLoss) and again.get_config() == loss.get_config()
    assert (again.scale, again.sigma, again.pyramid) == (4, 1.5, "maximum")
