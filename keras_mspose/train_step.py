"""One training step as compiled functions over all replicas; Keras's `fit` cannot do it on several machines
(keras#20585), begin in the middle of an epoch, or compute a step in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_mspose.averaging import Average
from keras_mspose.config import TrainingConfig
from keras_mspose.distillation import Teacher
from keras_mspose.objective import Objective
from keras_mspose.workers import Workers

VOTES = 2  # to stop, and to save


def training_step(
    model: keras.Model,
    objective: Objective,
    settings: TrainingConfig,
    workers: Workers,
    *,
    average: Average | None = None,
    teacher: Teacher | None = None,
) -> Callable[[Iterator[Any], tf.Tensor], tf.Tensor]:
    """A function that takes `settings.accumulate` batches from an iterator and changes the weights once.

    Each batch holds `batch_size / accumulate` persons over all replicas. Gradients are of the mean over all
    `batch_size` persons; batch normalisation's statistics are of each part.

    Args:
        model: with its optimizer; made, as the optimizer's variables, within `workers.strategy.scope()`.
        average: follows the weights after each step.
        teacher: whose heatmaps are learned, too.

    Returns:
        (batches of (crops, targets by replica), votes (VOTES,) float32 of this process) -> (objective.size + VOTES,)
        sums over all replicas of what `Objective.measure` gives, and of the votes: each process thus knows after a
        step what any of them wishes.
    """
    strategy, optimizer, variables = workers.strategy, model.optimizer, model.trainable_variables

    def gradients(crops: tf.Tensor, targets: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        shown = teacher(crops) if teacher else None
        with tf.GradientTape() as tape:
            loss, sums = objective.learn(model(crops, training=True), targets, shown)
            scaled = optimizer.scale_loss(loss / settings.batch_size)
        return tape.gradient(scaled, variables), sums

    def summed(function: Callable[..., tf.Tensor], *arguments: Any) -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(function, args=arguments), axis=None)

    @tf.function
    def whole(crops: Any, targets: Any, votes: tf.Tensor) -> tf.Tensor:
        def replica(crops: tf.Tensor, targets: tf.Tensor, votes: tf.Tensor) -> tf.Tensor:
            found, sums = gradients(crops, targets)
            optimizer.apply(found, variables)
            return tf.concat([sums, votes], axis=0)

        sums = summed(replica, crops, targets, votes)
        if average:
            average.follow()
        return sums

    if settings.accumulate == 1:
        return lambda batches, votes: whole(*next(batches), votes)

    with strategy.scope():
        each = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.SUM}
        total = [tf.Variable(tf.zeros(v.shape), trainable=False, **each) for v in variables]

    @tf.function
    def part(crops: Any, targets: Any, votes: tf.Tensor) -> tf.Tensor:
        def replica(crops: tf.Tensor, targets: tf.Tensor, votes: tf.Tensor) -> tf.Tensor:
            found, sums = gradients(crops, targets)
            for so_far, gradient in zip(total, found, strict=True):
                so_far.assign_add(gradient)
            return tf.concat([sums, votes], axis=0)

        return summed(replica, crops, targets, votes)

    @tf.function
    def change() -> None:
        def replica() -> None:
            optimizer.apply([so_far.read_value() for so_far in total], variables)
            for so_far in total:
                so_far.assign(tf.zeros_like(so_far))

        strategy.run(replica)
        if average:
            average.follow()

    def in_parts(batches: Iterator[Any], votes: tf.Tensor) -> tf.Tensor:
        sums = tf.add_n([part(*next(batches), votes) for _ in range(settings.accumulate)])
        change()
        return sums

    return in_parts


def validation_step(
    model: keras.Model, objective: Objective, workers: Workers
) -> Callable[[Any, Any, Any, tf.Tensor], tf.Tensor]:
    """A function that measures one batch in inference mode: (crops, targets, counted by replica, votes) -> sums, as
    `training_step` has them."""
    strategy = workers.strategy

    @tf.function
    def step(crops: Any, targets: Any, counted: Any, votes: tf.Tensor) -> tf.Tensor:
        def replica(crops: tf.Tensor, targets: tf.Tensor, counted: tf.Tensor, votes: tf.Tensor) -> tf.Tensor:
            _, sums = objective.measure(model(crops, training=False), targets, counted)
            return tf.concat([sums, votes], axis=0)

        return strategy.reduce("SUM", strategy.run(replica, args=(crops, targets, counted, votes)), axis=None)

    return step
