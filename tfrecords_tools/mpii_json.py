"""MPII Human Pose in the JSON form that pose codes pass around: train and validation annotation without the .mat.

One dict a person: `img_paths`, `joint_self` (16 x 3: x, y, visible), `objpos`, `scale_provided`, `isValidation` and
more that is not read. Pixels count from 1. A joint at x = y = 0 is not labelled; `visible` is 0 there as it is for
occluded joints, so that only the position tells the two apart. Head boxes are missing: `mpii.py` has them.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import writer

HEAD_SIZE_OVER_NECK_TO_TOP = 0.75  # 0.6 * head box diagonal, within 2 % for 99.6 % of the validation persons


def convert(
    path: Path,
    images: Path,
    out: Path,
    *,
    skip_bad: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
) -> RecordSet:
    """Convert the JSON form to a record folder with the splits `train` and `val`.

    Args:
        path: `mpii_annotations.json` or `.json.gz`.
        images: folder of the photographs.
        out: the record folder to make.
        skip_bad, overwrite, workers: see `writer.write`. With `skip_bad` persons whose photograph is missing are left
            out, so that a part of the photographs will do.

    Raises:
        MsposeError: no such folder or file, another form, or what `writer.write` refuses.
    """
    if not images.is_dir():
        raise MsposeError(f"{images}: no such folder; expected MPII's photographs there")
    return writer.write(
        read(path, images),
        out,
        name="mpii",
        skeleton=MPII16,
        metric="pckh",
        source=str(path),
        options={"json": path.name},
        notes={
            "split": "isValidation of the JSON form",
            "head_size": f"{HEAD_SIZE_OVER_NECK_TO_TOP} * |neck - head top|; the JSON form has no head boxes",
        },
        skip_bad=skip_bad,
        overwrite=overwrite,
        workers=workers,
    )


def read(path: Path, images: Path | None = None) -> list[tuple[str, Person]]:
    """Read the annotation; no photograph is opened.

    Args:
        path: `mpii_annotations.json` or `.json.gz`.
        images: folder of the photographs, by default `images` beside the file.

    Returns:
        (`train` or `val`, person) in the file's order, with 0-based keypoints (16, 3), the person box, and a head size
        estimated from neck and head top (0 where one is not labelled). `person_id` is the position in the file.

    Raises:
        MsposeError: missing, unreadable, or an entry of another form, by its position.
    """
    images = images or path.parent / "images"
    if not path.is_file():
        raise MsposeError(f"{path}: no such file; expected MPII's annotation in the JSON form")
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        entries = json.loads(text)
    except (OSError, EOFError, ValueError) as error:
        raise MsposeError(f"{path}: not readable as JSON ({error}); download it again") from error
    if not isinstance(entries, list):
        raise MsposeError(f"{path}: holds a {type(entries).__name__}, expected a list with one dict a person")
    persons = []
    for i, entry in enumerate(entries):
        try:
            persons.append(_person(entry, i, images))
        except KeyError as error:
            raise MsposeError(f"{path}: entry {i}: no {error}; expected the JSON form of MPII") from error
        except (TypeError, ValueError) as error:
            raise MsposeError(f"{path}: entry {i}: {error}; expected the JSON form of MPII") from error
    return persons


def _person(entry: dict[str, Any], number: int, images: Path) -> tuple[str, Person]:
    name = str(entry["img_paths"])
    joints = np.array(entry["joint_self"], np.float64)
    if joints.shape != (len(MPII16), 3):
        raise ValueError(f"joint_self is {joints.shape}, expected {(len(MPII16), 3)}")
    x, y = (float(v) for v in entry["objpos"])
    labelled = (joints[:, :2] != 0).any(axis=1)
    keypoints = np.where(labelled[:, None], np.column_stack([joints[:, :2] - 1, np.where(joints[:, 2] > 0, 2, 1)]), 0.0)
    person = Person(
        image_name=name,
        keypoints=keypoints,
        image=images / name,
        box=person_box(x, y, float(entry["scale_provided"])),
        head_size=estimated_head_size(keypoints),
        head_size_estimated=True,
        person_id=number,
    )
    return ("val" if float(entry["isValidation"]) else "train"), person


def person_box(objpos_x: float, objpos_y: float, scale: float) -> tuple[float, float, float]:
    """The person box of MPII: centre x, centre y and side in 0-based pixels.

    `objpos` is the middle of the body, in pixels from 1, and `scale` its height over 200 px; moved down and widened as
    all who train on MPII do, so that feet and hands are inside.
    """
    return objpos_x - 1, objpos_y - 1 + 15 * scale, 1.25 * 200 * scale


def estimated_head_size(keypoints: np.ndarray) -> float:
    """The reference length of PCKh in pixels from (16, 3) keypoints without a head box; 0 where it cannot be told."""
    neck, top = (keypoints[MPII16.index(name)] for name in MPII16.head)
    if not (neck[2] and top[2]):
        return 0.0
    return HEAD_SIZE_OVER_NECK_TO_TOP * float(np.hypot(*(top - neck)[:2]))
