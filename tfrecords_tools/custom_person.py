"""From one row of one's own keypoints to a person: keypoints, box, head size; what is wrong by line and field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person
from keras_mspose.skeleton import Skeleton
from tfrecords_tools import head_sizes, photographs
from tfrecords_tools.custom_form import BOX, Row
from tfrecords_tools.encoding import LARGEST

BOX_MARGIN = 1.25
SPLIT_LONGEST = 64
SPLIT_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def person_of(
    row: Row, skeleton: Skeleton, images: Path, table: Path, *, one_based: bool = False
) -> tuple[str | None, Person]:
    """The split that a row names, if it names one, and its person.

    Args:
        row: as `custom_form.read` gives it.
        images: folder of the photographs; none is opened.
        table: the file that the row is from, for messages.
        one_based: pixels count from 1 in it.

    Returns:
        The person has 0-based keypoints (K, 3); the square about the row's box, 1.25 times its longer side; the row's
        head size, else the stand-in from neck and head top, else 0.

    Raises:
        MsposeError: a value that is not of the form, by line and field.
    """
    cells = _Cells(row, table)
    first = 1 if one_based else 0
    keypoints = np.array([_keypoint(cells, name, first) for name in skeleton.keypoints])
    try:
        image = photographs.inside(images, row.fields.get("image", ""))
    except ValueError as error:
        cells.refuse("image", str(error))
    head_size = cells.number("head_size", row.fields.get("head_size", 0))
    if head_size < 0:
        cells.refuse("head_size", f"{head_size:g}, expected more than 0, or nothing")
    split = cells.text("split")
    if not SPLIT_LETTERS.issuperset(split):
        cells.refuse("split", f"{split!r}, expected a name of letters, digits and _, such as train, val or test")
    if len(split) > SPLIT_LONGEST:
        cells.refuse(
            "split", f"{len(split)} letters, expected {SPLIT_LONGEST} at most; it becomes a part of file names"
        )
    estimated = 0.0 if head_size else head_sizes.estimated(keypoints, skeleton)
    return split or None, Person(
        image_name=image.relative_to(images).as_posix(),
        keypoints=keypoints,
        image=image,
        box=_box(cells, first),
        head_size=head_size or estimated,
        head_size_estimated=estimated > 0,
        person_id=cells.whole("person_id", row.fields.get("person_id", row.line)),
        activity=cells.text("activity"),
    )


class _Cells:
    """A row's values by type; what is of another type is refused by line and field."""

    def __init__(self, row: Row, table: Path) -> None:
        self.row, self._table = row, table

    def refuse(self, field: str, why: str) -> NoReturn:
        raise MsposeError(f"{self._table}: line {self.row.line}, {field}: {why}")

    def number(self, field: str, value: Any) -> float:
        found = self._as(float, field, value)
        if not abs(found) < LARGEST:
            self.refuse(field, f"{value!r} is no length in pixels; leave it empty where there is none")
        return found

    def whole(self, field: str, value: Any) -> int:
        found = self._as(int, field, value)
        if not 0 <= found < 2**63 or (isinstance(value, float) and found != value):
            self.refuse(field, f"{value!r} is not a whole number from 0 to {2**63 - 1}")
        return found

    def text(self, field: str) -> str:
        value = self.row.fields.get(field, "")
        if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
            self.refuse(field, f"{value!r} is not text")
        return value

    def _as(self, kind: Callable[[Any], Any], field: str, value: Any) -> Any:
        try:
            # Python reads True as 1 and "1_0" as 10; nobody else does
            if isinstance(value, bool) or not isinstance(value, (int, float, str)) or "_" in str(value):
                raise ValueError
            return kind(value)
        except (ValueError, OverflowError):
            self.refuse(field, f"{value!r} is not a {'whole ' if kind is int else ''}number")


def _keypoint(cells: _Cells, name: str, first: int) -> tuple[float, float, float]:
    x, y, v = cells.row.keypoints[name]
    if (x is None) != (y is None):
        cells.refuse(f"{name}_{'x' if x is None else 'y'}", "empty, and the other coordinate is not")
    visibility = cells.number(f"{name}_v", v) if v is not None else 0 if x is None else 2
    if visibility not in (0, 1, 2):
        cells.refuse(f"{name}_v", f"{v!r}, expected 0 (not labelled), 1 (occluded) or 2 (visible)")
    if not visibility:
        return 0.0, 0.0, 0.0
    if x is None:
        cells.refuse(f"{name}_x", f"empty, and {name}_v is {v!r}; not labelled is 0 there, or nothing")
    return cells.number(f"{name}_x", x) - first, cells.number(f"{name}_y", y) - first, visibility


def _box(cells: _Cells, first: int) -> tuple[float, float, float] | None:
    fields = cells.row.fields
    given = [field for field in BOX if field in fields]
    if not given:
        return None
    if len(given) < len(BOX):
        cells.refuse(next(f for f in BOX if f not in given), f"empty, and {given[0]} is not; a box needs all four")
    x, y, width, height = (cells.number(field, fields[field]) for field in BOX)
    if not (width > 0 and height > 0):
        cells.refuse("box_height" if width > 0 else "box_width", "not above 0")
    # the box covers whole pixels: the first one's centre is half a pixel inside of its edge
    return x - first + width / 2 - 0.5, y - first + height / 2 - 0.5, BOX_MARGIN * max(width, height)
