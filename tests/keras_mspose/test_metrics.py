"""Accuracy by hand, and the metric of `fit` is the metric of `evaluate`."""

import numpy as np
import pytest

from keras_mspose.heatmaps import decode, render
from keras_mspose.metrics import accuracy, normalised_distances
from keras_mspose.right_keypoints import RightKeypoints
from keras_mspose.skeleton import LSP14, MPII16, Skeleton

FACE = Skeleton(
    "face",
    ("nose", "left_eye", "right_eye", "hat"),
    flip_pairs=(("left_eye", "right_eye"),),
    groups={"Eyes": ("left_eye", "right_eye"), "Nose": ("nose",)},
    unscored=("hat",),
)


def _two_persons() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, truth and reference lengths (10 and 20 px) of two persons with a nose, two eyes and a hat."""
    truth = np.array(
        [[[10, 10, 2], [20, 10, 1], [30, 10, 2], [0, 0, 2]], [[10, 10, 2], [20, 10, 2], [0, 0, 0], [0, 0, 2]]], float
    )
    # Distances: 5 (of 10: just right), 5.1 (wrong), 0 (right), 50; 10 (of 20: just right), 4 (right), unlabelled, 50.
    offset = np.array([[[5, 0], [0, 5.1], [0, 0], [50, 0]], [[6, 8], [4, 0], [0, 0], [50, 0]]], float)
    return truth[..., :2] + offset, truth, np.array([10.0, 20.0])


def test_two_persons_by_hand() -> None:
    predicted, truth, reference = _two_persons()
    distances = normalised_distances(predicted, truth, reference)
    np.testing.assert_allclose(distances, [[0.5, 0.51, 0, 5], [0.5, 0.2, np.nan, 2.5]])
    found = accuracy(distances, FACE, "pckh")
    assert (found.metric, found.threshold) == ("PCKh", 0.5)
    assert found.joints == {"nose": 100, "left_eye": 50, "right_eye": 100, "hat": 0}
    assert found.counts == {"nose": 2, "left_eye": 2, "right_eye": 1, "hat": 2}
    assert found.groups == {"Eyes": 75, "Nose": 100}
    assert found.mean == pytest.approx(250 / 3)
    assert found.weighted_mean == pytest.approx(80)  # 4 of 5: the hat is not scored
    assert found.persons == {"counted": 2, "all": 2}


def test_the_threshold_can_be_chosen() -> None:
    distances = normalised_distances(*_two_persons())
    assert accuracy(distances, FACE, "pck").joints == {"nose": 0, "left_eye": 50, "right_eye": 100, "hat": 0}
    assert accuracy(distances, FACE, "pck", threshold=3).joints["hat"] == 50


def test_persons_without_reference_length_do_not_count() -> None:
    predicted, truth, _ = _two_persons()
    found = accuracy(normalised_distances(predicted, truth, np.array([0.0, 20.0])), FACE, "pckh")
    assert found.counts == {"nose": 1, "left_eye": 1, "right_eye": 0, "hat": 1}
    assert found.persons == {"counted": 1, "all": 2}
    assert np.isnan(found.joints["right_eye"])
    assert (found.groups["Eyes"], found.mean) == (100, 100)  # a keypoint that nobody has is left out of the mean
    assert found.to_dict()["joints"]["right_eye"] is None


def test_nobody_counts() -> None:
    predicted, truth, _ = _two_persons()
    found = accuracy(normalised_distances(predicted, truth, np.zeros(2)), FACE, "pckh").to_dict()
    assert (found["mean"], found["weighted_mean"], found["groups"]["Eyes"]) == (None, None, None)
    assert found["persons"] == {"counted": 0, "all": 2}


def test_a_predicted_nan_is_wrong() -> None:
    predicted, truth, reference = _two_persons()
    predicted[0, 0] = np.nan
    predicted[1, 2, 1] = np.nan  # not labelled: does not matter
    found = accuracy(normalised_distances(predicted, truth, reference), FACE, "pckh")
    assert (found.joints["nose"], found.joints["right_eye"]) == (50, 100)
    assert found.counts == {"nose": 2, "left_eye": 2, "right_eye": 1, "hat": 2}


@pytest.mark.parametrize(("skeleton", "metric", "threshold"), [(LSP14, "pck", 0.2), (MPII16, "pckh", 0.5)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_metric_of_fit_is_the_metric_of_evaluate(
    skeleton: Skeleton, metric: str, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    persons, count = 24, len(skeleton)
    truth = np.concatenate([rng.uniform(0, 63, (persons, count, 2)), rng.integers(0, 3, (persons, count, 1))], axis=-1)
    truth = truth.astype(np.float32)
    truth[:, 2, 2] = 0  # a keypoint that nobody has
    reference = (rng.uniform(5, 40, persons) * (rng.random(persons) < 0.8)).astype(np.float32)
    seen = np.concatenate([truth[..., :2] + rng.normal(0, 4, (persons, count, 2)), np.full((persons, count, 1), 2)], -1)
    maps = render(seen.astype(np.float32), (16, 16), 4)
    targets = np.concatenate([truth, np.broadcast_to(reference[:, None, None], (persons, count, 1))], axis=-1)
    step = RightKeypoints(skeleton.scored_indices, threshold)
    # batches of different sizes
    counts = sum(
        step.count(targets[part], maps[part]).numpy() for part in (slice(0, 7), slice(7, 8), slice(8, persons))
    )

    expected = accuracy(normalised_distances(decode(maps, 4), truth, reference), skeleton, metric)
    assert 5 < expected.mean < 95
    assert step.percentage(counts) == pytest.approx(expected.mean, rel=1e-6)
    assert step.percentage(0 * counts) == 0


def test_a_map_of_nans_is_wrong_in_training_too() -> None:
    targets = np.array([[[-0.5, -0.5, 2, 100], [8, 8, 2, 100]]], np.float32)
    maps = render(targets, (16, 16), 4)
    maps[..., 0] = np.nan
    step = RightKeypoints([0, 1], 0.5)
    assert step.percentage(step.count(targets, maps).numpy()) == 50
