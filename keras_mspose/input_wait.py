"""How long `fit` waits for its next batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import keras

COLUMN = "input_waits"  # of log.csv


class InputWait(keras.callbacks.Callback):
    """Adds `input_waits` to an epoch's logs: the percentage of the training steps' time that went by without a batch.

    `fit` takes the next batch inside of its compiled step, where its time cannot be told from that of the arithmetic.
    Here the batch is taken first, and `fit`'s own function then gets an iterator over it alone: the same arithmetic on
    the same batch.

    Args:
        model: compiled.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        model.make_train_function()
        self._step, self._waited = model.train_function, 0.0
        model.train_function = self._timed

    def _timed(self, batches: Iterator[Any]) -> dict:
        started = time.monotonic()
        batch = next(batches)
        self._waited += time.monotonic() - started
        return self._step((batch,))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._waited = 0.0
        self._begun = self._ended = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._ended = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._ended > self._begun:
            logs[COLUMN] = 100.0 * self._waited / (self._ended - self._begun)
