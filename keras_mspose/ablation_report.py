"""What an ablation found, as tables on the terminal and as `results.md`."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_mspose.ablation_figure import label
from keras_mspose.comparison import in_words
from keras_mspose.tables import markdown_table

PLATEAU = 45.0  # PCK under which a network has barely left the plateau of empty heatmaps: differences say nothing yet
RULES = (
    "A difference counts, as better or worse, when it has the same sign in every seed and its interval over seeds and "
    f"persons leaves out 0; where a network reaches less than {PLATEAU:g}, it says nothing yet."
)


def show(found: dict) -> None:
    """Print what `ablate_run.results` answers."""
    for title, head, rows in _tables(found):
        table = Table(*head, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        Console().print(table)


def markdown(found: dict, figure: str) -> str:
    """The same as a page, with the figure's file name."""
    parts = [f"![{found['metric']} of every cell]({figure})"]
    for title, head, rows in _tables(found):
        parts.append(f"**{title}**\n\n{markdown_table(head, rows)}")
    return "\n\n".join([*parts, RULES]) + "\n"


def verdict(difference: dict) -> str:
    """A difference in words."""
    if not difference["tells"]:
        return f"says nothing: under {PLATEAU:g}"
    if len(difference["seeds"]) < 2:
        return "one seed"
    return in_words(difference["difference"], difference["real"])


def _tables(found: dict) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, head and rows of each table that has rows."""
    interval, rows = f"{found['level']:.0%} interval", [_cell_row(one) for one in found["cells"]]
    head = ["what", "all else equal", "gain", interval, "by seed", ""]
    tables = [
        (f"{found['metric']} of every cell", ["cell", "mean", interval, "by seed"], rows),
        ("A setting's effect over all cells that differ in it alone", head, [_row(one) for one in found["effects"]]),
        ("Single differences", head, [_row(one) for one in found["differences"]]),
    ]
    return [table for table in tables if table[2]]


def _cell_row(cell: dict) -> list[str]:
    values = list(cell["seeds"].values())
    if not values:
        return [_settings(cell["values"]), "-", "", ""]
    interval = f"{cell['low']:.2f} to {cell['high']:.2f}"
    return [_settings(cell["values"]), f"{np.mean(values):.2f}", interval, ", ".join(f"{v:.2f}" for v in values)]


def _row(one: dict) -> list[str]:
    before, after = (label(one["key"], one[side]) for side in ("from", "to"))
    at = _settings(one["at"]) if "at" in one else f"{one['pairs']} pairs"
    by_seed = ", ".join(f"{gain:+.2f}" for gain in one["by_seed"])
    interval = f"{one['low']:+.2f} to {one['high']:+.2f}"
    return [f"{before} to {after}", at, f"{one['difference']:+.2f}", interval, by_seed, verdict(one)]


def _settings(values: dict) -> str:
    return ", ".join(label(key, value) for key, value in values.items())
