"""What training makes small: equation 1 for every head, weighted by scale, or drawn to a teacher's heatmaps; and what
is counted beside it (docs/training.md has the equations)."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from keras_mspose import metrics
from keras_mspose.losses import HeatmapLoss
from keras_mspose.model import REGRESSION, answer_name, head_scale, head_stride
from keras_mspose.right_keypoints import RightKeypoints
from keras_mspose.saved_model import Facts


class Objective:
    """Losses and accuracy of a batch, as sums: those of parts, replicas and steps add up.

    Args:
        model: the training network.
        facts: skeleton, metric and recipe.

    Attributes:
        heads: names of the heads.
        size: numbers that `measure` answers with.
    """

    def __init__(self, model: keras.Model, facts: Facts):
        settings, skeleton = facts.config.training, facts.skeleton
        self.heads, self.answer, self.metric = list(model.output_names), answer_name(model), facts.metric
        self.losses = {name: HeatmapLoss(head_scale(name), settings.sigma, settings.pyramid) for name in self.heads}
        self.mined = dict(self.losses)
        if settings.hard_keypoints:
            self.mined[self.answer] = HeatmapLoss(1, settings.sigma, settings.pyramid, settings.hard_keypoints)
        weights = dict(zip(facts.config.model.scales, settings.scale_weights or (), strict=False))
        self.weights = {name: 1.0 if name == REGRESSION else weights.get(head_scale(name), 1.0) for name in self.heads}
        self.taught = settings.distill.weight if settings.distill else 0.0
        self.right = RightKeypoints(
            skeleton.scored_indices, metrics.THRESHOLDS[facts.metric], head_stride(self.answer), settings.sigma
        )
        self.size = 2 + len(self.heads) + 2 * len(skeleton)

    def learn(
        self, heatmaps: Mapping[str, tf.Tensor], targets: tf.Tensor, teacher: Mapping[int, tf.Tensor] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss that a batch is learned by, summed over its persons.

        Args:
            heatmaps: (B, h, w, K) by head.
            targets: (B, K, 4) as `pipeline.targets` makes them.
            teacher: (B, h, w, K) heatmaps by scale, as `distillation.Teacher` gives them.

        Returns:
            () loss, the weighted sum over persons and heads; and (size,) float32: persons, loss, each head's loss, and
            by keypoint how many are right and how many count.
        """
        terms = {name: self.mined[name].call(targets, heatmaps[name]) for name in self.heads}
        for name in self.heads if teacher else ():
            if head_scale(name) in teacher:
                apart = tf.math.squared_difference(heatmaps[name], teacher[head_scale(name)])
                like_it = tf.reduce_mean(tf.reduce_sum(apart, axis=(1, 2)), axis=-1)
                terms[name] = (1.0 - self.taught) * terms[name] + self.taught * like_it
        return self._summed(terms, heatmaps, targets, tf.ones_like(targets[:, 0, 0]))

    def measure(
        self, heatmaps: Mapping[str, tf.Tensor], targets: tf.Tensor, counted: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What `learn` answers, of plain equation 1 and without a teacher, so that runs can be compared.

        Args:
            counted: (B,) 1 for persons that count, 0 for others.
        """
        terms = {name: self.losses[name].call(targets, heatmaps[name]) for name in self.heads}
        return self._summed(terms, heatmaps, targets, counted)

    def _summed(
        self, found: Mapping[str, tf.Tensor], heatmaps: Mapping[str, tf.Tensor], targets: tf.Tensor, counted: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        terms = [tf.reduce_sum(found[name] * counted) for name in self.heads]
        loss = tf.add_n([self.weights[name] * term for name, term in zip(self.heads, terms, strict=True)])
        reference = targets[..., 3:] * counted[:, None, None]
        counts = self.right.count(tf.concat([targets[..., :3], reference], axis=-1), heatmaps[self.answer])
        return loss, tf.concat([[tf.reduce_sum(counted), loss, *terms], tf.reshape(counts, [-1])], axis=0)

    def row(self, sums: np.ndarray, prefix: str = "") -> dict[str, float]:
        """Means by name, from the sum of what `measure` gave: `loss`, `HEAD_loss`, and the answer's `HEAD_METRIC`."""
        persons, losses, counts = sums[0], sums[1 : 2 + len(self.heads)], sums[2 + len(self.heads) :]
        names = ["loss", *(f"{head}_loss" for head in self.heads)]
        found = {prefix + name: float(value) for name, value in zip(names, losses / persons, strict=True)}
        return found | {prefix + accuracy_name(self.answer, self.metric): self.right.percentage(counts.reshape(2, -1))}


def accuracy_name(answer: str, metric: str) -> str:
    """Column of log.csv that has the training accuracy; with `val_` before it, the validation accuracy."""
    return f"{answer}_{metric}"
