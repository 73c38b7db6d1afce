"""What a network must beat: every joint at its mean position in the crop, whoever is in the picture.

The mean pose looks at no pixel. What it scores is what the box alone gives away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mspose.metrics import Accuracy, accuracy, normalised_distances
from keras_mspose.records import RecordSet, parse


@dataclass(frozen=True)
class Labels:
    """What the labels of P persons say, without their pictures; lengths in photograph pixels.

    Attributes:
        keypoints: (P, K, 3) x, y, visibility.
        boxes: (P, 3) the square person box: centre x, centre y, side.
        reference: (P,) the metric's reference length, 0 where a person is not counted.
    """

    keypoints: np.ndarray
    boxes: np.ndarray
    reference: np.ndarray


def read_labels(data: RecordSet, split: str, box: str) -> Labels:
    """Read a split's labels; no picture is decoded.

    Args:
        data: the record folder.
        split: such as `train`.
        box: the rule of the person box: `record`, `joints` or `image`.

    Raises:
        MsposeError: no such split, or a bad shard.
    """
    import tensorflow as tf

    from keras_mspose import person_truth

    def labels(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        person = parse(record, len(data.skeleton))
        center, side = person_truth.person_box(person, box)
        reference = person_truth.reference_length(person, data.metric, data.skeleton)
        return person["keypoints"], tf.concat([center, side[None]], axis=0), reference

    batches = tf.data.TFRecordDataset(data.files(split)).map(labels).batch(512).as_numpy_iterator()
    return Labels(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))


def mean_pose(labels: Labels) -> np.ndarray:
    """Every joint's mean position in the box, over the persons in whom it is labelled.

    Returns:
        (K, 2) x, y in sides of the box from its centre, so that -0.5 and 0.5 are its edges; the centre for a joint
        that nobody has.
    """
    placed = (labels.keypoints[..., :2] - labels.boxes[:, None, :2]) / labels.boxes[:, None, 2:]
    labelled = labels.keypoints[..., 2:] > 0
    return (placed * labelled).sum(axis=0) / np.maximum(labelled.sum(axis=0), 1)


def mean_pose_accuracy(train: Labels, measured: Labels, data: RecordSet) -> Accuracy:
    """Accuracy of answering, for every person of `measured`, the mean pose of `train` in that person's box.

    Args:
        train: who the mean is over.
        measured: whom it is tried on, by the same rules as a network.
        data: whose skeleton and metric they have.
    """
    centers, sides = measured.boxes[:, None, :2], measured.boxes[:, None, 2:]
    answer = centers + sides * mean_pose(train)
    distances = normalised_distances(answer, measured.keypoints, measured.reference)
    return accuracy(distances, data.skeleton, data.metric)
