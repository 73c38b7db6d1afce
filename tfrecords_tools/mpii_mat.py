"""MPII Human Pose (Andriluka, Pishchulin, Gehler, Schiele, CVPR 2014) from the official MATLAB release.

`RELEASE` holds annolist, img_train, act and more that is not read: nested structs whose fields differ from image to
image, see `keras_mspose.matlab_struct`. `is_visible` comes as number, character, empty or not at all. Pixels count from
1. The file does not know the standard validation split.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.matlab_struct import as_number, get, items
from keras_mspose.records import Person
from keras_mspose.skeleton import MPII16
from tfrecords_tools import head_sizes, matlab, mpii_json, photographs


def read(path: Path, images: Path) -> tuple[list[tuple[str, Person]], dict[str, int]]:
    """Read the release; no photograph is opened.

    Args:
        path: the .mat file.
        images: folder of the photographs.

    Returns:
        (`train` or `test`, person) in the file's order, with 0-based keypoints (16, 3), person box, head box and
        activity; persons of test photographs have no keypoints. And how many persons were left out, by reason.
        `person_id` is the running number of the `annorect` entry in the file, from 0, those left out included.

    Raises:
        MsposeError: unreadable, without `RELEASE`, or an entry without a name, with one that leads out of `images`, or
            with a joint that MPII does not have.
    """
    release = matlab.load(path, "RELEASE", squeeze_me=True, struct_as_record=False)
    entries, in_training = items(get(release, "annolist")), items(get(release, "img_train"))
    if not entries or len(in_training) != len(entries):
        raise MsposeError(
            f"{path}: RELEASE has {len(entries)} annolist and {len(in_training)} img_train entries, expected one for "
            "one; download MPII's annotation again"
        )
    acts = items(get(release, "act"))
    activities = [_activity(a) for a in acts] if len(acts) == len(entries) else [""] * len(entries)
    persons: list[tuple[str, Person]] = []
    left_out: Counter[str] = Counter()
    number = -1
    for i, (entry, training, activity) in enumerate(zip(entries, in_training, activities, strict=True)):
        name = get(get(entry, "image"), "name")
        try:
            image = photographs.inside(images, name)
        except ValueError as error:
            raise MsposeError(f"{path}: annolist entry {i + 1}: {error}; download MPII's annotation again") from error
        for rect in items(get(entry, "annorect")):
            number += 1
            person = _person(rect, f"{path}: {name}", number, image, name, activity)
            if isinstance(person, str):
                left_out[person] += 1
            elif not as_number(training):
                persons.append(("test", person))
            elif not person.keypoints[:, 2].any():
                left_out["no joints"] += 1
            else:
                persons.append(("train", person))
    return persons, dict(left_out)


def _person(rect: Any, where: str, number: int, image: Path, name: str, activity: str) -> Person | str:
    """One `annorect`, or why it is left out."""
    objpos = get(rect, "objpos")
    x, y, scale = as_number(get(objpos, "x")), as_number(get(objpos, "y")), as_number(get(rect, "scale"))
    if x is None or y is None or not scale:
        return "no position or scale"
    keypoints = _keypoints(rect, where)
    corners = [as_number(get(rect, c)) for c in ("x1", "y1", "x2", "y2")]
    head_box = None if None in corners else tuple(c - 1 for c in corners)
    estimated = 0.0 if head_box else head_sizes.estimated(keypoints, MPII16)
    return Person(
        image_name=name,
        keypoints=keypoints,
        image=image,
        box=mpii_json.person_box(x, y, scale),
        head_box=head_box,
        head_size=head_sizes.from_box(head_box) if head_box else estimated,
        head_size_estimated=estimated > 0,
        person_id=number,
        activity=activity,
    )


def _keypoints(rect: Any, where: str) -> np.ndarray:
    keypoints = np.zeros((len(MPII16), 3))
    for point in items(get(get(rect, "annopoints"), "point")):
        joint, x, y = (as_number(get(point, field)) for field in ("id", "x", "y"))
        if joint is None or joint not in range(len(MPII16)):
            raise MsposeError(f"{where}: a point's id is {get(point, 'id')!r}, expected 0 to {len(MPII16) - 1}")
        # neck and head top come without is_visible in much of the release: the annotators were not asked
        occluded = as_number(get(point, "is_visible")) == 0
        # a coordinate that is missing becomes NaN, which the writer reports or skips as any broken record
        keypoints[int(joint)] = np.nan if x is None else x - 1, np.nan if y is None else y - 1, 1 if occluded else 2
    return keypoints


def _activity(act: Any) -> str:
    parts = [get(act, "cat_name"), get(act, "act_name")]
    return "/".join(p for p in parts if isinstance(p, str) and p)
