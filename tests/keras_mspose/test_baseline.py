"""The mean pose, on a case that was reckoned by hand."""

from pathlib import Path

import numpy as np
import pytest

from keras_mspose.baseline import Labels, mean_pose, mean_pose_accuracy, read_labels
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import Skeleton

TWO = Skeleton(name="two", keypoints=("nose", "tail"))
DATA = RecordSet(Path("nowhere"), "two", TWO, "pckh", {})

# Nose at -0.2 and +0.2 sides from the centre: the mean is the centre. The tail counts in the second alone: (0.1, 0.3).
TRAIN = Labels(
    keypoints=np.array([[[30, 50, 2], [0, 0, 0]], [[140, 100, 1], [120, 160, 2]]], float),
    boxes=np.array([[50, 50, 100], [100, 100, 200]], float),
    reference=np.array([10.0, 20.0]),
)


def test_the_mean_is_over_labelled_joints_in_sides_of_the_box() -> None:
    np.testing.assert_allclose(mean_pose(TRAIN), [[0, 0], [0.1, 0.3]], atol=1e-12)


def test_a_joint_that_nobody_has_lies_at_the_centre() -> None:
    nobody = Labels(np.zeros((3, 2, 3)), np.ones((3, 3)), np.ones(3))
    np.testing.assert_array_equal(mean_pose(nobody), np.zeros((2, 2)))


def test_the_accuracy_is_that_of_the_mean_put_into_each_box() -> None:
    # In a box about (10, 20) with the side 50 the answer is nose (10, 20) and tail (15, 35); right is up to 0.5 * 8.
    measured = Labels(
        keypoints=np.array(
            [
                [[10, 24, 2], [15, 39.1, 2]],  # 4 away: right; 4.1 away: wrong
                [[13, 22, 1], [18, 35, 2]],  # 3.6 and 3 away: both right
                [[90, 90, 0], [95, 95, 2]],  # the nose is not labelled, the tail is wrong
                [[10, 20, 2], [15, 35, 2]],  # exact, but without a head size: not counted
            ],
            float,
        ),
        boxes=np.tile([10.0, 20.0, 50.0], (4, 1)),
        reference=np.array([8.0, 8.0, 8.0, 0.0]),
    )
    found = mean_pose_accuracy(TRAIN, measured, DATA)
    assert found.joints == pytest.approx({"nose": 100.0, "tail": 100 / 3})
    assert found.mean == pytest.approx(200 / 3)
    assert found.weighted_mean == pytest.approx(60.0)
    assert found.persons == {"counted": 3, "all": 4}


def test_labels_are_those_of_the_records(tmp_path: Path) -> None:
    from tfrecords_tools import synthetic

    data = synthetic.convert(tmp_path / "data", persons=3, val_persons=2, size=64, workers=1)
    labels = read_labels(data, "val", "record")
    persons = [synthetic.make_person(("val", number), size=64) for number in range(2)]
    np.testing.assert_allclose(labels.keypoints, [p.keypoints for p in persons], rtol=1e-6)
    np.testing.assert_allclose(labels.boxes, [p.box for p in persons], rtol=1e-6)
    np.testing.assert_allclose(labels.reference, [p.head_size for p in persons], rtol=1e-6)
