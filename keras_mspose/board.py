"""Every loss and metric in TensorBoard, as a callback of `fit`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import keras


class Board(keras.callbacks.TensorBoard):
    """Writes RUN/tensorboard.

    Args:
        out: run folder.
        disk_errors_named: `Checkpoints.disk_errors_named`: a disk that fills up here is one line, as anywhere else.
    """

    def __init__(self, out: Path, disk_errors_named: Callable[[], AbstractContextManager[None]]):
        super().__init__(out / "tensorboard", write_graph=False)
        self._named = disk_errors_named

    def on_train_begin(self, logs: dict | None = None) -> None:
        with self._named():
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        with self._named():
            super().on_epoch_end(epoch, logs)

    def on_test_end(self, logs: dict | None = None) -> None:
        with self._named():
            super().on_test_end(logs)

    def on_train_end(self, logs: dict | None = None) -> None:
        with self._named():
            super().on_train_end(logs)
