"""The loss is equation 1, as written out in two loops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose.heatmaps import render, shrink
from keras_mspose.losses import HeatmapLoss, skeleton_groups
from keras_mspose.skeleton import LSP14, Skeleton

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


def test_hard_keypoints_are_those_of_the_largest_loss() -> None:
    targets = _targets(3, 5)
    truth = _truth(targets, 1, 1.0, "rendered")
    predicted = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    terms = ((predicted - truth) ** 2).sum(axis=(1, 2)) * (targets[..., 2] > 0)
    expected = np.sort(terms, axis=1)[:, -2:].mean(axis=1)
    np.testing.assert_allclose(HeatmapLoss(hardest=2).call(targets, predicted), expected, rtol=1e-5)


def test_the_structure_aware_term_matches_neighbours_together() -> None:
    skeleton = Skeleton("arm", ("hand", "elbow", "shoulder", "hat"), limbs=(("hand", "elbow"), ("elbow", "shoulder")))
    targets = _targets(3, 4, seed=2)
    targets[0, 1, 2] = 0
    truth = _truth(targets, 2, 1.0, "rendered")
    predicted = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    expected = HeatmapLoss(2).call(targets, predicted).numpy()
    for person in range(3):
        for group in ((0, 1), (0, 1, 2), (1, 2), (3,)):
            seen = [n for n in group if targets[person, n, 2] > 0]
            together = sum((predicted[person, ..., n] - truth[person, ..., n] for n in seen), np.zeros((8, 8)))
            expected[person] += 0.3 * (together**2).sum() / 4
    found = HeatmapLoss(2, structure=0.3, groups=skeleton_groups(skeleton)).call(targets, predicted)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_every_keypoint_is_in_its_own_group_and_in_its_neighbours() -> None:
    groups = np.array(skeleton_groups(LSP14))
    assert (groups == groups.T).all() and (np.diag(groups) == 1).all()
    assert groups.sum() == 14 + 2 * len({frozenset(limb) for limb in LSP14.limbs})
