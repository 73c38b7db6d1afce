"""Accuracy of a trained network over a record folder, of its answer and of every supervised head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_mspose import geometry, pipeline, resample
from keras_mspose import heatmaps as codec
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import THRESHOLDS, Accuracy, accuracy, normalised_distances
from keras_mspose.model import answer_name, head_stride
from keras_mspose.occlusion import by_visibility
from keras_mspose.passes import PLAIN, Passes, heatmaps_by_passes
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts

if TYPE_CHECKING:
    import keras

TENTH = 0.1  # the threshold that tells good positions from rough ones


class Choice(NamedTuple):
    """A way of reading a person's heatmaps: how a map is decoded, and what it is averaged over."""

    decoding: str
    flip: bool = False
    scales: tuple[float, ...] = PLAIN


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
        activities: P, what each person does, empty where the data does not say.
        boxes: (P, 3) the square that the network looked at last, pixels of the record's image.
        box, split, flip, looks, scales: how it was measured.
        at_tenth: the answer's accuracy at a threshold of 0.1 reference lengths, where that is below the usual one.
        choices: accuracy of the answer for every way of reading heatmaps; empty unless asked for.
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
    activities: list[str]
    boxes: np.ndarray
    box: str
    split: str
    flip: bool = False
    looks: int = 1
    scales: tuple[float, ...] = PLAIN
    at_tenth: Accuracy | None = None
    choices: dict[Choice, Accuracy] = field(default_factory=dict)
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
            "scales": list(self.scales),
            "at_0.1": self.at_tenth and self.at_tenth.to_dict(),
            "answer": self.answer,
            "heads": {name: found.to_dict() for name, found in self.heads.items()},
            "choices": [
                {**choice._asdict(), "scales": list(choice.scales), **found.to_dict()}
                for choice, found in self.choices.items()
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
    scales: tuple[float, ...] = PLAIN,
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
        scales: average every heatmap over crops that show the person in these sizes, over the usual one.
        persons: the first so many alone.
        looks: passes over each person: each after the first looks at a box about what the one before it found.
        choices: also measure the answer by every decoding, with and without the flip test and the scales, of the same
            last look.

    Yields:
        The number of persons done after each batch, and at the end the `Evaluation`.

    Raises:
        MsposeError: the skeletons differ, the split is unknown, `looks` is under 1, or a scale is not positive.
    """
    if looks < 1:
        raise MsposeError(f"looks is {looks}, expected 1 or more")
    if not scales or any(not 0.1 <= scale <= 10 for scale in scales) or len(set(scales)) < len(scales):
        raise MsposeError(
            f"scales are {', '.join(map(str, scales)) or 'none'}: expected numbers from 0.1 to 10, each once"
        )
    if data.skeleton.keypoints != facts.skeleton.keypoints:
        raise MsposeError(
            f"{data.folder}: its skeleton is {data.skeleton.name}, the network's {facts.skeleton.name}; they must agree"
        )
    split, box = split or facts.config.data.val_split, box or facts.config.data.box
    size = facts.config.model.input_size
    first, last = Passes(flip), Passes(flip, tuple(scales))
    narrow = _reader(model, facts, first, [])
    read = _reader(model, facts, last, _choices(last) if choices else [])
    cut = tf.function(lambda jpegs, matrices: resample.crops_from_jpegs(jpegs, matrices, size), autograph=False)
    answer = answer_name(model)
    found: dict[str, list[np.ndarray]] = {name: [] for name in model.output_names}
    kept: dict[str, list[np.ndarray]] = {
        key: [] for key in ("keypoints", "reference", "image_name", "person_id", "origin", "activity", "box")
    }
    chosen: dict[Choice, list[np.ndarray]] = {}
    done = 0
    batches = iter(pipeline.evaluation_batches(data, split, size, box, batch_size, persons=persons))
    while True:
        with damage_named(data, split):
            batch = next(batches, None)
        if batch is None:
            break
        boxes, crop = batch["box"].numpy(), batch["crop"]
        for _ in range(looks - 1):
            matrices = _matrices(boxes, size)
            heads, _ = narrow({1.0: crop})
            answers = _in_photographs(heads, matrices)[answer]
            boxes = np.stack([geometry.narrowed_box(*one) for one in zip(answers, batch["box"].numpy(), strict=True)])
            crop = cut(batch["image"], _matrices(boxes, size))
        needed = {*scales, 1.0} if choices else set(scales)
        crops = {s: crop if s == 1 else cut(batch["image"], _matrices(boxes, size, s)) for s in sorted(needed)}
        heads, ways = (_in_photographs(read_from, _matrices(boxes, size)) for read_from in read(crops))
        for name, keypoints in heads.items():
            found[name].append(keypoints)
        for choice, keypoints in ways.items():
            chosen.setdefault(choice, []).append(keypoints)
        for key, values in kept.items():
            values.append(boxes if key == "box" else batch[key].numpy())
        done += len(crop)
        yield done
    whole = {key: np.concatenate(values) for key, values in kept.items()}
    truth, reference = whole["keypoints"], whole["reference"]
    predicted = {name: np.concatenate(parts) for name, parts in found.items()}

    def measured(keypoints: np.ndarray, threshold: float | None = None) -> Accuracy:
        return accuracy(normalised_distances(keypoints, truth, reference), data.skeleton, data.metric, threshold)

    distances, visibility = normalised_distances(predicted[answer], truth, reference), truth[..., 2]
    known = (visibility == 1).any()
    yield Evaluation(
        answer=answer,
        heads={name: measured(keypoints) for name, keypoints in predicted.items()},
        predicted=predicted[answer],
        truth=truth,
        reference=reference,
        image_names=[name.decode() for name in whole["image_name"]],
        person_ids=whole["person_id"],
        origins=whole["origin"],
        activities=[activity.decode() for activity in whole["activity"]],
        boxes=whole["box"],
        box=box,
        split=split,
        flip=flip,
        looks=looks,
        scales=tuple(scales),
        at_tenth=measured(predicted[answer], TENTH) if THRESHOLDS[data.metric] > TENTH else None,
        choices={choice: measured(np.concatenate(parts)) for choice, parts in chosen.items()},
        visibility=by_visibility(distances, visibility, data.skeleton, data.metric) if known else {},
    )


def _matrices(boxes: np.ndarray, size: tuple[int, int], scale: float = 1.0) -> np.ndarray:
    """(B, 2, 3) photograph to crop, for boxes (B, 3) and crops that show the person `scale` times as large."""
    return geometry.crop_transform(boxes[:, :2], boxes[:, 2] / np.float32(scale), size)


def _in_photographs(heads: dict[Any, tf.Tensor], matrices: np.ndarray) -> dict[Any, np.ndarray]:
    """Keypoints (B, K, 3) of every head or choice, from crop to photograph pixels."""
    back = geometry.invert(matrices)
    moved = {}
    for name, keypoints in heads.items():
        xy = geometry.apply(back, keypoints[..., :2].numpy())
        moved[name] = np.concatenate([xy, keypoints[..., 2:].numpy()], axis=-1)
    return moved


def _choices(passes: Passes) -> list[Choice]:
    """Every way of reading, the plainest first."""
    averaged = [(flip, scales) for scales in dict.fromkeys((PLAIN, passes.scales)) for flip in (False, True)]
    return [Choice(decoding, *over) for over in averaged for decoding in reversed(codec.DECODINGS)]


def _reader(model: keras.Model, facts: Facts, passes: Passes, choices: list[Choice]) -> Any:
    """A function from crops by scale to keypoints (B, K, 3) in crop pixels, of every head and of every choice."""
    sigma, answer = facts.config.training.sigma, answer_name(model)
    asked = dict.fromkeys([passes, *(Passes(choice.flip, choice.scales) for choice in choices)])

    @tf.function(reduce_retracing=True)
    def read(crops: dict[float, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[Choice, tf.Tensor]]:
        maps = heatmaps_by_passes(model, crops, facts.skeleton, asked)
        heads = {name: codec.decode(found, head_stride(name), sigma) for name, found in maps[passes].items()}
        ways = {
            number: codec.decode(maps[Passes(c.flip, c.scales)][answer], head_stride(answer), sigma, c.decoding)
            for number, c in enumerate(choices)
        }
        return heads, ways

    def named(crops: dict[float, tf.Tensor]) -> tuple[dict[str, tf.Tensor], dict[Choice, tf.Tensor]]:
        heads, ways = read(crops)
        return heads, {choices[number]: keypoints for number, keypoints in ways.items()}

    return named
