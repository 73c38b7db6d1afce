"""What a person sees while the network trains: one readable line an epoch, a moving bar where there is a terminal."""

from __future__ import annotations

import sys
import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from keras_mspose.input_wait import COLUMN
from keras_mspose.metrics import THRESHOLDS

QUIET_SECONDS = 30  # without a terminal, a line at least this often


class TrainingProgress(keras.callbacks.Callback):
    """Prints loss, the answer's loss and accuracy, speed and learning rate; leaves the other heads to log.csv.

    Args:
        epochs: of the whole run.
        steps: of an epoch.
        batch_size: persons of a step, for the speed.
        answer: name of the answer's head.
        begun: epoch and step, from 0, that training goes on from.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, answer: str, begun: tuple[int, int] = (0, 0)):
        super().__init__()
        self.begun = begun
        self.epochs, self.steps, self.batch_size, self.answer = epochs, steps, batch_size, answer
        self.console = Console(file=sys.stderr, soft_wrap=True)
        self.bar: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.earlier = epoch, self.begun[1] if epoch == self.begun[0] else 0
        self.done = self.earlier
        self.started = self.spoke = time.monotonic()
        self.training_seconds = None
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task(
                f"epoch {epoch + 1}/{self.epochs}", total=self.steps, completed=self.done, note=""
            )
            self.bar.start()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.done = self.earlier + batch + 1
        now = time.monotonic()
        if self.bar:
            self.bar.update(self.task, completed=self.done, note=self._speed(now) + f"  loss {logs['loss']:.4g}")
        elif now - self.spoke > QUIET_SECONDS:
            self.spoke = now
            note = f"step {self.done}/{self.steps}  loss {logs['loss']:.4g}  {self._speed(now)}"
            self.console.print(f"epoch {self.epoch + 1}/{self.epochs}  {note}", highlight=False)
        if self.done == self.steps:
            self.training_seconds = now - self.started

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.stop()
        logs = logs or {}
        parts = [f"epoch {epoch + 1}/{self.epochs}", f"loss {logs['loss']:.4g}"]
        for prefix in ("", "val_"):
            for kind in ("loss", *THRESHOLDS):
                key, said = f"{prefix}{self.answer}_{kind}", f"{prefix}{kind}".replace("_", " ")
                if key not in logs:
                    key = f"{prefix}{kind}"  # Keras leaves a lone head's name out
                elif kind == "loss":
                    said = f"answer's {said}"  # not that of all heads
                if key in logs and key != "loss":
                    parts.append(f"{said} {logs[key]:.4g}")
        parts.append(self._speed(self.started + (self.training_seconds or time.monotonic() - self.started)))
        if COLUMN in logs:
            parts.append(f"input waits {logs[COLUMN]:.0f} %")
        parts.append(f"rate {float(self.model.optimizer.learning_rate):.2g}")
        self.console.print("  ".join(parts), highlight=False)

    def on_train_end(self, logs: dict | None = None) -> None:
        self.stop()

    def _speed(self, now: float) -> str:
        return f"{(self.done - self.earlier) * self.batch_size / max(now - self.started, 1e-9):.1f} images/s"

    def stop(self) -> None:
        """Take the bar off the terminal."""
        if self.bar:
            self.bar.stop()
            self.bar = None
