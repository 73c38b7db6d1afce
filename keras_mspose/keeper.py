"""What a run keeps and when: a checkpoint every few minutes, and after each epoch its row, the best and the last
network, and a checkpoint. The chief alone writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_mspose import run_log, saved_model
from keras_mspose.checkpoints import Checkpoints
from keras_mspose.saved_model import Facts


class Keeper:
    """Writes a run folder.

    Args:
        key: column of the log that the best network has the largest figure in.
        steps: of an epoch.
        writes: whether this process is the one to write.
    """

    def __init__(self, out: Path, facts: Facts, checkpoints: Checkpoints, key: str, steps: int, writes: bool):
        self.out, self.facts, self.checkpoints, self.key, self.steps = out, facts, checkpoints, key, steps
        self.minutes, self.writes = facts.config.training.checkpoint_minutes, writes
        self.saved = time.monotonic()
        everything = run_log.read_log(out)
        self.rows: list[Mapping] = [row for row in everything if int(row["epoch"]) < checkpoints.epoch]
        self.best = max((float(row[key]) for row in self.rows if row.get(key)), default=float("-inf"))
        if writes:
            self.board = run_log.Board(out)
            checkpoints.clean()
            if len(self.rows) < len(everything):  # of epochs that will be trained again
                run_log.write_rows(out, self.rows)

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.writes and self.minutes is not None and time.monotonic() - self.saved > 60 * self.minutes

    def checkpoint(self, epoch: int, step: int, sums: np.ndarray) -> None:
        """Save that the steps from `step` on of `epoch` are to come.

        Raises:
            MsposeError: it cannot be written.
        """
        if self.writes:
            self.checkpoints.save(epoch, step, sums, number=epoch * (self.steps + 1) + step)
        self.saved = time.monotonic()

    def network(self, model: keras.Model, row: Mapping[str, float]) -> None:
        """Keep the network of an epoch, and its row.

        The row first: a kill between the two repeats the epoch's validation and its row, instead of losing the row.

        Raises:
            MsposeError: they cannot be written.
        """
        if not self.writes:
            return
        with self.checkpoints.disk_errors_named():
            self.rows.append(row)
            run_log.write_rows(self.out, self.rows)
            self.board.write(row)
            saved_model.save(model, self.out / saved_model.LAST, self.facts)
            if row[self.key] > self.best:
                self.best = row[self.key]
                saved_model.save(model, self.out / saved_model.BEST, self.facts)
