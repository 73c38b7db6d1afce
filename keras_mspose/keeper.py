"""What a run keeps and when, as a callback of `fit`: checkpoints, and after each epoch its row, the best and the last
network. It ends `fit` when it was asked to, and when the loss is not a number."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np

from keras_mspose import run_log, saved_model
from keras_mspose.averaging import Average
from keras_mspose.checkpoints import Checkpoints
from keras_mspose.errors import MsposeError
from keras_mspose.interruption import CODES, Interrupted, Wish
from keras_mspose.saved_model import Facts
from keras_mspose.workers import Workers


class Keeper(keras.callbacks.Callback):
    """Writes a run folder.

    After an interrupted epoch's first part, the metrics get back what they had summed up, so that its row is that of an
    epoch which was not interrupted.

    Args:
        checkpoints: restored, or new.
        network: what is kept; the model that `fit` trains may be a larger one about it.
        average: of its weights, which then are what `best.keras` and `last.keras` hold.
        key: of `fit`'s logs: the best network has the largest figure of it.
        steps: of an epoch.
        wish: what was asked for from outside.
        persons: names of the persons of a batch, by epoch and step.
        workers: the first of them writes, all wait until it has.
    """

    def __init__(
        self,
        out: Path,
        facts: Facts,
        checkpoints: Checkpoints,
        network: keras.Model,
        average: Average | None,
        key: str,
        steps: int,
        wish: Wish,
        persons: Callable[[int, int], list[str]],
        workers: Workers,
    ):
        super().__init__()
        self.out, self.facts, self.checkpoints, self.network, self.average = out, facts, checkpoints, network, average
        self.key, self.steps, self.wish, self.persons, self.workers = key, steps, wish, persons, workers
        self.begun, self.step, self.sums = (checkpoints.epoch, checkpoints.step), 0, checkpoints.sums
        everything = run_log.read_log(out)
        self.rows: list[dict] = [row for row in everything if int(row["epoch"]) < checkpoints.epoch]
        self.best = max((float(row[key]) for row in self.rows if row.get(key)), default=float("-inf"))
        if workers.chief:
            checkpoints.clean()
            if len(self.rows) < len(everything):  # of epochs that will be trained again
                run_log.write_rows(out, self.rows)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.step = epoch, self.begun[1] if epoch == self.begun[0] else 0
        if self.step:
            self.restore_metrics()

    def restore_metrics(self) -> None:
        """Give the metrics what they had summed up when the checkpoint was written."""
        variables, at = self.model.metrics_variables, 0
        if sum(int(np.prod(v.shape)) for v in variables) != self.sums.size:
            raise MsposeError(f"{self.out}: its checkpoint is of other metrics; choose another --out")
        for variable in variables:
            size = int(np.prod(variable.shape))
            variable.assign(self.sums[at : at + size].reshape(variable.shape))
            at += size

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.step += 1
        if not np.isfinite(logs["loss"]):
            raise self._not_a_number()
        every = self.facts.config.training.checkpoint_steps
        last, due = self.step == self.steps, every is not None and self.step % every == 0
        if last or due or self.wish.signal:
            self.sums = np.concatenate([np.ravel(v.numpy()) for v in self.model.metrics_variables])
        if self.wish.signal:
            self._stop()
        elif due and not last:
            self._check_weights()
            self._save(self.epoch, self.step)

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.wish.signal:
            self.model.stop_evaluating = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.wish.signal:  # the figures of a validation that was cut short are none
            self._stop()
        self._check_weights()
        row = {"epoch": epoch, **{name: logs[name] for name in sorted(logs)}}
        self.workers.by_chief(lambda: self._keep(row))
        self.sums = self.sums[:0]
        self._save(epoch + 1, 0)

    def _keep(self, row: dict) -> None:
        with self.average.in_place() if self.average else nullcontext(), self.checkpoints.disk_errors_named():
            # The row first: a kill between the two then repeats the epoch and its row, instead of losing the row.
            self.rows.append(row)
            run_log.write_rows(self.out, self.rows)
            saved_model.save(self.network, self.out / saved_model.LAST, self.facts)
            if row[self.key] > self.best:
                self.best = row[self.key]
                saved_model.save(self.network, self.out / saved_model.BEST, self.facts)

    def _check_weights(self) -> None:
        if not self.checkpoints.finite():
            raise self._not_a_number()

    def _save(self, epoch: int, step: int) -> None:
        number = epoch * (self.steps + 1) + step
        self.workers.by_chief(lambda: self.checkpoints.save(epoch, step, self.sums, number))

    def _stop(self) -> None:
        self._check_weights()
        self._save(self.epoch, self.step)
        asked = self.wish.signal or signal.SIGTERM
        raise Interrupted(
            f"stopped by {asked.name} in epoch {self.epoch + 1}, after step {self.step} of {self.steps}; saved in "
            f"{self.out}, the same command goes on",
            CODES[asked],
        )

    def _not_a_number(self) -> MsposeError:
        latest, rate = self.checkpoints.latest, self.facts.config.training.learning_rate
        return MsposeError(
            f"epoch {self.epoch + 1}, step {self.step} of {self.steps}: the loss or the weights are not a number; "
            + (f"the last good checkpoint is {latest}" if latest else "there is no checkpoint yet")
            + f"; the same command would come to the same: try another --out with training.learning_rate below {rate}, "
            f"or look at the persons of the batch: {', '.join(self.persons(self.epoch, self.step - 1))}"
        )
