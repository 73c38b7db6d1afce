"""Predictions that others made, in the forms that they published them.

    .h5     `preds` P x 16 x 2, pixels from 1: Newell's pose-hg and what came after it
    .mat    `pos_pred_src` 16 x 2 x P, pixels from 1: the MPII tool kit's form; or `preds` P x 16 x 2, pixels from 1
    .json   our own, as `mspose evaluate --predictions` writes it: pixels from 0

Persons stand in the order of the MPII validation set. The answer counts pixels from 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.truth_file import read_mat

FORMS = ".h5 (preds), .mat (pos_pred_src or preds) or .json (from mspose evaluate --predictions)"


def read_predictions(path: Path, persons: int, joints: int, *, first_pixel: int | None = None) -> np.ndarray:
    """Read predictions.

    Args:
        persons, joints: how many there must be.
        first_pixel: from where the file counts pixels, 0 or 1; by default as its form does.

    Returns:
        (P, K, 2) x, y in photograph pixels from 0.

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
    try:
        found = np.asarray(read(path), np.float64)
    except (TypeError, ValueError) as error:
        raise MsposeError(f"{path}: coordinates are not numbers of one shape ({error})") from error
    if found.ndim != 3 or found.shape[1:] != (joints, 2):
        raise MsposeError(f"{path}: predictions are {found.shape}, expected (persons, {joints} joints, 2)")
    if len(found) != persons:
        raise MsposeError(f"{path}: {len(found)} persons, but the truth has {persons}; they must be the same, in order")
    if not np.isfinite(found).all():
        person, joint = np.argwhere(~np.isfinite(found).all(axis=-1))[0]
        raise MsposeError(f"{path}: person {person + 1}, joint {joint} (from 0): {found[person, joint]} is no position")
    return found - (usual if first_pixel is None else first_pixel)


def _h5(path: Path) -> np.ndarray:
    import h5py

    try:
        with h5py.File(path) as file:
            if "preds" not in file:
                raise MsposeError(f"{path}: no data set `preds`, it has {', '.join(file) or 'none'}; expected {FORMS}")
            return file["preds"][()]
    except OSError as error:
        raise MsposeError(f"{path}: not a readable HDF5 file ({error}); download it again") from error


def _mat(path: Path) -> np.ndarray:
    found = read_mat(path, ("pos_pred_src", "preds"))
    if "pos_pred_src" in found:
        array = found["pos_pred_src"]
        return array.transpose(2, 0, 1) if array.ndim == 3 else array
    if "preds" in found:
        return found["preds"]
    raise MsposeError(f"{path}: neither `pos_pred_src` nor `preds` in it; expected {FORMS}")


def _json(path: Path) -> Any:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [[point[:2] for point in person["keypoints"]] for person in data["persons"]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MsposeError(
            f"{path}: not the JSON of `mspose evaluate --predictions` ({type(error).__name__}: {error})"
        ) from error
