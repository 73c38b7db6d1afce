"""What `mspose compare` does: two files of `mspose evaluate --predictions`, person by person. Loads no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_mspose.comparison import LEVEL, Difference, compare, in_words
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import METRICS, THRESHOLDS, normalised_distances
from keras_mspose.prediction_file import read_own
from keras_mspose.result_file import check_writable, write_json


def compare_files(a: Path, b: Path, *, seed: int = 0, json_path: Path | None = None) -> dict[str, Difference]:
    """Compare two evaluations of the same persons and print the table.

    Args:
        a, b: files of `mspose evaluate --predictions`.
        seed: of the bootstrap.
        json_path: where the figures are written at full precision.

    Raises:
        MsposeError: a file of another form, or persons that are not the same.
    """
    check_writable(json_path)
    one, two = read_own(a), read_own(b)
    if one.skeleton != two.skeleton or one.metric != two.metric or one.truth.shape != two.truth.shape:
        raise MsposeError(f"{a}, {b}: not the same persons: {_about(one)} against {_about(two)}")
    if not np.allclose(one.truth, two.truth, atol=0.01) or not np.allclose(one.reference, two.reference, atol=0.01):
        raise MsposeError(f"{a}, {b}: the truth differs; both have to be of the same data, split and order")
    distances = [normalised_distances(f.predicted, f.truth, f.reference) for f in (one, two)]
    threshold = THRESHOLDS[one.metric]
    found = compare(*distances, one.skeleton, threshold, seed=seed)
    _print(found, f"{METRICS[one.metric]}@{threshold:g}: B ({b}) less A ({a})")
    if json_path is not None:
        figures = {name: difference.to_dict() for name, difference in found.items()}
        write_json(json_path, {"a": str(a), "b": str(b), "level": LEVEL, "differences": figures})
    return found


def _about(own) -> str:
    return f"{len(own.truth)} persons of {own.skeleton.name}, {METRICS.get(own.metric, own.metric)}"


def _print(found: dict[str, Difference], title: str) -> None:
    table = Table("", "A", "B", "B - A", f"{LEVEL:.0%} interval", "", title=title, title_justify="left")
    for name, d in found.items():
        if d.persons:
            interval = f"{d.low:+.2f} to {d.high:+.2f}"
            figures = (f"{d.a:.2f}", f"{d.b:.2f}", f"{d.value:+.2f}", interval, in_words(d.value, d.is_real))
            table.add_row(name, *figures, end_section=name == "mean")
    Console().print(table)
