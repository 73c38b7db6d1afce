"""Accuracy of a trained network over a record folder, of its answer and of every supervised head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from keras_mspose import geometry, pipeline
from keras_mspose import heatmaps as codec
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import Accuracy, accuracy, normalised_distances
from keras_mspose.model import answer_name, head_stride
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split found.

    Attributes:
        answer: name of the head that is the model's answer.
        heads: accuracy of every head, the answer among them.
        predicted: (P, K, 3) the answer's keypoints in photograph pixels, and scores.
        truth: (P, K, 3) labelled keypoints in photograph pixels, visibility.
        reference: (P,) the metric's reference length in photograph pixels, 0 where a person is not counted.
        image_names: P names.
        box, split, flip: how it was measured.
    """

    answer: str
    heads: dict[str, Accuracy]
    predicted: np.ndarray
    truth: np.ndarray
    reference: np.ndarray
    image_names: list[str]
    box: str
    split: str
    flip: bool

    @property
    def accuracy(self) -> Accuracy:
        """The answer's accuracy."""
        return self.heads[self.answer]

    def to_dict(self) -> dict:
        """JSON-ready form: the answer's figures at the top level, each head's under `heads`."""
        return {
            **self.accuracy.to_dict(),
            "split": self.split,
            "box": self.box,
            "flip": self.flip,
            "answer": self.answer,
            "heads": {name: found.to_dict() for name, found in self.heads.items()},
        }


def evaluate(
    model: keras.Model,
    facts: Facts,
    data: RecordSet,
    *,
    split: str | None = None,
    box: str | None = None,
    flip: bool = False,
    batch_size: int = 16,
    persons: int | None = None,
) -> Iterator[int | Evaluation]:
    """Measure a network on a split.

    Args:
        model: the training network, with all its heads.
        facts: its skeleton and configuration.
        data: a record folder of the same skeleton.
        split: the run's validation split where None.
        box: `record`, `joints` or `image`; the run's own where None.
        flip: average every heatmap with that of the mirrored crop.
        persons: the first so many alone.

    Yields:
        The number of persons done after each batch, and at the end the `Evaluation`.

    Raises:
        MsposeError: the skeletons differ, or the split is unknown.
    """
    if data.skeleton.keypoints != facts.skeleton.keypoints:
        raise MsposeError(
            f"{data.folder}: its skeleton is {data.skeleton.name}, the network's {facts.skeleton.name}; they must agree"
        )
    split, box = split or facts.config.data.val_split, box or facts.config.data.box
    sigma = facts.config.training.sigma
    forward = tf.function(lambda crops: _decoded(model, crops, facts.skeleton, sigma, flip), reduce_retracing=True)
    found: dict[str, list[np.ndarray]] = {name: [] for name in model.output_names}
    kept: dict[str, list[np.ndarray]] = {key: [] for key in ("keypoints", "reference", "image_name")}
    done = 0
    size = facts.config.model.input_size
    batches = iter(pipeline.evaluation_batches(data, split, size, box, batch_size, persons=persons))
    while True:
        with damage_named(data, split):
            batch = next(batches, None)
        if batch is None:
            break
        back = geometry.invert(batch["matrix"].numpy())
        for name, keypoints in forward(batch["crop"]).items():
            keypoints = keypoints.numpy()
            keypoints[..., :2] = geometry.apply(back, keypoints[..., :2])
            found[name].append(keypoints)
        for key, values in kept.items():
            values.append(batch[key].numpy())
        done += len(back)
        yield done
    truth, reference = np.concatenate(kept["keypoints"]), np.concatenate(kept["reference"])
    predicted = {name: np.concatenate(parts) for name, parts in found.items()}
    answer = answer_name(model)
    yield Evaluation(
        answer=answer,
        heads={
            name: accuracy(normalised_distances(keypoints, truth, reference), data.skeleton, data.metric)
            for name, keypoints in predicted.items()
        },
        predicted=predicted[answer],
        truth=truth,
        reference=reference,
        image_names=[name.decode() for name in np.concatenate(kept["image_name"])],
        box=box,
        split=split,
        flip=flip,
    )


def flipped_back(heatmaps: tf.Tensor, skeleton: Skeleton) -> tf.Tensor:
    """Heatmaps (B, h, w, K) of mirrored crops, mirrored back, every keypoint under its own name again."""
    return tf.gather(heatmaps[:, :, ::-1], skeleton.flip_order, axis=-1)


def _decoded(
    model: keras.Model, crops: tf.Tensor, skeleton: Skeleton, sigma: float, flip: bool
) -> dict[str, tf.Tensor]:
    outputs = model(crops, training=False)
    if flip:
        mirrored = model(crops[:, :, ::-1], training=False)
        outputs = {name: (maps + flipped_back(mirrored[name], skeleton)) / 2 for name, maps in outputs.items()}
    return {name: codec.decode(maps, head_stride(name), sigma) for name, maps in outputs.items()}
