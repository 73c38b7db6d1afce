"""Accuracy of a trained network over a record folder, of its answer and of every supervised head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from keras_mspose import geometry, pipeline, resample
from keras_mspose import heatmaps as codec
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import Accuracy, accuracy, normalised_distances
from keras_mspose.model import answer_name, head_stride
from keras_mspose.occlusion import by_visibility
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
        person_ids: (P,) as the records have them.
        origins: (P, 3) where a record's image was cut out of its photograph, see `geometry.uncrop`. The pixels above
            are those of the record's image.
        box, split, flip, looks: how it was measured.
        choices: accuracy of the answer for every way of reading heatmaps, by (decoding, flip); empty unless asked for.
        visibility: accuracy of the answer on visible and on occluded keypoints (see `occlusion`); empty where the data
            marks none as occluded.
    """

    answer: str
    heads: dict[str, Accuracy]
    predicted: np.ndarray
    truth: np.ndarray
    reference: np.ndarray
    image_names: list[str]
    person_ids: np.ndarray
    origins: np.ndarray
    box: str
    split: str
    flip: bool
    looks: int
    choices: dict[tuple[str, bool], Accuracy] = field(default_factory=dict)
    visibility: dict[str, Accuracy] = field(default_factory=dict)

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
            "looks": self.looks,
            "answer": self.answer,
            "heads": {name: found.to_dict() for name, found in self.heads.items()},
            "choices": [
                {"decoding": decoding, "flip": flip, **found.to_dict()}
                for (decoding, flip), found in self.choices.items()
            ],
            "occlusion": {kind: found.to_dict() for kind, found in self.visibility.items()},
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
    looks: int = 1,
    choices: bool = False,
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
        looks: passes over each person: each after the first looks at a box about what the one before it found.
        choices: also measure the answer by every decoding, with and without the flip test, of the same last look.

    Yields:
        The number of persons done after each batch, and at the end the `Evaluation`.

    Raises:
        MsposeError: the skeletons differ, the split is unknown, or `looks` is under 1.
    """
    if looks < 1:
        raise MsposeError(f"looks is {looks}, expected 1 or more")
    if data.skeleton.keypoints != facts.skeleton.keypoints:
        raise MsposeError(
            f"{data.folder}: its skeleton is {data.skeleton.name}, the network's {facts.skeleton.name}; they must agree"
        )
    split, box = split or facts.config.data.val_split, box or facts.config.data.box
    sigma, size = facts.config.training.sigma, facts.config.model.input_size
    forward = tf.function(lambda crops: _decoded(model, crops, facts.skeleton, sigma, flip), reduce_retracing=True)
    ways = tf.function(lambda crops: _chosen(model, crops, facts.skeleton, sigma), reduce_retracing=True)
    crop_again = tf.function(lambda jpegs, matrices: resample.crops_from_jpegs(jpegs, matrices, size))
    found: dict[str, list[np.ndarray]] = {name: [] for name in model.output_names}
    kept: dict[str, list[np.ndarray]] = {
        key: [] for key in ("keypoints", "reference", "image_name", "person_id", "origin")
    }
    chosen: dict[tuple[str, bool], list[np.ndarray]] = {}
    done = 0
    batches = iter(pipeline.evaluation_batches(data, split, size, box, batch_size, persons=persons))
    while True:
        with damage_named(data, split):
            batch = next(batches, None)
        if batch is None:
            break
        crops, matrices = batch["crop"], batch["matrix"].numpy()
        heads = _in_photographs(forward(crops), matrices)
        for _ in range(looks - 1):
            answers = heads[answer_name(model)]
            boxes = np.stack([geometry.narrowed_box(*one) for one in zip(answers, batch["box"].numpy(), strict=True)])
            matrices = np.stack([geometry.crop_transform(box[:2], box[2], size) for box in boxes])
            crops = crop_again(batch["image"], matrices)
            heads = _in_photographs(forward(crops), matrices)
        for way, keypoints in (_in_photographs(ways(crops), matrices) if choices else {}).items():
            chosen.setdefault(way, []).append(keypoints)
        for name, keypoints in heads.items():
            found[name].append(keypoints)
        for key, values in kept.items():
            values.append(batch[key].numpy())
        done += len(batch["crop"])
        yield done
    truth, reference = np.concatenate(kept["keypoints"]), np.concatenate(kept["reference"])
    predicted = {name: np.concatenate(parts) for name, parts in found.items()}
    answer = answer_name(model)

    def measured(keypoints: np.ndarray) -> Accuracy:
        return accuracy(normalised_distances(keypoints, truth, reference), data.skeleton, data.metric)

    distances, visibility = normalised_distances(predicted[answer], truth, reference), truth[..., 2]
    known = (visibility == 1).any()
    yield Evaluation(
        answer=answer,
        heads={name: measured(keypoints) for name, keypoints in predicted.items()},
        predicted=predicted[answer],
        truth=truth,
        reference=reference,
        image_names=[name.decode() for name in np.concatenate(kept["image_name"])],
        person_ids=np.concatenate(kept["person_id"]),
        origins=np.concatenate(kept["origin"]),
        box=box,
        split=split,
        flip=flip,
        looks=looks,
        choices={way: measured(np.concatenate(parts)) for way, parts in chosen.items()},
        visibility=by_visibility(distances, visibility, data.skeleton, data.metric) if known else {},
    )


def _in_photographs(heads: dict[Any, tf.Tensor], matrices: np.ndarray) -> dict[Any, np.ndarray]:
    """Keypoints (B, K, 3) of every head or choice, from crop to photograph pixels."""
    back = geometry.invert(matrices)
    moved = {}
    for name, keypoints in heads.items():
        xy = geometry.apply(back, keypoints[..., :2].numpy())
        moved[name] = np.concatenate([xy, keypoints[..., 2:].numpy()], axis=-1)
    return moved


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


def _chosen(
    model: keras.Model, crops: tf.Tensor, skeleton: Skeleton, sigma: float
) -> dict[tuple[str, bool], tf.Tensor]:
    answer = answer_name(model)
    plain = model(crops, training=False)[answer]
    mirrored = flipped_back(model(crops[:, :, ::-1], training=False)[answer], skeleton)
    maps = {False: plain, True: (plain + mirrored) / 2}
    return {
        (how, flip): codec.decode(maps[flip], head_stride(answer), sigma, how)
        for flip in (False, True)
        for how in reversed(codec.DECODINGS)
    }
