"""The paper's Fig. 4 of an ablation: accuracy over the grid's first key, a line for every combination of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE_NAMES = {1: "GT", 2: "GT/2", 4: "GT/4", 8: "GT/8"}


def draw(found: dict) -> Figure:
    """Draw what `ablate_run.results` answers.

    Every seed is a small dot, their mean a line, and the interval over seeds and persons a bar. The first value of the
    last key, such as no regression, has a broken line where the grid has three keys or more.
    """
    from matplotlib.figure import Figure

    first, *others = found["grid"]
    values = found["grid"][first]
    lines: dict[tuple, list[tuple[int, dict]]] = {}
    for cell in found["cells"]:
        rest = tuple(label(key, cell["values"][key]) for key in others)
        lines.setdefault(rest, []).append((values.index(cell["values"][first]), cell))
    figure = Figure(figsize=(7, 5), layout="constrained")
    ax = figure.subplots()
    groups = list(dict.fromkeys(rest[:-1] if len(rest) > 1 else rest for rest in lines))
    for number, (rest, points) in enumerate(lines.items()):
        measured = [(place, cell) for place, cell in points if cell["seeds"]]
        if not measured:
            continue
        colour = f"C{groups.index(rest[:-1] if len(rest) > 1 else rest)}"
        style = "--" if len(rest) > 1 and rest[-1] == label(others[-1], found["grid"][others[-1]][0]) else "-"
        shift = 0.03 * (number - (len(lines) - 1) / 2)
        x = np.array([place for place, _ in measured]) + shift
        mean = np.array([np.mean(list(cell["seeds"].values())) for _, cell in measured])
        bars = np.abs(np.array([[cell["low"], cell["high"]] for _, cell in measured]).T - mean)
        ax.errorbar(x, mean, yerr=bars, fmt=f"o{style}", color=colour, capsize=3, label=", ".join(rest))
        for place, (_, cell) in zip(x, measured, strict=True):
            seeds = list(cell["seeds"].values())
            ax.plot([place] * len(seeds), seeds, ".", color=colour, alpha=0.5)
    ax.set_xticks(range(len(values)), [label(first, value) for value in values])
    ax.set_xlim(-0.4, len(values) - 0.6)
    ax.set_ylabel(f"{found['metric']}, mean over joints")
    ax.set_title(f"dots: seeds; bars: {found['level']:.0%} intervals over seeds and persons", fontsize="small")
    ax.grid(axis="y", alpha=0.3)
    if others:
        ax.legend(fontsize="small")
    return figure


def label(key: str, value: object) -> str:
    """A setting as the paper writes it, where it does: `GT+GT/2`, `regression`, `2 stacks`."""
    name = key.rpartition(".")[2]
    if name == "scales" and isinstance(value, list | tuple):
        return "+".join(SCALE_NAMES.get(scale, f"GT/{scale}") for scale in value)
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if name == "stacks":
        return f"{value} stack" + ("s" if value != 1 else "")
    return f"{name} {value}"
