"""What one file of MPII lends the persons of another: the standard validation split, activities, head boxes.

The .mat has head boxes and no validation split; the JSON forms have that split and no head boxes. Head boxes of the
validation split alone, in its order, come with Tompson's predictions (`detections_our_format.mat`) and with HRNet's
annotation (`gt_valid.mat`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person
from keras_mspose.skeleton import MPII16
from tfrecords_tools import head_sizes, matlab

SAME_PLACE = 1.0  # pixels between the centres of one person's box in two files; two persons' are 2 px apart and more
SAME_JOINT = 0.5  # pixels

Persons = list[tuple[str, Person]]


def standard_split(persons: Persons, known: Persons) -> tuple[Persons, dict[str, int]]:
    """Give the .mat's persons the split of the same persons in a JSON form.

    Args:
        persons: (`train` or `test`, person).
        known: (`train` or `val`, person).

    Returns:
        (`train`, `val` or `test`, person); and how many were left out: others on a validation photograph, which
        training must not see.
    """
    places = _Places(known)
    validation = {person.image_name for split, person in known if split == "val"}
    kept: Persons = []
    left_out: Counter[str] = Counter()
    for split, person in persons:
        same = places.find(person)
        if split == "test":
            kept.append((split, person))
        elif same:
            kept.append((same[0], person))
        elif person.image_name in validation:
            left_out["on a validation photograph but not in the validation split"] += 1
        else:
            kept.append((split, person))
    return kept, dict(left_out)


def lend(persons: Persons, mat: Persons) -> tuple[Persons, int]:
    """Give JSON's persons the head boxes and activities of the same persons in the .mat.

    Returns:
        The persons, and how many have a head box now.
    """
    places, lent = _Places(mat), []
    for split, person in persons:
        same = places.find(person)
        if same:
            _, other = same
            person = replace(person, activity=other.activity)
            if other.head_box:
                kept = ("head_box", "head_size", "head_size_estimated")
                person = replace(person, **{name: getattr(other, name) for name in kept})
        lent.append((split, person))
    return lent, sum(person.head_box is not None for _, person in lent)


def validation_heads(persons: Persons, path: Path) -> tuple[Persons, int]:
    """Give the persons of the split `val`, all of them, their head boxes by their order.

    The file's own ground truth must be theirs. It has lost one coordinate or two of 13 joints, which are 0 in it; those
    joints are not compared.

    Args:
        persons: of a JSON form; those that have a head box already keep it.
        path: `detections_our_format.mat` or `gt_valid.mat`: `headboxes_src` 2 x 2 x N, `pos_gt_src` 16 x 2 x N, both in
            pixels from 1.

    Returns:
        The persons, and how many head boxes were taken.

    Raises:
        MsposeError: missing, unreadable, of another shape, or of other persons or another order.
    """
    if not path.is_file():
        raise MsposeError(f"{path}: no such file; expected head boxes of MPII's validation split")
    boxes, truth = _numbers(path, "headboxes_src", (2, 2)), _numbers(path, "pos_gt_src", (len(MPII16), 2))
    val = [person for split, person in persons if split == "val"]
    advice = "expected the standard validation split in its order; without this file, head sizes are estimated"
    if not len(boxes) == len(truth) == len(val):
        raise MsposeError(
            f"{path}: {len(boxes)} head boxes, {len(truth)} persons; the annotation has {len(val)}; {advice}"
        )
    for number, (person, joints) in enumerate(zip(val, truth, strict=True)):
        compared = (person.keypoints[:, 2] > 0) & (joints != 0).all(axis=1)
        off = np.abs(person.keypoints[compared, :2] + 1 - joints[compared])
        if not (off < SAME_JOINT).all():
            raise MsposeError(
                f"{path}: person {number + 1} is not {person.image_name}, joints are {off.max():.0f} px off; {advice}"
            )
    own = iter(tuple(float(v) for v in box.ravel() - 1) for box in boxes)
    lent, taken = [], 0
    for split, person in persons:
        box = next(own) if split == "val" else None
        if box and not person.head_box:
            person = replace(person, head_box=box, head_size=head_sizes.from_box(box), head_size_estimated=False)
            taken += 1
        lent.append((split, person))
    return lent, taken


class _Places:
    """Persons by photograph and place: the same person's box lies on the same spot in every file."""

    def __init__(self, persons: Persons) -> None:
        self._by_image: dict[str, Persons] = {}
        for split, person in persons:
            self._by_image.setdefault(person.image_name, []).append((split, person))

    def find(self, person: Person) -> tuple[str, Person] | None:
        here = [(_apart(person, other), split, other) for split, other in self._by_image.get(person.image_name, [])]
        nearest = min(here, key=lambda one: one[0], default=None)
        return nearest[1:] if nearest and nearest[0] < SAME_PLACE else None


def _apart(one: Person, other: Person) -> float:
    return float(np.hypot(*np.subtract(one.box, other.box)[:2]))


def _numbers(path: Path, variable: str, shape: tuple[int, int]) -> np.ndarray:
    """(N, *shape) of a variable that is stored as (*shape, N)."""
    found = matlab.load(path, variable)
    form = f"{' x '.join(map(str, shape))} x N numbers"
    if found is None or found.shape[:2] != shape or found.ndim != 3 or found.dtype.kind not in "fiu":
        what = "not there" if found is None else f"{' x '.join(map(str, found.shape))} of {found.dtype}"
        raise MsposeError(f"{path}: `{variable}` is {what}, expected {form}")
    if not np.isfinite(found).all():
        raise MsposeError(f"{path}: `{variable}` has values that are no numbers; download it again")
    return found.transpose(2, 0, 1).astype(np.float64)
