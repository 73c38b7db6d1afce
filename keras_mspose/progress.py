"""What a person sees while the network trains: one readable line an epoch, a moving bar where there is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from keras_mspose.records import METRICS

QUIET_SECONDS = 30  # without a terminal, a line at least this often


class TrainingProgress:
    """Prints loss, the answer's loss and accuracy, speed and learning rate; leaves the other heads to log.csv.

    A context: at its end, be it an error, no bar is left on the terminal.

    Args:
        epochs: of the whole run.
        steps: of an epoch.
        batch_size: persons of a step, for the speed.
        answer: name of the answer's head.
        visible: whether anything is printed at all.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, answer: str, *, visible: bool = True):
        self.epochs, self.steps, self.batch_size, self.answer = epochs, steps, batch_size, answer
        self.console = Console(file=sys.stderr, soft_wrap=True, quiet=not visible)
        self.bar: Progress | None = None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop_bar()

    def begin(self, epoch: int, step: int) -> None:
        """An epoch goes on from its step `step`; both from 0."""
        self.epoch, self.first, self.step = epoch, step, step
        self.started = self.spoke = self.now = time.monotonic()
        if self.console.is_terminal and not self.console.quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task(f"epoch {epoch + 1}/{self.epochs}", total=self.steps, note="", completed=step)
            self.bar.start()

    def done(self, step: int, loss: float) -> None:
        """So many steps of the epoch are done; `loss` is their mean."""
        self.step, self.now = step, time.monotonic()
        if self.bar:
            self.bar.update(self.task, completed=step, note=self._speed() + f"  loss {loss:.4g}")
        elif self.now - self.spoke > QUIET_SECONDS:
            self.spoke = self.now
            note = f"step {step}/{self.steps}  loss {loss:.4g}  {self._speed()}"
            self.console.print(f"epoch {self.epoch + 1}/{self.epochs}  {note}", highlight=False)

    def end(self, row: Mapping[str, float]) -> None:
        """The epoch's row of the log."""
        self._stop_bar()
        parts = [f"epoch {self.epoch + 1}/{self.epochs}", f"loss {row['loss']:.4g}"]
        for prefix in ("", "val_"):
            for kind in ("loss", *METRICS):
                key = f"{prefix}{self.answer}_{kind}"
                if key in row:
                    parts.append(f"{prefix.replace('_', ' ')}{kind} {row[key]:.4g}")
        parts.append(self._speed())
        parts.append(f"rate {row['learning_rate']:.2g}")
        self.console.print("  ".join(parts), highlight=False)

    def _speed(self) -> str:
        return f"{(self.step - self.first) * self.batch_size / max(self.now - self.started, 1e-9):.1f} images/s"

    def _stop_bar(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
