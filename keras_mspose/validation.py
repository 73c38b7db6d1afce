"""The validation split after every epoch, shared among all replicas: nobody twice, nobody left out."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_mspose import pipeline
from keras_mspose.config import RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.objective import Objective
from keras_mspose.records import RecordSet
from keras_mspose.train_step import VOTES, validation_step
from keras_mspose.workers import Workers


class Validation:
    """Measures the network on `val_split`, or its first `val_persons`.

    Raises:
        MsposeError: no such split, or fewer persons than processes.
    """

    def __init__(self, model: keras.Model, objective: Objective, data: RecordSet, config: RunConfig, workers: Workers):
        split, batch = config.data.val_split, config.training.batch_size
        everybody = data.persons(split)
        persons = min(everybody, config.training.val_persons or everybody)
        if persons < workers.count:
            raise MsposeError(
                f"{data.folder}: split {split!r} has {persons} persons, fewer than {workers.count} workers"
            )
        own = persons // workers.count + (workers.index < persons % workers.count)
        self.objective, self.replicas, self.workers = objective, workers.replicas, workers
        self.steps = -(-persons // batch)
        each = batch // workers.replicas  # persons of a replica's batch

        def counted(i: tf.Tensor, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return batch["crop"], batch["targets"], tf.cast(i * each + tf.range(each, dtype=tf.int64) < own, tf.float32)

        # Every process takes as many batches as any other: whose persons come again, to fill them, count no more.
        self.batches = pipeline.evaluation_batches(
            data,
            split,
            config.model.input_size,
            config.data.box,
            each,
            persons=persons,
            worker=(workers.index, workers.count),
            endless=True,
        )
        self.batches = (
            self.batches.enumerate()
            .map(counted)
            .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        )
        self.step = validation_step(model, objective, workers)

    def row(self, wanted: Callable[[], bool]) -> dict[str, float] | None:
        """Losses and accuracy, their names with `val_` before them; None where somebody wished to stop meanwhile."""
        batches = iter(self.workers.strategy.distribute_datasets_from_function(lambda _context: self.batches))
        total = np.zeros(self.objective.size)
        for _ in range(self.steps):
            sums = self.step(*next(batches), tf.constant([float(wanted()), 0.0])).numpy()
            if sums[-VOTES]:
                return None
            total += sums[:-VOTES]
        return self.objective.row(total, "val_")
