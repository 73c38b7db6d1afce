"""Predictions in the forms that others publish theirs: MPII's validation persons, in their order.

    .h5, .hdf5   `preds`: pose-hg, its descendants, and evaluation code about it               pixels from 1
    .mat         `preds`: bearpaw/pytorch-pose, HRNet, MMPose                                  from 1
                 `pos_pred_src`: the form of Tompson et al.                                    from 1
                 `pred` or `annolist`: the MPII tool kit's structs, `annorect.annopoints`      from 1
    .json        `mspose evaluate --predictions`, or a list of persons, bare or under `persons` or `preds`.
                 A person is a list of points, or of plain numbers x y x y or x y score ..., or holds such
                 a list as `keypoints`. Where all have a `bbox_id`, as of MMPose, that is the order from 0

An array is P x 16 x 2, or has the same three axes in any other order: MATLAB and Lua count them from the other end.
They are told apart by their lengths, and P is known from the truth; where two lengths are equal, the order that is
usual in the form is taken. With 3 numbers a joint the third is a score, which is left out. What is read counts pixels
from 0.
"""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.matlab_struct import as_number, get, items
from keras_mspose.skeleton import MPII16
from keras_mspose.truth_file import read_mat

FORMS = ".h5 (preds), .mat (preds, pos_pred_src, or the tool kit's pred) or .json"
ARRAYS = ("preds", "pos_pred_src", "predictions")
STRUCTS = ("pred", "annolist")
LAST_IS_PERSONS = ((2, 0, 1), (0, 1, 2))  # orders that put persons, joints, x and y in place: those tried first
FIRST_IS_PERSONS = ((0, 1, 2), (2, 0, 1))


def read_predictions(path: Path, persons: int, joints: int, *, first_pixel: int | None = None) -> np.ndarray:
    """Read predictions.

    Args:
        persons, joints: how many there must be.
        first_pixel: from where the file counts pixels, 0 or 1; by default as its form does.

    Returns:
        (P, K, 2) x, y in photograph pixels from 0; NaN for joints that were not predicted: those that the tool kit's
        structs leave out, and those that no total counts where a file has no position of them for anybody.

    Raises:
        MsposeError: missing, of another form, of another number of persons or joints, or with coordinates that are no
            numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise MsposeError(f"{path}: no such file; expected predictions as {FORMS}")
    readers = {".h5": (_h5, 1), ".hdf5": (_h5, 1), ".mat": (_mat, 1), ".json": (_json, 0)}
    if path.suffix.lower() not in readers:
        raise MsposeError(f"{path}: unknown form; expected {FORMS}")
    read, usual = readers[path.suffix.lower()]
    found, absent = read(path, persons, joints)
    wrong = ~np.isfinite(found).all(axis=-1) & ~absent
    if wrong.any():
        person, joint = np.argwhere(wrong)[0]
        raise MsposeError(f"{path}: person {person + 1}, joint {joint} (from 0): {found[person, joint]} is no position")
    return np.where(absent[..., None], np.nan, found) - (usual if first_pixel is None else first_pixel)


def _h5(path: Path, persons: int, joints: int) -> tuple[np.ndarray, np.ndarray]:
    import h5py

    try:
        with h5py.File(path) as file:
            names = [name for name in ARRAYS if name in file]
            if not names:
                has = ", ".join(file) or "none"
                raise MsposeError(f"{path}: no data set `preds`, it has {has}; expected {FORMS}")
            array = file[names[0]][()]
    except OSError as error:
        raise MsposeError(f"{path}: not a readable HDF5 file ({error}); download it again") from error
    return _array(path, array, persons, joints, FIRST_IS_PERSONS)


def _mat(path: Path, persons: int, joints: int) -> tuple[np.ndarray, np.ndarray]:
    found = read_mat(path, ARRAYS)
    for name in ARRAYS:
        if name in found:
            usual = LAST_IS_PERSONS if name == "pos_pred_src" else FIRST_IS_PERSONS
            return _array(path, found[name], persons, joints, usual)
    structs = read_mat(path, STRUCTS, squeeze_me=True, struct_as_record=False)
    if not structs:
        raise MsposeError(f"{path}: neither `preds`, `pos_pred_src` nor `pred` in it; expected {FORMS}")
    return _rectangles(path, next(iter(structs.values())), persons, joints)


def _array(
    path: Path, array: Any, persons: int, joints: int, usual: tuple[tuple[int, ...], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(P, K, 2) of an array in any order of its axes, and (P, K) what it has no position of."""
    try:
        array = np.asarray(array, np.float64)
    except (TypeError, ValueError) as error:
        raise MsposeError(f"{path}: coordinates are not numbers of one shape ({error})") from error
    orders = [*usual, *permutations(range(3))] if array.ndim == 3 else []
    shapes = {order: tuple(array.shape[axis] for axis in order) for order in orders}
    fits = [order for order, (p, k, xy) in shapes.items() if (p, k) == (persons, joints) and xy in (2, 3)]
    if not fits:
        others = {p for p, k, xy in shapes.values() if k == joints and xy in (2, 3)}
        if others:
            raise MsposeError(
                f"{path}: {others.pop()} persons, but the truth has {persons}; they must be the same, in order"
            )
        raise MsposeError(f"{path}: predictions are {array.shape}, expected (persons, {joints} joints, 2)")
    found = array.transpose(fits[0])[..., :2]
    # Tompson et al. have neither pelvis nor thorax, which no figure counts
    unscored = np.array([name in MPII16.unscored for name in MPII16.keypoints]) if joints == len(MPII16) else False
    return found, np.isnan(found).all(axis=(0, 2)) & unscored & np.ones((persons, 1), bool)


def _rectangles(path: Path, entries: Any, persons: int, joints: int) -> tuple[np.ndarray, np.ndarray]:
    """The persons of the tool kit's structs who have points, image after image; it counts points left out as wrong."""
    people = []
    for image, entry in enumerate(items(entries)):
        for rect in items(get(entry, "annorect")):
            points = items(get(get(rect, "annopoints"), "point"))
            if points:
                people.append(_points(path, points, joints, image))
    if len(people) != persons:
        raise MsposeError(
            f"{path}: {len(people)} persons with annopoints, but the truth has {persons}; they must be the same, "
            "in order"
        )
    found = np.array(people).reshape(-1, joints, 3)
    return found[..., :2], found[..., 2] == 0


def _points(path: Path, points: list, joints: int, image: int) -> np.ndarray:
    """(K, 3) x, y, and 1 where the joint is there."""
    found = np.zeros((joints, 3))
    for place, point in enumerate(points):
        given = get(point, "id")
        joint = place if given is None else as_number(given)  # the tool kit's README leaves `id` to what was there
        if joint is None or joint not in range(joints):
            raise MsposeError(f"{path}: image {image + 1}: a point's id is {given!r}, expected 0 to {joints - 1}")
        x, y = (as_number(get(point, axis)) for axis in ("x", "y"))
        found[int(joint)] = np.nan if x is None else x, np.nan if y is None else y, 1
    return found


def _json(path: Path, persons: int, joints: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict):
            data = next(data[key] for key in ("persons", "preds", "predictions") if key in data)
        if not isinstance(data, list) or not data:
            raise ValueError(f"a {type(data).__name__} where a list of persons was expected")
        if all(isinstance(person, dict) and "bbox_id" in person for person in data):
            data = [{person["bbox_id"]: person for person in data}[key] for key in sorted({p["bbox_id"] for p in data})]
        people = [person["keypoints"] if isinstance(person, dict) else person for person in data]
        people = [_pairs(one, joints) for one in people]
    except (ValueError, KeyError, TypeError, IndexError, StopIteration, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise MsposeError(
            f"{path}: not the JSON of `mspose evaluate --predictions`, nor a list of persons ({why})"
        ) from error
    return _array(path, people, persons, joints, FIRST_IS_PERSONS)


def _pairs(person: list, joints: int) -> list:
    """Points x, y of one person, be they points or plain numbers."""
    if person and all(isinstance(value, (int, float)) for value in person):
        if len(person) not in (2 * joints, 3 * joints):
            raise ValueError(f"{len(person)} numbers a person, expected {2 * joints} or {3 * joints}")
        step = len(person) // joints
        return [person[i : i + 2] for i in range(0, len(person), step)]
    return [point[:2] for point in person]
