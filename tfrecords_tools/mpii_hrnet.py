"""MPII Human Pose in the JSON form of Simple Baselines and HRNet: `train.json`, `valid.json`, `trainval.json`.

One dict a person: `image`, `center`, `scale`, `joints` (16 x 2), `joints_vis` (16). The file holds MPII's own numbers:
pixels count from 1, `center` and `scale` are `objpos` and `scale` untouched. It is the loader of those projects
(`lib/dataset/mpii.py`) that moves the centre down by 15 scale, widens the scale by 1.25 and then takes 1 from centre
and joints: the box of `mpii_json.person_box`. `joints_vis` is 1 for every labelled joint, occluded or not, as its
authors say (microsoft/human-pose-estimation.pytorch, issue 7), and 0 with the position -1, -1 for the others: the form
does not know occlusion. The file's name is the split; persons of `test.json` have no joints.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person
from keras_mspose.skeleton import MPII16
from tfrecords_tools import head_sizes, mpii_json, photographs

SPLITS = {"train": "train", "trainval": "train", "valid": "val", "val": "val", "test": "test"}
FIELDS = ("joints", "joints_vis", "center", "scale")


def is_form(entry: Any) -> bool:
    """Whether a JSON entry is of this form, and not of that of `mpii_json.py`."""
    return isinstance(entry, dict) and "joint_self" not in entry and any(field in entry for field in FIELDS)


def read(path: Path, images: Path, listed: list[Any] | None = None) -> tuple[list[tuple[str, Person]], dict[str, int]]:
    """Read one file; no photograph is opened.

    Args:
        path: its name, `mpii_` before it or not, says the split: train, trainval, valid (or val), test.
        images: folder of the photographs.
        listed: its `mpii_json.entries`, where they are read already.

    Returns:
        (`train`, `val` or `test`, person) in the file's order, with 0-based keypoints (16, 3), all labelled ones marked
        visible, the person box, and a head size estimated from neck and head top. `person_id` is the position in the
        file. And how many persons were left out, by reason.

    Raises:
        MsposeError: unreadable, another name, or an entry of another form, by its position.
    """
    stem = path.name.partition(".")[0].lower().removeprefix("mpii_")
    if stem not in SPLITS:
        raise MsposeError(f"{path}: the name says the split in this form; expected {'.json, '.join(SPLITS)}.json")
    split = SPLITS[stem]
    kept: list[tuple[str, Person]] = []
    left_out: Counter[str] = Counter()
    listed = mpii_json.entries(path) if listed is None else listed
    for person in mpii_json.each(path, listed, lambda entry, i: _person(entry, i, images, split)):
        if isinstance(person, str):
            left_out[person] += 1
        else:
            kept.append((split, person))
    return kept, dict(left_out)


def _person(entry: dict[str, Any], number: int, images: Path, split: str) -> Person | str:
    """One entry, or why it is left out."""
    keypoints = np.zeros((len(MPII16), 3))
    if split != "test" or "joints" in entry:
        joints, labelled = np.array(entry["joints"], np.float64), np.array(entry["joints_vis"], np.float64)
        if joints.shape != (len(MPII16), 2) or labelled.shape != (len(MPII16),):
            raise ValueError(f"joints are {joints.shape} and joints_vis {labelled.shape}, expected (16, 2) and (16,)")
        if not np.isin(labelled, (0, 1)).all():
            raise ValueError(f"joints_vis {labelled.tolist()} are not 0 and 1")
        keypoints = np.column_stack([joints - 1, np.full(len(MPII16), 2)]) * labelled[:, None]
    (x, y), scale = (float(v) for v in entry["center"]), float(entry["scale"])
    image = photographs.inside(images, entry["image"])
    if x == -1 or not scale > 0:
        return "no position or scale"
    if split != "test" and not keypoints[:, 2].any():
        return "no joints"
    head_size = head_sizes.estimated(keypoints, MPII16)
    return Person(
        image_name=entry["image"],
        keypoints=keypoints,
        image=image,
        box=mpii_json.person_box(x, y, scale),
        head_size=head_size,
        head_size_estimated=head_size > 0,
        person_id=number,
    )
