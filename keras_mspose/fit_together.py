"""`fit` over several machines.

Keras 3's own fails under MultiWorkerMirroredStrategy in two places (keras#20585): it reduces the first batch, a tuple
of distributed values, as if it were one value, and it reduces the logs of a step, which are scalars, along axis 0. A
model that was made outside the strategy's scope, of layers from inside it, leaves out the first; functions of its own
for a step take the place of the second. Callbacks, epochs and metrics stay `fit`'s.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_mspose.interruption import Wish
from keras_mspose.workers import Workers


class TogetherModel(keras.Model):
    """Trains and validates on the batches of all workers as one, each `fit` being given its own worker's part.

    Attributes:
        workers: who trains together.
        asked: what was asked of this process from outside.
        agreed: the same as known to all workers after the same step, whichever of them was asked.
    """

    workers: Workers
    asked: Wish
    agreed: Wish

    def build_metrics(self, batches: tf.data.Dataset) -> None:
        """Make the variables of metrics, which Keras leaves to the first step, where a compiled function that several
        devices run cannot.

        Args:
            batches: of the form that training and validation have; none is read.
        """
        nobody = tf.nest.map_structure(lambda spec: tf.zeros([1, *spec.shape[1:]], spec.dtype), batches.element_spec)
        self.workers.strategy.run(self.test_step, args=(nobody,))
        self.reset_metrics()

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            self.train_function = self._together(self.train_step)

    def make_test_function(self, force: bool = False) -> None:
        if self.test_function is None or force:
            self.test_function = self._together(self.test_step)

    def _together(self, step: Callable[[Any], dict[str, tf.Tensor]]) -> Callable[[Iterable[Any]], dict[str, tf.Tensor]]:
        strategy, names = self.workers.strategy, []
        local = self.workers.replicas // self.workers.count

        def on_device(batch: Any, asked: tf.Tensor) -> tf.Tensor:
            found = step(_part(batch, local))
            names[:] = sorted(found)
            return tf.stack([*(tf.cast(found[name], tf.float32) for name in names), asked])

        @tf.function
        def everywhere(batch: Any, asked: tf.Tensor) -> tf.Tensor:
            return strategy.reduce("MEAN", strategy.run(on_device, args=(batch, asked)), axis=None)

        def one_step(batches: Iterable[Any]) -> dict[str, tf.Tensor]:
            asked = tf.constant(float(self.asked.signal is not None))
            *logs, asked = tf.unstack(everywhere(next(iter(batches)), asked))
            if asked > 0:
                self.agreed.signal = self.asked.signal or signal.SIGTERM
            return dict(zip(names, logs, strict=True))

        return one_step


def together(model: keras.Model, workers: Workers) -> keras.Model:
    """What `fit` trains.

    Args:
        model: not compiled, made within the strategy's scope; the result, made outside of it, shares its weights, and
            is to be compiled within it.
    """
    found = TogetherModel(model.inputs[0], model.output, name=model.name)
    found.workers, found.asked, found.agreed = workers, Wish(), Wish()
    return found


def heeded(model: keras.Model, asked: Wish) -> Wish:
    """The wish that callbacks of `fit` heed.

    Args:
        model: of `together`, or another, which one process trains.
        asked: what is asked of this process alone.
    """
    if not isinstance(model, TogetherModel):
        return asked
    model.asked = asked
    return model.agreed


def _part(batch: Any, parts: int) -> Any:
    """The rows of a worker's batch that are this device's."""
    if parts == 1:
        return batch
    mine = tf.distribute.get_replica_context().replica_id_in_sync_group % parts

    def rows(whole: tf.Tensor) -> tf.Tensor:
        each = tf.shape(whole)[0] // parts
        return whole[mine * each : (mine + 1) * each]

    with tf.device("CPU"):
        return tf.nest.map_structure(rows, batch)
