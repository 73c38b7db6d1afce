"""The form of one's own keypoints: a CSV file or a JSON-lines file with a person a line. docs/own-data.md shows both.

Here the two become the same rows, with unknown names refused; `custom.py` makes persons of them.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

TEXTS = ("image", "split", "activity")
BOX = ("box_x", "box_y", "box_width", "box_height")
FIELDS = (*TEXTS, *BOX, "head_size", "person_id")
CSV_SUFFIXES, JSON_SUFFIXES = (".csv", ".tsv"), (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Row:
    """One person as written: values are text in CSV and anything in JSON; what is empty is not there.

    Attributes:
        line: of the file, from 1.
        fields: those of `FIELDS`.
        keypoints: x, y and visibility by keypoint, None where empty.
    """

    line: int
    fields: dict[str, Any]
    keypoints: dict[str, tuple[Any, Any, Any]]


def read(path: Path, skeleton: Skeleton) -> Iterator[Row]:
    """The rows of a persons file, `.csv` or `.jsonl`.

    Raises:
        MsposeError: no such file, not UTF-8, not of the form, or a column or field that is unknown, missing or there
            twice, with the line and the nearest known name.
    """
    if path.suffix.lower() not in CSV_SUFFIXES + JSON_SUFFIXES:
        raise MsposeError(f"{path}: expected a file {', '.join(CSV_SUFFIXES + JSON_SUFFIXES)}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MsposeError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise MsposeError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8 (Excel: `CSV UTF-8`)") from error
    yield from (_csv if path.suffix.lower() in CSV_SUFFIXES else _json_lines)(path, text, skeleton)


def _csv(path: Path, text: str, skeleton: Skeleton) -> Iterator[Row]:
    # No name that the form knows has one of these in it, so that the header alone tells what separates.
    separator = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns: list[str] = []
    try:
        for cells in lines:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = _columns(path, cells, skeleton)
                continue
            if any(cells[len(columns) :]) or len(cells) < len(columns):
                raise MsposeError(
                    f"{path}: line {lines.line_num}: {len(cells)} cells, expected {len(columns)}; text that has a "
                    f"{separator!r} in it goes into double quotes"
                )
            given = {}
            for column, cell in zip(columns, cells, strict=False):
                # Where ; or a tab separates, the comma is the decimal sign, as in half of Europe's Excel.
                given[column] = cell.replace(",", ".") if separator != "," and column not in TEXTS else cell
            yield Row(
                lines.line_num,
                {name: given[name] for name in FIELDS if given.get(name)},
                {k: tuple(given.get(f"{k}_{part}") or None for part in "xyv") for k in skeleton.keypoints},
            )
    except csv.Error as error:
        raise MsposeError(f"{path}: line {lines.line_num}: not CSV ({error}); check the double quotes") from error
    if not columns:
        raise MsposeError(f"{path}: empty; expected a line of column names first")


def _columns(path: Path, names: list[str], skeleton: Skeleton) -> list[str]:
    while not names[-1]:  # Excel writes cells that were once filled
        names = names[:-1]
    needed = ["image", *(f"{k}_{part}" for k in skeleton.keypoints for part in "xy")]
    known = {*FIELDS, *needed, *(f"{k}_v" for k in skeleton.keypoints)}
    shared = [k for k in skeleton.keypoints for part in "xyv" if f"{k}_{part}" in FIELDS]
    if shared:
        raise MsposeError(f"{path}: the keypoint {shared[0]!r} would share a column with the person's box; rename it")
    for name in names:
        _check_known(name, known, f"{path}: column")
        if names.count(name) > 1:
            raise MsposeError(f"{path}: two columns {name!r}")
    missing = [name for name in needed if name not in names]
    if missing:
        raise MsposeError(
            f"{path}: no column {', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}; every keypoint of "
            f"{skeleton.name} has its _x and _y, empty where it is not labelled"
        )
    return names


def _json_lines(path: Path, text: str, skeleton: Skeleton) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MsposeError(f"{where}: not JSON ({error}); expected one person, an object, on each line") from error
        if not isinstance(entry, dict):
            raise MsposeError(f"{where}: a {type(entry).__name__}, expected an object with image and keypoints")
        for name in entry:
            _check_known(name, (*FIELDS, "keypoints"), f"{where}: field")
        keypoints = {} if entry.get("keypoints") is None else entry["keypoints"]
        if not isinstance(keypoints, dict):
            raise MsposeError(f"{where}, keypoints: a {type(keypoints).__name__}, expected {{name: [x, y, v]}}")
        found: dict[str, tuple[Any, Any, Any]] = {}
        for name, values in keypoints.items():
            _check_known(name, skeleton.keypoints, f"{where}, keypoints: name")
            values = [] if values is None else values
            if not isinstance(values, list) or len(values) not in (0, 2, 3):
                raise MsposeError(f"{where}, {name}: {values!r}, expected [x, y], [x, y, v], or null if not labelled")
            found[name] = (*values, *[None] * (3 - len(values)))
        empty = (None, None, None)
        yield Row(
            number,
            {name: entry[name] for name in FIELDS if entry.get(name) not in (None, "")},
            {name: found.get(name, empty) for name in skeleton.keypoints},
        )


def _check_known(name: str, known: Iterable[str], what: str) -> None:
    if name in known:
        return
    folded = {k.casefold(): k for k in sorted(known)}
    near = difflib.get_close_matches(name.casefold(), folded, 1)
    hint = f"did you mean {folded[near[0]]!r}?" if near else "take it out, or see docs/own-data.md for what there is"
    raise MsposeError(f"{what} {name!r} is unknown; {hint}")
