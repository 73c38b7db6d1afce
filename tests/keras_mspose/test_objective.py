"""The loss that is learned and the figures that are logged, against sums by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from keras_mspose.config import DistillConfig, ModelConfig, RunConfig, TrainingConfig, from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.heatmaps import render
from keras_mspose.objective import Objective
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import Skeleton

FACE = Skeleton("face", ("nose", "left_eye", "right_eye"), flip_pairs=(("left_eye", "right_eye"),))
HEADS = ("stack1_gt1", "stack1_gt2", "regression")
SIZES = {"stack1_gt1": 8, "stack1_gt2": 4, "regression": 8}
MODEL = ModelConfig(stacks=1, channels=4, input_size=(32, 32), depth=2, scales=(1, 2))


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Targets of two persons, heatmaps by head, and L_in of every person and keypoint by head, by eq. 1 in NumPy."""
    rng = np.random.default_rng(0)
    targets = np.concatenate([rng.uniform(2, 29, (2, 3, 2)), np.full((2, 3, 1), 2), np.full((2, 3, 1), 9)], axis=2)
    targets = targets.astype(np.float32)
    targets[0, 1, 2] = 0
    maps = {head: rng.random((2, SIZES[head], SIZES[head], 3), np.float32) for head in HEADS}
    truth = {head: render(targets, (SIZES[head],) * 2, 32 // SIZES[head]) for head in HEADS}
    terms = {head: ((maps[head] - truth[head]) ** 2).sum(axis=(1, 2)) * (targets[..., 2] > 0) for head in HEADS}
    return targets, maps, terms


def _objective(**training: object) -> Objective:
    network = SimpleNamespace(output_names=list(HEADS))
    config = RunConfig(model=MODEL, training=TrainingConfig(**training))
    return Objective(network, Facts(FACE, "pck", config))


def test_it_is_equation_1_summed_over_persons(case) -> None:
    targets, maps, terms = case
    objective = _objective()
    loss, sums = objective.learn(maps, targets)
    expected = {head: terms[head].mean(axis=1).sum() for head in HEADS}
    assert float(loss) == pytest.approx(sum(expected.values()), rel=1e-5)
    row = objective.row(sums.numpy(), "val_")
    assert row["val_loss"] == pytest.approx(sum(expected.values()) / 2, rel=1e-5)
    assert row["val_stack1_gt2_loss"] == pytest.approx(expected["stack1_gt2"] / 2, rel=1e-5)
    assert list(row) == ["val_loss", *(f"val_{head}_loss" for head in HEADS), "val_regression_pck"]


def test_scales_have_weights_and_the_log_has_none(case) -> None:
    targets, maps, terms = case
    loss, sums = _objective(scale_weights=(0.5, 2.0)).learn(maps, targets)
    by_head = [terms[head].mean(axis=1).sum() for head in HEADS]
    assert float(loss) == pytest.approx(0.5 * by_head[0] + 2 * by_head[1] + by_head[2], rel=1e-5)
    np.testing.assert_allclose(sums[2:5], by_head, rtol=1e-5)


def test_hard_keypoints_are_those_of_the_largest_loss(case) -> None:
    targets, maps, terms = case
    objective = _objective(hard_keypoints=2)
    loss, _ = objective.learn(maps, targets)
    mined = np.sort(terms["regression"], axis=1)[:, 1:].mean(axis=1).sum()
    others = sum(terms[head].mean(axis=1).sum() for head in HEADS[:2])
    assert float(loss) == pytest.approx(mined + others, rel=1e-5)
    measured, _ = objective.measure(maps, targets, np.ones(2, np.float32))  # validation is over all
    assert float(measured) == pytest.approx(sum(t.mean(axis=1).sum() for t in terms.values()), rel=1e-5)


def test_a_teacher_has_its_share_at_the_scales_that_it_has(case) -> None:
    targets, maps, terms = case
    objective = _objective(distill=DistillConfig("large", 0.25))
    taught = np.random.default_rng(1).random((2, 8, 8, 3), np.float32)
    loss, _ = objective.learn(maps, targets, {1: taught})
    expected = terms["stack1_gt2"].mean(axis=1).sum()
    for head in ("stack1_gt1", "regression"):  # the unlabelled keypoint is learned from the teacher
        like_it = ((maps[head] - taught) ** 2).sum(axis=(1, 2)).mean(axis=1).sum()
        expected += 0.75 * terms[head].mean(axis=1).sum() + 0.25 * like_it
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_persons_that_fill_a_batch_up_do_not_count(case) -> None:
    targets, maps, _ = case
    objective = _objective()
    _, alone = objective.measure({h: m[:1] for h, m in maps.items()}, targets[:1], np.ones(1, np.float32))
    _, filled = objective.measure(maps, targets, np.array([1, 0], np.float32))
    np.testing.assert_allclose(filled, alone, rtol=1e-6)
    assert filled[0] == 1


def test_as_many_weights_as_scales() -> None:
    recipe = {"model": {"scales": [1, 2]}, "training": {"scale_weights": [1.0]}}
    with pytest.raises(MsposeError, match=r"training\.scale_weights: 1 for the 2 of model\.scales"):
        from_dict(recipe, "r")
    assert replace(from_dict({}, "r").training, scale_weights=(1.0,)).scale_weights == (1.0,)
