"""The network as `fit` trains it where memory is short: a step's batch in parts, whose gradients are averaged, or with
the features computed again for the backward pass, or both."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mspose.distillation import with_teacher
from keras_mspose.recomputation import Sections
from keras_mspose.saved_model import Facts


class Learner(keras.Model):
    """The same layers and outputs as a model, with a training step of less memory. A step stays one update.

    Keras's own `gradient_accumulation_steps` counts a part as a step: learning rate, decay, Adam's bias correction,
    epochs and checkpoints would all go by parts. Nor can MirroredStrategy trace its `cond` about the update, even for
    one device.

    Args:
        model: the network, or what `distillation.with_teacher` made of it.
        parts: that each replica's share of a batch is cut into; they divide it.
        recompute: whether the features of each section are computed again instead of kept, see `recomputation`.
    """

    def __init__(self, model: keras.Model, *, parts: int = 1, recompute: bool = False):
        super().__init__(model.inputs[0], model.output, name=model.name)
        self.parts, self.sections = parts, Sections(model) if recompute else None

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        crops, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        gradients = self._gradients(crops, targets) if self.parts == 1 else self._gradients_by_parts(crops, targets)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.get_metrics_result()

    def _gradients_by_parts(self, crops: tf.Tensor, targets: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        pieces = tf.nest.map_structure(lambda t: tf.reshape(t, [self.parts, -1, *t.shape[1:]]), (crops, targets))
        sums = [tf.zeros(variable.shape, variable.dtype) for variable in self.trainable_variables]

        def with_part(part: tf.Tensor | int, sums: list[tf.Tensor]) -> tuple[tf.Tensor | int, list[tf.Tensor]]:
            found = self._gradients(*tf.nest.map_structure(lambda t: t[part], pieces))
            return part + 1, [a + b for a, b in zip(sums, found, strict=True)]

        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            _, sums = tf.while_loop(
                lambda part, _: part < self.parts, with_part, (tf.constant(0), sums), parallel_iterations=1
            )
        else:  # replicas cannot exchange the statistics of batch normalisation within a loop
            for part in range(self.parts):
                with tf.control_dependencies(sums):  # else parts are in memory side by side
                    _, sums = with_part(part, sums)
        return [total / self.parts for total in sums]

    def _gradients(self, crops: tf.Tensor, targets: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """Of the mean loss over these persons; the metrics take them in."""
        if self.sections:
            found = self.sections.gradients(crops, lambda outputs: self._loss(crops, targets, outputs))
            return [found[id(variable)] for variable in self.trainable_variables]
        with tf.GradientTape() as tape:
            loss = self._loss(crops, targets, self(crops, training=True))
        return tape.gradient(loss, self.trainable_variables)

    def _loss(self, crops: tf.Tensor, targets: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> tf.Tensor:
        loss = self.compute_loss(crops, targets, outputs)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.metrics[0].update_state(loss * replicas, sample_weight=tf.shape(crops)[0])  # Keras's own, of the loss
        self.compute_metrics(crops, targets, outputs)
        return self.optimizer.scale_loss(loss)


def learner_of(model: keras.Model, facts: Facts) -> keras.Model:
    """What one process trains, not compiled: the network itself, or more about it, with the same weights."""
    settings = facts.config.training
    learner = with_teacher(model, facts) if settings.teacher else model
    if (settings.accumulate or 1) > 1 or settings.checkpoint_gradients:
        learner = Learner(learner, parts=settings.accumulate or 1, recompute=settings.checkpoint_gradients)
    return learner
