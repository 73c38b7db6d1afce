"""What a person sees on a terminal while runs are trained side by side: how far all of them are, and each under way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from keras_mspose.ablation_jobs import Run
from keras_mspose.run_log import read_log


class RunsProgress(AbstractContextManager):
    """A bar of all epochs, with the time that is left at the speed so far, and one of each run under way.

    Args:
        runs: that are to be trained; some may have begun.
    """

    def __init__(self, runs: Sequence[Run]):
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self.epochs = {run.name: _epochs(run) for run in runs}
        self.before = sum(self.epochs.values())
        ahead = sum(run.config.training.epochs for run in runs) - self.before
        self.all = self.bars.add_task("epochs of all runs", total=ahead)
        self.under_way: dict[str, TaskID] = {}

    def __enter__(self) -> RunsProgress:
        self.bars.start()
        return self

    def __exit__(self, *about: object) -> None:
        self.bars.stop()

    def show(self, active: Sequence[Run]) -> None:
        """Draw how far the runs under way are, and no longer those that were and are not."""
        for gone in self.under_way.keys() - {run.name for run in active}:
            self.bars.remove_task(self.under_way.pop(gone))
        for run in active:
            if run.name not in self.under_way:
                self.under_way[run.name] = self.bars.add_task(run.name, total=run.config.training.epochs)
            self.epochs[run.name] = _epochs(run)
            self.bars.update(self.under_way[run.name], completed=self.epochs[run.name])
        self.bars.update(self.all, completed=sum(self.epochs.values()) - self.before)


def _epochs(run: Run) -> int:
    return len(read_log(run.folder))
