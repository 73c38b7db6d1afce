"""Accuracy by hand, and the metric of `fit` is the metric of `evaluate`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.heatmaps import decode, render
from keras_mspose.metrics import accuracy, area_under_curve, curve, normalised_distances, reference_between
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


def test_area_under_the_curve_by_hand() -> None:
    assert area_under_curve(np.array([[0.0, 0.0]])) == pytest.approx(100)
    assert area_under_curve(np.array([[0.0, 9.0]])) == pytest.approx(50)
    # right from 0.25 on: 25 whole steps of 0.01, and half of the step that leads there
    assert area_under_curve(np.array([[0.25, 0.25]])) == pytest.approx(100 * 25.5 / 50)
    assert area_under_curve(np.array([[0.25, 0.25]]), strict=True) == pytest.approx(100 * 24.5 / 50)
    assert np.isnan(area_under_curve(np.full((2, 2), np.nan)))


def test_the_curve_passes_through_the_accuracy_at_each_threshold() -> None:
    rng = np.random.default_rng(0)
    found = rng.integers(0, 60, (50, 16)) / 100  # many exactly on a threshold
    for strict in (False, True):
        shares = [accuracy(found, MPII16, "pckh", t, strict=strict).weighted_mean for t in np.arange(51) / 100]
        area = 2 * np.trapezoid(shares, np.arange(51) / 100)
        assert area_under_curve(found[:, MPII16.scored_indices], strict=strict) == pytest.approx(area, abs=1e-9)


def test_a_curve_by_hand() -> None:
    distances = np.array([[0.1, 0.3], [np.nan, 9.0]])
    np.testing.assert_allclose(curve(distances, np.array([0, 0.1, 0.3, 0.5])), [0, 100 / 3, 200 / 3, 200 / 3])
    np.testing.assert_allclose(curve(distances, np.array([0.1, 0.3]), strict=True), [0, 100 / 3])
    assert np.isnan(curve(np.full((2, 2), np.nan), np.array([0.5]))).all()


def test_pck_over_any_two_keypoints() -> None:
    truth = np.array(
        [[[0, 0, 2], [3, 4, 1], [9, 9, 2], [0, 0, 0]], [[0, 0, 2], [3, 4, 0], [9, 9, 2], [0, 0, 2]]], float
    )
    np.testing.assert_allclose(reference_between(truth, FACE, ("nose", "left_eye")), [5, 0])
    with pytest.raises(MsposeError, match="chin: no keypoint of face, which has nose"):
        reference_between(truth, FACE, ("nose", "chin"))


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
    fit = CorrectKeypoints(count, skeleton.scored_indices, threshold)
    for part in (slice(0, 7), slice(7, 8), slice(8, persons)):  # batches of different sizes
        fit.update_state(targets[part], maps[part])

    expected = accuracy(normalised_distances(decode(maps, 4), truth, reference), skeleton, metric)
    assert 5 < expected.mean < 95
    assert float(fit.result()) == pytest.approx(expected.mean, abs=1e-6)
    fit.reset_state()
    assert float(fit.result()) == 0


DEVICES = """
import json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_mspose.fit_metric import CorrectKeypoints
given = np.load(sys.argv[1])
targets, maps = given["targets"], given["maps"]
found = {}
for count in (1, 2):
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)])
    with strategy.scope():
        metric = CorrectKeypoints(targets.shape[1], given["scored"].tolist(), 0.5)
    batches = tf.data.Dataset.from_tensor_slices((targets, maps)).batch(7)  # 4 and 3 persons; in the end 2 and none
    step = tf.function(lambda *batch: strategy.run(metric.update_state, batch))
    for batch in strategy.experimental_distribute_dataset(batches):
        step(*batch)
    found[count] = float(metric.result())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_one_device_and_two_agree_with_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    persons, count = 65, len(MPII16)
    truth = np.concatenate([rng.uniform(0, 63, (persons, count, 2)), rng.integers(0, 3, (persons, count, 1))], axis=-1)
    truth[rng.random((persons, count)) < 0.3] = 0  # as many labelled as chance has it: means of means would be off
    reference = rng.uniform(5, 40, persons) * (rng.random(persons) < 0.8)
    seen = np.concatenate([truth[..., :2] + rng.normal(0, 6, (persons, count, 2)), np.full((persons, count, 1), 2)], -1)
    maps = render(seen.astype(np.float32), (16, 16), 4)
    targets = np.concatenate([truth, np.broadcast_to(reference[:, None, None], (persons, count, 1))], axis=-1)
    np.savez(tmp_path / "in.npz", targets=targets.astype(np.float32), maps=maps, scored=MPII16.scored_indices)
    done = subprocess.run(
        [sys.executable, "-c", DEVICES, str(tmp_path / "in.npz")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = accuracy(normalised_distances(decode(maps, 4), truth, reference), MPII16, "pckh").mean
    found = json.loads(done.stdout.splitlines()[-1])
    assert 20 < expected < 90
    assert found == {"1": pytest.approx(expected, abs=1e-6), "2": pytest.approx(expected, abs=1e-6)}


def test_a_map_of_nans_is_wrong_inside_fit_too() -> None:
    targets = np.array([[[-0.5, -0.5, 2, 100], [8, 8, 2, 100]]], np.float32)
    maps = render(targets, (16, 16), 4)
    maps[..., 0] = np.nan
    fit = CorrectKeypoints(2, [0, 1], 0.5)
    fit.update_state(targets, maps)
    assert float(fit.result()) == 50


def test_the_metric_of_fit_survives_a_file() -> None:
    fit = CorrectKeypoints(14, LSP14.scored_indices, 0.2, stride=8, sigma=1.5, name="pck_small")
    again = CorrectKeypoints.from_config(fit.get_config())
    assert again.get_config() == fit.get_config()
