"""The running average of the weights, often a better network than the newest weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


class Average(tf.Module):
    """a <- m a + (1 - m) w after every step t, m = min(momentum, (1 + t) / (10 + t)).

    Keras's `use_ema` averages what is trained alone, and from the first step on with the full momentum: the average
    then stays near the initial weights for a thousand steps, and meets statistics of batch normalisation that belong to
    other weights. Here those are averaged along, and the short memory at the beginning lets go of the initial weights.
    Nor does the end of `fit` overwrite the weights, so that a training can go on with another `fit`.

    Args:
        model: made, as this, within the strategy's scope.
        momentum: share of the average that a step keeps.
    """

    def __init__(self, model: keras.Model, momentum: float):
        super().__init__(name="average")
        self.momentum = momentum
        self.weights = [weight.value for weight in model.weights]
        self.values = [tf.Variable(weight, trainable=False) for weight in self.weights]
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @tf.function
    def follow(self) -> None:
        """Take in the weights as they are after a step."""
        step = tf.cast(self.steps.assign_add(1), tf.float32)
        new = 1.0 - tf.minimum(self.momentum, (1.0 + step) / (10.0 + step))
        for value, weight in zip(self.values, self.weights, strict=True):
            value.assign_sub(new * (value - weight))

    def restart(self) -> None:
        """Begin at the weights as they are."""
        for value, weight in zip(self.values, self.weights, strict=True):
            value.assign(weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the network has the averaged weights."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @tf.function
    def exchange(self) -> None:
        """Weights and averages change places."""
        for value, weight in zip(self.values, self.weights, strict=True):
            held, averaged = tf.identity(weight), tf.identity(value)
            weight.assign(averaged)
            value.assign(held)


class Averaging(keras.callbacks.Callback):
    """Has an average follow every step of `fit`, and take the weights' place while `fit` validates."""

    def __init__(self, average: Average):
        super().__init__()
        self.average = average

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.average.follow()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.average.exchange()

    def on_test_end(self, logs: dict | None = None) -> None:
        self.average.exchange()
