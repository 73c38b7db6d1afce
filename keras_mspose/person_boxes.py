"""Boxes of persons as people and detectors give them, and the squares that the network looks at.

A rectangle is x, y, width, height, COCO's `bbox`: x and y are its left and top edges, from the photograph's own, so
that the first pixel's centre lies at 0.5. A square is centre x, centre y, side, in the coordinates of `geometry`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.geometry import BOX_MARGIN

LARGEST = 1e6  # of a box's numbers, pixels
SMALLEST = 0.01  # of a box's side, pixels: its crop's scale overflows below 1e-17 or so, and answers NaN
TOO_SMALL = "its side is under a hundredth of a pixel"
SURE = 0.5  # COCO results hold a detector's doubtful boxes too: those below this score are left out
PERSON = 1  # COCO's category


def squares(boxes: Any, size: tuple[int, int]) -> np.ndarray:
    """The squares to look at.

    Args:
        boxes: (N, 4) rectangles, or (N, 3) squares, which are taken as they stand; one alone may come flat.
        size: (width, height) of the photograph.

    Returns:
        (N, 3) float32 centre x, centre y, side: of a rectangle 1.25 times its longer side, as in training.

    Raises:
        MsposeError: another shape, no numbers, a box without a size or outside of the photograph.
    """
    try:
        given = np.asarray(boxes, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise MsposeError(f"boxes {boxes!r:.80}: expected numbers ({error})") from error
    if not given.size:
        return np.zeros((0, 3), np.float32)
    given = given[None] if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[1] not in (3, 4):
        raise MsposeError(f"boxes have the shape {given.shape}; expected (N, 4) x, y, width, height or (N, 3) squares")
    found = given
    if given.shape[1] == 4:
        middle = given[:, :2] + given[:, 2:] / 2 - 0.5
        found = np.concatenate([middle, BOX_MARGIN * given[:, 2:].max(1, keepdims=True)], axis=1)
    for box, square in zip(given, found, strict=True):
        if reason := _against(box, square, size):
            raise MsposeError(f"box {', '.join(f'{v:g}' for v in box)}: {reason}")
    return found.astype(np.float32)


def _against(box: np.ndarray, square: np.ndarray, size: tuple[int, int]) -> str | None:
    if not (np.abs(box) <= LARGEST).all():  # nor is NaN
        return f"expected pixels, none beyond {LARGEST:g}"
    if not (box[2:] > 0).all():
        return f"the {'side' if len(box) == 3 else 'width and height'} must be above 0"
    if square[2] < SMALLEST:
        return TOO_SMALL
    half = square[2] / 2
    if (square[:2] + half <= -0.5).any() or (square[:2] - half >= np.array(size) - 0.5).any():
        return f"lies outside of the photograph, {size[0]} x {size[1]} pixels"
    return None


class ImageNames:
    """COCO's `file_name`s, and which of them a photograph goes by.

    Args:
        path: of COCO's file, for messages.
        names: with `/` between folders, where there are any.
    """

    def __init__(self, path: Path, names: Iterable[str]):
        self._path, self._names = path, frozenset(names)
        self._alike: dict[str, list[str]] = {}  # by what they are called without their folders
        for name in sorted(self._names):
            self._alike.setdefault(PurePath(name).name, []).append(name)

    def of(self, photograph: PurePath) -> str | None:
        """The longest that the photograph's path ends in, else the only one without its folders; None where none is.

        Raises:
            MsposeError: several are called so, in folders that are not the photograph's.
        """
        for start in range(len(photograph.parts)):
            end = PurePath(*photograph.parts[start:]).as_posix()
            if end in self._names:
                return end
        alike = self._alike.get(photograph.name, [])
        if len(alike) > 1:
            raise MsposeError(
                f"{self._path}: {photograph} may be its {alike[0]} or {alike[1]}; give a path that ends as one of them"
            )
        return alike[0] if alike else None


class BoxFile:
    """Rectangles of many photographs, by name.

    Args:
        path: JSON in one of three forms: `{"a.jpg": [[x, y, width, height], ...], ...}`; COCO annotations, a mapping
            with `images` and `annotations`; or COCO results, a list of `{"image_id", "bbox", "category_id", "score"}`,
            whose images are named by their number.

    Raises:
        MsposeError: missing, or of none of these forms.
    """

    def __init__(self, path: Path):
        self.path = path
        self._by_name: dict[str, list[Any]] = {}
        self._by_number: dict[int, list[Any]] = {}
        self._annotated: ImageNames | None = None
        try:
            said = json.loads(Path(path).read_text(encoding="utf-8"))
            if isinstance(said, list):
                for entry in said:
                    if entry.get("category_id", PERSON) == PERSON and entry.get("score", 1) >= SURE:
                        self._by_number.setdefault(int(entry["image_id"]), []).append(_rectangle(entry["bbox"]))
            elif "annotations" in said and "images" in said:
                self._read_annotations(said)
            else:
                self._by_name = {name: [_rectangle(box) for box in boxes] for name, boxes in said.items()}
        except OSError as error:
            raise MsposeError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise MsposeError(
                f"{path}: not boxes ({type(error).__name__}: {error}); expected a mapping of names to lists of "
                "x, y, width, height, or COCO's annotations or results"
            ) from error

    def _read_annotations(self, said: dict) -> None:
        names = {entry["id"]: PurePath(entry["file_name"]).as_posix() for entry in said["images"]}
        self._by_name = {name: [] for name in names.values()}
        self._annotated = ImageNames(self.path, names.values())
        persons = [entry["id"] for entry in said.get("categories", ()) if entry["name"] == "person"] or [PERSON]
        for entry in said["annotations"]:
            if entry.get("category_id", persons[0]) in persons and not entry.get("iscrowd", 0):
                self._by_name[names[entry["image_id"]]].append(_rectangle(entry["bbox"]))

    def of(self, photograph: Path) -> list[list[float]] | None:
        """The rectangles of a photograph, by its path as given, its name or its number; None where it has no entry.

        Raises:
            MsposeError: it may be one or another of COCO's images.
        """
        if self._annotated is not None:
            name = self._annotated.of(photograph)
            return None if name is None else self._by_name[name]
        for name in (str(photograph), photograph.name):
            if name in self._by_name:
                return self._by_name[name]
        stem = photograph.stem
        return self._by_number.get(int(stem)) if stem.isascii() and stem.isdigit() else None


def _rectangle(box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4 or not all(type(v) in (int, float) for v in box):
        raise ValueError(f"{box!r:.60} is not x, y, width, height")
    return box
