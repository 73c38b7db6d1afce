"""log.csv of a run: a row an epoch, of every loss and accuracy."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from keras_mspose.result_file import write_text

LOG = "log.csv"


def read_log(out: Path) -> list[dict[str, str]]:
    """Rows of a run's log.csv; empty where there is none."""
    path = out / LOG
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(out: Path, rows: list[Mapping[str, object]]) -> None:
    """Write log.csv anew: whole or not at all, so that a kill leaves no half row.

    Raises:
        MsposeError: it cannot be written.
    """
    if not rows:
        (out / LOG).unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    columns = dict.fromkeys(column for row in rows for column in row)  # a later version may have more
    writer = csv.DictWriter(text, list(columns), restval="nan", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / LOG, text.getvalue())
