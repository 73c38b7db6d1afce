"""What `mspose plot` does: the curves of one or several runs, from their `log.csv`, as one PNG. Loads no TensorFlow."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from keras_mspose.errors import MsposeError
from keras_mspose.result_file import check_writable, write_picture
from keras_mspose.run_log import LOG

METRICS = ("pckh", "pck_box", "pck")  # as they end the log's column names; the longer first
PERCENT = 100.0


@dataclass(frozen=True)
class Curves:
    """What a log says, epoch by epoch.

    Attributes:
        name: of the run's folder.
        epochs: from 1.
        loss: of training and validation, by `loss` and `val_loss`.
        heads: the validation loss of every supervised head, by the head's name; empty where there is one alone.
        accuracy: of training and validation in percent, by the log's names.
    """

    name: str
    epochs: list[int]
    loss: dict[str, list[float]]
    heads: dict[str, list[float]]
    accuracy: dict[str, list[float]]

    @property
    def best(self) -> tuple[int, float]:
        """Epoch (from 1) and value of the best validation accuracy."""
        values = next(v for name, v in self.accuracy.items() if name.startswith("val_"))
        at = max(range(len(values)), key=lambda i: -math.inf if math.isnan(values[i]) else values[i])
        return self.epochs[at], values[at]


def read_curves(run: Path) -> Curves:
    """Read RUN/log.csv.

    Raises:
        MsposeError: no such log, no finished epoch, or a row that is not of numbers.
    """
    path = Path(run) / LOG
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise MsposeError(f"{path}: cannot be read; expected a run folder of `mspose train`") from error
    if not rows:
        raise MsposeError(f"{path}: no epoch is finished yet")
    columns: dict[str, list[float]] = {}
    for number, row in enumerate(rows, 2):
        for name, value in row.items():
            try:
                columns.setdefault(name, []).append(float(value))
            except (TypeError, ValueError) as error:
                raise MsposeError(f"{path}: line {number}, {name}: {value!r} is not a number") from error
    accuracy = {name: values for name, values in columns.items() if name.endswith(METRICS)}
    if not {"epoch", "loss", "val_loss"} <= columns.keys() or not any(name.startswith("val_") for name in accuracy):
        raise MsposeError(
            f"{path}: expected columns epoch, loss, val_loss and a validation accuracy; has {list(rows[0])}"
        )
    heads = {
        name.removeprefix("val_").removesuffix("_loss"): values
        for name, values in columns.items()
        if name.startswith("val_") and name.endswith("_loss") and name != "val_loss"
    }
    loss = {name: columns[name] for name in ("loss", "val_loss")}
    return Curves(Path(run).resolve().name, [int(epoch) + 1 for epoch in columns["epoch"]], loss, heads, accuracy)


def plot_runs(runs: list[Path], out: Path | None = None) -> Path:
    """Draw loss, loss by head and accuracy of runs, and say which epoch was the best of each.

    Args:
        runs: run folders; of several, the losses by head are left out.
        out: PNG to write; RUN/curves.png of the first run where None.

    Returns:
        The picture's path.

    Raises:
        MsposeError: what `read_curves` refuses, or the picture cannot be written.
    """
    out = Path(out) if out else Path(runs[0]) / "curves.png"
    check_writable(out)
    found = [read_curves(run) for run in runs]
    write_picture(out, draw(found))
    for curves in found:
        epoch, value = curves.best
        print(f"{curves.name}: best validation accuracy {value:.2f} after epoch {epoch} of {curves.epochs[-1]}")
    print(f"written: {out}")
    return out


def draw(found: list[Curves]):
    """A matplotlib figure of the curves: training dashed, validation solid, a colour a run."""
    from matplotlib.figure import Figure

    panels = 3 if len(found) == 1 and found[0].heads else 2
    figure = Figure(figsize=(5.2 * panels, 4.2), layout="constrained")
    axes = figure.subplots(1, panels)
    for number, curves in enumerate(found):
        colour = f"C{number}"
        for name, values in curves.loss.items():
            _line(axes[0], curves, values, name, colour)
        for name, values in curves.accuracy.items():
            _line(axes[-1], curves, values, name, colour)
        epoch, value = curves.best
        axes[-1].plot([epoch], [value], "o", color=colour)
        axes[-1].annotate(f"{value:.1f}", (epoch, value), textcoords="offset points", xytext=(0, 6), ha="center")
    if panels == 3:
        for name, values in found[0].heads.items():
            axes[1].plot(found[0].epochs, values, label=name, linewidth=2.5 if name == "regression" else 1.2)
        axes[1].set_title("validation loss by head")
        axes[1].legend(fontsize="x-small", ncols=2)
    axes[0].set_title("loss (training dashed)")
    axes[-1].set_title("accuracy, % (training dashed)")
    axes[-1].set_ylim(0, PERCENT)
    for ax in axes:
        ax.set_xlabel("epoch")
        ax.grid(alpha=0.3)
    for ax in (axes[0], axes[-1]):
        ax.legend(fontsize="small")
    return figure


def _line(ax, curves: Curves, values: list[float], name: str, colour: str) -> None:
    validation = name.startswith("val_")
    label = curves.name if validation else None
    ax.plot(curves.epochs, values, "-" if validation else "--", color=colour, label=label)
