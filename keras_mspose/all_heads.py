"""The whole network, with the heads that training alone needs, on a photograph: what `mspose show` and `mspose app`
show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_mspose import geometry, person_boxes, saved_model, strips
from keras_mspose import heatmaps as codec
from keras_mspose.crops import Photograph
from keras_mspose.model import answer_name, head_stride

Box = tuple[float, ...]  # centre x, centre y, side; or x, y, width, height


@dataclass(frozen=True)
class Seen:
    """What the last look at a photograph gave.

    Attributes:
        box: (centre x, centre y, side) of the square that was looked at, photograph pixels.
        heatmaps: (h, w, K) float32 over that square, by head, in the order of `strips.in_order`.
        keypoints: (K, 3) x, y in photograph pixels and score, by head.
        answer: name of the head that is the network's answer.
    """

    box: tuple[float, float, float]
    heatmaps: dict[str, np.ndarray]
    keypoints: dict[str, np.ndarray]
    answer: str


class AllHeads:
    """A trained network, as it was trained.

    Args:
        path: run folder, `.keras` file or released name.

    Attributes:
        facts: the network's skeleton and configuration.

    Raises:
        MsposeError: no such run, or a damaged file.
    """

    def __init__(self, path: str | Path):
        model, self.facts = saved_model.load(path)
        self._answer, self._heads = answer_name(model), strips.in_order(model.output_names)
        self._forward = tf.function(lambda crops: model(crops, training=False))

    def look(self, photograph: Photograph, box: Box | None = None, *, looks: int | None = None) -> Seen:
        """Find one person.

        Args:
            photograph: upright.
            box: about the person in photograph pixels, as `person_boxes.squares` takes it; the whole photograph where
                None.
            looks: passes, each after the first over a box about what the one before it found; by default as
                `mspose predict`: 3 without a box, 1 with one.

        Raises:
            Damaged: the photograph cannot be decoded to its end.
            MsposeError: a box without a size, or outside of the photograph.
        """
        if box is None:
            center, side = geometry.image_box(*np.float32(photograph.size))
            first, looks = np.float32([*center, side]), looks or geometry.LOOKS
        else:
            first = person_boxes.squares(box, photograph.size)[0]
        seen = self._look(photograph, first)
        for _ in range((looks or 1) - 1):
            seen = self._look(photograph, np.float32(geometry.narrowed_box(seen.keypoints[self._answer], first)))
        return seen

    def warm_up(self) -> None:
        """Trace the network, which its first call would do."""
        self._forward(np.zeros((1, *self.facts.config.model.input_size, 3), np.uint8))

    def _look(self, photograph: Photograph, box: np.ndarray) -> Seen:
        size, sigma = self.facts.config.model.input_size, self.facts.config.training.sigma
        maps = self._forward(photograph.crop(box, size)[None])
        back = geometry.invert(geometry.crop_transform(box[:2], box[2], size))
        keypoints = {}
        for name in self._heads:
            keypoints[name] = found = codec.decode(maps[name], head_stride(name), sigma)[0].numpy()
            found[:, :2] = geometry.apply(back, found[:, :2])
        heatmaps = {name: maps[name][0].numpy() for name in self._heads}
        return Seen(tuple(box.tolist()), heatmaps, keypoints, self._answer)
