"""MPII Human Pose in the JSON form that pose codes pass around: train and validation annotation without the .mat.

One dict a person: `img_paths`, `joint_self` (16 x 3: x, y, visible), `objpos`, `scale_provided`, `isValidation` and
more that is not read. Pixels count from 1. A joint at x = y = 0 is not labelled; `visible` is 0 there as it is for
occluded joints, so that only the position tells the two apart. Head boxes are missing: `mpii_join.py` finds them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person
from keras_mspose.skeleton import MPII16
from tfrecords_tools import head_sizes, photographs

UNPACKED = 256 << 20  # bytes; the whole of MPII is 33 megabytes, and a megabyte of gzip can be a gigabyte

T = TypeVar("T")


def read(path: Path, images: Path | None = None, listed: list[Any] | None = None) -> list[tuple[str, Person]]:
    """Read the annotation; no photograph is opened.

    Args:
        path: `mpii_annotations.json` or `.json.gz`.
        images: folder of the photographs, by default `images` beside the file.
        listed: its `entries`, where they are read already.

    Returns:
        (`train` or `val`, person) in the file's order, with 0-based keypoints (16, 3), the person box, and a head size
        estimated from neck and head top (0 where one is not labelled). `person_id` is the position in the file.

    Raises:
        MsposeError: missing, unreadable, or an entry of another form, by its position.
    """
    images = images or path.parent / "images"
    return each(path, entries(path) if listed is None else listed, lambda entry, i: _person(entry, i, images))


def entries(path: Path) -> list[Any]:
    """What a JSON file lists, plain or `.gz`.

    Raises:
        MsposeError: missing, unreadable, or not a list.
    """
    if not path.is_file():
        raise MsposeError(f"{path}: no such file; expected MPII's annotation in the JSON form")
    try:
        found = json.loads(_unpacked(path) if path.suffix == ".gz" else path.read_bytes())
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise MsposeError(f"{path}: not readable as JSON ({error}); download it again") from error
    if not isinstance(found, list):
        raise MsposeError(f"{path}: holds a {type(found).__name__}, expected a list with one dict a person")
    return found


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as file:
        text = file.read(UNPACKED + 1)
    if len(text) > UNPACKED:
        raise ValueError(f"more than {UNPACKED >> 20} megabytes when unpacked")
    return text


def each(path: Path, listed: list[Any], read_one: Callable[[Any, int], T]) -> list[T]:
    """What `read_one` makes of every entry and its position.

    Raises:
        MsposeError: what `read_one` stumbles over, with the file and the entry's position.
    """
    found = []
    for i, entry in enumerate(listed):
        try:
            found.append(read_one(entry, i))
        except KeyError as error:
            raise MsposeError(f"{path}: entry {i}: no {error}; expected the JSON form of MPII") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise MsposeError(f"{path}: entry {i}: {error}; expected the JSON form of MPII") from error
    return found


def _person(entry: dict[str, Any], number: int, images: Path) -> tuple[str, Person]:
    name = entry["img_paths"]
    joints = np.array(entry["joint_self"], np.float64)
    if joints.shape != (len(MPII16), 3):
        raise ValueError(f"joint_self is {joints.shape}, expected {(len(MPII16), 3)}")
    x, y = (float(v) for v in entry["objpos"])
    labelled = (joints[:, :2] != 0).any(axis=1)
    keypoints = np.where(labelled[:, None], np.column_stack([joints[:, :2] - 1, np.where(joints[:, 2] > 0, 2, 1)]), 0.0)
    head_size = head_sizes.estimated(keypoints, MPII16)
    person = Person(
        image_name=name,
        keypoints=keypoints,
        image=photographs.inside(images, name),
        box=person_box(x, y, float(entry["scale_provided"])),
        head_size=head_size,
        head_size_estimated=head_size > 0,
        person_id=number,
    )
    return ("val" if float(entry["isValidation"]) else "train"), person


def person_box(objpos_x: float, objpos_y: float, scale: float) -> tuple[float, float, float]:
    """The person box of MPII: centre x, centre y and side in 0-based pixels.

    `objpos` is the middle of the body, in pixels from 1, and `scale` its height over 200 px; moved down and widened as
    all who train on MPII do, so that feet and hands are inside.
    """
    return objpos_x - 1, objpos_y - 1 + 15 * scale, 1.25 * 200 * scale
