"""Half-body crops are cut about the right keypoints, where there are enough, and leave no false labels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import half_body, pipeline, records
from keras_mspose.config import from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import FLIC11, LSP14, SKELETONS, Skeleton

UPPER = np.array([name in LSP14.upper_body for name in LSP14.keypoints])


def _person() -> np.ndarray:
    """Keypoints (14, 3): the upper body in a square of 40 about (100, 60), the lower in one of 60 about (100, 170)."""
    rng = np.random.default_rng(0)
    xy = np.where(
        UPPER[:, None], rng.uniform((80, 40), (120, 80), (14, 2)), rng.uniform((70, 140), (130, 200), (14, 2))
    )
    xy[UPPER.argmax()], xy[len(UPPER) - 1 - UPPER[::-1].argmax()] = (80, 40), (120, 80)
    xy[UPPER.argmin()], xy[len(UPPER) - 1 - UPPER[::-1].argmin()] = (70, 140), (130, 200)
    return np.column_stack([xy, np.full(14, 2)]).astype(np.float32)


def _box(keypoints: np.ndarray, upper: bool, whole: float = 250.0) -> tuple:
    center, side, enough = half_body.half_body_box(
        tf.constant(keypoints), LSP14, tf.constant(upper), tf.constant(whole)
    )
    return (*center.numpy().tolist(), float(side), bool(enough))


def test_boxes_by_hand() -> None:
    assert _box(_person(), upper=False) == pytest.approx((100, 170, 1.5 * 60, True))
    assert _box(_person(), upper=True) == pytest.approx((100, 60, 250 / 3, True))  # 1.5 * 40 is under a third of 250
    assert _box(_person(), upper=True, whole=150.0) == pytest.approx((100, 60, 1.5 * 40, True))
    assert _box(_person(), upper=False, whole=80.0) == pytest.approx((100, 170, 80, True))


def test_the_other_half_is_taken_where_too_little_of_one_is_labelled() -> None:
    person = _person()
    person[np.nonzero(~UPPER)[0][1:5], 2] = 0  # two of the lower body's six, and eight of the upper body's
    assert _box(person, upper=False) == _box(person, upper=True)
    assert _box(person, upper=False)[:2] == pytest.approx((100, 60))


def test_persons_with_few_labels_are_left_whole() -> None:
    person = _person()
    person[::2, 2] = 0
    assert not _box(person, upper=True)[3]  # 7 of 14
    person[0, 2] = 1
    assert _box(person, upper=True)[3]


def test_every_shipped_skeleton_has_two_halves() -> None:
    for skeleton in SKELETONS.values():
        lower = set(skeleton.keypoints) - set(skeleton.upper_body)
        assert {"left_hip", "right_hip"} <= lower
        assert {"left_shoulder", "right_wrist"} <= set(skeleton.upper_body)
    assert set(FLIC11.keypoints) - set(FLIC11.upper_body) == {"left_hip", "right_hip"}


def test_what_lies_outside_is_no_longer_labelled() -> None:
    targets = tf.constant([[-0.4, 5, 2, 9], [-0.6, 5, 2, 9], [31.4, 5, 1, 9], [5, 23.6, 1, 9], [5, 5, 0, 9]])
    found = half_body.without_outside(targets, (24, 32)).numpy()
    np.testing.assert_array_equal(found[:, 2], [2, 0, 1, 0, 0])
    np.testing.assert_array_equal(np.delete(found, 2, axis=1), np.delete(targets, 2, axis=1))


def _config(**augment: float):
    still = {"scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0}
    return from_dict({"model": {"input_size": [64, 64]}, "data": {"augment": {**still, **augment}}}, "test")


def test_training_sees_the_half_and_no_keypoints_beyond(dots) -> None:
    seen = set()
    for number, record in enumerate(tf.data.TFRecordDataset(dots.records.files("train"))):
        person = records.parse(record, 14)
        _, target = pipeline.as_trained(person, dots.records, _config(half_body=1.0), tf.constant([0, number]))
        target = target.numpy()
        inside = ((target[:, :2] > -0.5) & (target[:, :2] < 63.5)).all(axis=1)
        np.testing.assert_array_equal(target[:, 2] > 0, inside)
        halves = [half for half in (UPPER, ~UPPER) if inside[half].all()]
        for half in halves:  # its bounding box is in the middle
            low, high = target[half, :2].min(axis=0), target[half, :2].max(axis=0)
            if np.abs((low + high) / 2 - 31.5).max() < 0.01:
                seen.add(bool(half[UPPER.argmax()]))
                break
        else:
            pytest.fail("no half of the person is in the middle of its crop")
    assert seen == {True, False}


def test_the_whole_photograph_goes_before_the_half(dots) -> None:
    record = next(iter(tf.data.TFRecordDataset(dots.records.files("train"))))
    person = records.parse(record, 14)
    both, whole = (
        pipeline.as_trained(person, dots.records, _config(whole_image=1.0, half_body=h), tf.constant([0, 3]))
        for h in (1.0, 0.0)
    )
    for a, b in zip(both, whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_skeleton_without_halves_is_refused(dots) -> None:
    data = dataclasses.replace(dots.records, skeleton=Skeleton("own", LSP14.keypoints))
    with pytest.raises(MsposeError, match=r"half_body: skeleton own does not say .* under `upper_body`"):
        pipeline.training_batches(data, _config(half_body=0.3), ["a"])
