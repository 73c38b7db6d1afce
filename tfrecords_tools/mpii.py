"""MPII Human Pose (Andriluka, Pishchulin, Gehler, Schiele, CVPR 2014) from the official MATLAB release.

    SOURCE/mpii_human_pose_v1_u12_1.mat   `RELEASE`: annolist, img_train, act, ...
    SOURCE/images/                        the photographs
    SOURCE/mpii_annotations.json[.gz]     optional: the JSON form, which alone knows the standard validation split

The release is of nested structs whose fields differ from image to image: an empty field is an empty array, a single
element is no array at all, and `is_visible` comes as number, character, empty or not at all. All of that is met in
`_items` and `_number`, so that the rest reads as if it were regular. Pixels count from 1.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import matlab, mpii_json, writer

MAT_NAME = "mpii_human_pose_v1_u12_1.mat"
JSON_NAMES = ("mpii_annotations.json.gz", "mpii_annotations.json")


def convert(
    source: Path,
    out: Path,
    *,
    json: Path | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
) -> RecordSet:
    """Convert MPII to a record folder with the splits `train`, `val` and `test`.

    From the .mat in `source`, and from the JSON form alone where there is no .mat or where `json` names it. With the
    .mat, the JSON form beside it says which persons are the standard validation split; without it all labelled
    persons are `train`. Persons of test photographs have a box and no keypoints.

    Args:
        source: folder with the .mat (or the JSON form) and `images`.
        out: the record folder to make.
        json: the JSON form to convert in place of the .mat.
        skip_bad, overwrite, workers: see `writer.write`.

    Raises:
        MsposeError: folder, annotation or `images` missing or of another form, or what `writer.write` refuses.
    """
    source = Path(source)
    if not source.is_dir():
        raise MsposeError(f"{source}: no such folder; give the one that holds {MAT_NAME} and images/")
    images = source / "images"
    if not images.is_dir():
        raise MsposeError(f"{source}: no folder images/ in it; expected MPII's photographs there")
    mat = None if json else _mat_file(source)
    beside = next((source / name for name in JSON_NAMES if (source / name).is_file()), None)
    if mat is None:
        annotation = Path(json) if json else beside
        if annotation is None:
            raise MsposeError(f"{source}: neither {MAT_NAME} nor {JSON_NAMES[0]} in it; one of them is needed")
        return mpii_json.convert(annotation, images, out, skip_bad=skip_bad, overwrite=overwrite, workers=workers)

    persons, left_out = read(mat, images, mpii_json.read(beside) if beside else None)
    split = (
        f"isValidation of {beside.name}"
        if beside
        else f"no {JSON_NAMES[0]} beside the .mat, which does not know the validation split: every one is in train"
    )
    return writer.write(
        persons,
        out,
        name="mpii",
        skeleton=MPII16,
        metric="pckh",
        source=str(mat),
        options={"json": beside.name if beside else None},
        notes={"split": split, **({"left_out": left_out} if left_out else {})},
        skip_bad=skip_bad,
        overwrite=overwrite,
        workers=workers,
    )


def read(
    path: Path, images: Path, known: list[tuple[str, Person]] | None = None
) -> tuple[list[tuple[str, Person]], dict[str, int]]:
    """Read the release; no photograph is opened.

    Args:
        path: the .mat file.
        images: folder of the photographs.
        known: the same persons from the JSON form, to tell `val` from `train`.

    Returns:
        (`train`, `val` or `test`, person) in the file's order, with 0-based keypoints (16, 3), person box, head box and
        activity; and how many persons were left out, by reason. `person_id` is the running number of the `annorect`
        entry in the file, from 0, those left out included.

    Raises:
        MsposeError: unreadable, without `RELEASE`, or an entry without a name or with a joint that MPII does not have.
    """
    release = matlab.load(path, "RELEASE", squeeze_me=True, struct_as_record=False)
    entries, in_training = _items(_get(release, "annolist")), _items(_get(release, "img_train"))
    if not entries or len(in_training) != len(entries):
        raise MsposeError(
            f"{path}: RELEASE has {len(entries)} annolist and {len(in_training)} img_train entries, expected one for "
            "one; download MPII's annotation again"
        )
    acts = _items(_get(release, "act"))
    activities = [_activity(a) for a in acts] if len(acts) == len(entries) else [""] * len(entries)
    persons: list[tuple[str, Person]] = []
    left_out: Counter[str] = Counter()
    standard = _Standard(known) if known else None
    number = -1
    for i, (entry, training, activity) in enumerate(zip(entries, in_training, activities, strict=True)):
        name = _get(_get(entry, "image"), "name")
        if not isinstance(name, str) or not name:
            raise MsposeError(f"{path}: annolist entry {i + 1} has no image name; download MPII's annotation again")
        for rect in _items(_get(entry, "annorect")):
            number += 1
            person = _person(rect, f"{path}: {name}", number, images / name, name, activity)
            if isinstance(person, str):
                left_out[person] += 1
            elif not _number(training):
                persons.append(("test", person))
            elif not person.keypoints[:, 2].any():
                left_out["no joints"] += 1
            elif split := standard.split_of(person) if standard else "train":
                persons.append((split, person))
            else:
                left_out["on a validation photograph but not in the validation split"] += 1
    return persons, dict(left_out)


class _Standard:
    """The standard split: a person of the .mat is the one of the JSON form whose box lies on the same spot."""

    def __init__(self, known: list[tuple[str, Person]]) -> None:
        self._by_image: dict[str, list[tuple[str, Person]]] = {}
        for split, person in known:
            self._by_image.setdefault(person.image_name, []).append((split, person))

    def split_of(self, person: Person) -> str | None:
        """`train` or `val`; None for others on a validation photograph, which training must not see."""
        here = self._by_image.get(person.image_name, [])
        for split, other in here:
            if np.hypot(*np.subtract(person.box, other.box)[:2]) < 1:
                return split
        return None if any(split == "val" for split, _ in here) else "train"


def _person(rect: Any, where: str, number: int, image: Path, name: str, activity: str) -> Person | str:
    """One `annorect`, or why it is left out."""
    objpos = _get(rect, "objpos")
    x, y, scale = _number(_get(objpos, "x")), _number(_get(objpos, "y")), _number(_get(rect, "scale"))
    if x is None or y is None or not scale:
        return "no position or scale"
    keypoints = _keypoints(rect, where)
    corners = [_number(_get(rect, c)) for c in ("x1", "y1", "x2", "y2")]
    head_box = None if None in corners else tuple(c - 1 for c in corners)
    if head_box:
        head_size = 0.6 * float(np.hypot(head_box[2] - head_box[0], head_box[3] - head_box[1]))
    else:
        head_size = mpii_json.estimated_head_size(keypoints)
    return Person(
        image_name=name,
        keypoints=keypoints,
        image=image,
        box=mpii_json.person_box(x, y, scale),
        head_box=head_box,
        head_size=head_size,
        head_size_estimated=head_box is None,
        person_id=number,
        activity=activity,
    )


def _keypoints(rect: Any, where: str) -> np.ndarray:
    keypoints = np.zeros((len(MPII16), 3))
    for point in _items(_get(_get(rect, "annopoints"), "point")):
        joint, x, y = (_number(_get(point, field)) for field in ("id", "x", "y"))
        if joint is None or joint not in range(len(MPII16)):
            raise MsposeError(f"{where}: a point's id is {_get(point, 'id')!r}, expected 0 to {len(MPII16) - 1}")
        # neck and head top come without is_visible in much of the release: the annotators were not asked
        occluded = _number(_get(point, "is_visible")) == 0
        # a coordinate that is missing becomes NaN, which the writer reports or skips as any broken record
        keypoints[int(joint)] = np.nan if x is None else x - 1, np.nan if y is None else y - 1, 1 if occluded else 2
    return keypoints


def _activity(act: Any) -> str:
    parts = [_get(act, "cat_name"), _get(act, "act_name")]
    return "/".join(p for p in parts if isinstance(p, str) and p)


def _get(struct: Any, field: str) -> Any:
    """A field, or None where the struct is empty or does not have it."""
    return getattr(struct, field, None)


def _items(value: Any) -> list:
    """The elements of a struct array: none of an empty one, one where MATLAB's single element came without array."""
    if value is None:
        return []
    return list(value.ravel()) if isinstance(value, np.ndarray) else [value]


def _number(value: Any) -> float | None:
    """A number that may come as character; None where it is empty, missing or not finite."""
    try:
        number = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _mat_file(source: Path) -> Path | None:
    found = sorted(source.glob("mpii_human_pose*.mat"))
    if source / MAT_NAME in found or not found:
        return source / MAT_NAME if found else None
    if len(found) > 1:
        raise MsposeError(f"{source}: several MPII files: {', '.join(p.name for p in found)}; leave one of them")
    return found[0]
