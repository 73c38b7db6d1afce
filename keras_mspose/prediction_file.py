"""Predictions on disk: in the forms that others published theirs, and in our own.

    .h5     `preds` P x 16 x 2, pixels from 1: Newell's pose-hg and what came after it
    .mat    `pos_pred_src` 16 x 2 x P, pixels from 1: the MPII tool kit's form; or `preds` P x 16 x 2, pixels from 1
    .json   `mspose evaluate --predictions`: pixels of the photographs from 0, and the truth beside them

            {"format", "data", "split", "box", "flip", "looks", "metric", "skeleton", "persons": [
              {"image", "person_id", "keypoints": [[x, y, score], ...], "truth": [[x, y, visibility], ...],
               "reference"}, ...]}

            `reference` is the metric's length in photograph pixels, 0 where the person is not counted.

Persons of the other forms stand in the order of the MPII validation set. What is read counts pixels from 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mspose import geometry
from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.result_file import write_text
from keras_mspose.skeleton import Skeleton
from keras_mspose.truth_file import read_mat

if TYPE_CHECKING:
    from keras_mspose.evaluation import Evaluation

FORMAT = "keras_mspose/predictions/1"
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


@dataclass(frozen=True)
class Own:
    """A file of our own form.

    Attributes:
        predicted: (P, K, 3) x, y in photograph pixels from 0, score.
        truth: (P, K, 3) x, y, visibility.
        reference: (P,) the metric's length in photograph pixels, 0 where a person is not counted.
        metric: `pckh`, `pck` or `pck_box`.
        skeleton: of both.
    """

    predicted: np.ndarray
    truth: np.ndarray
    reference: np.ndarray
    metric: str
    skeleton: Skeleton


def write_predictions(path: Path, found: Evaluation, data: RecordSet) -> None:
    """Write every person of an evaluation, one a line.

    Raises:
        MsposeError: the file cannot be written.
    """
    predicted, truth = found.predicted.astype(np.float64), found.truth.astype(np.float64)
    origins = found.origins.astype(np.float64)
    predicted[..., :2] = geometry.uncrop(predicted[..., :2], origins)
    labelled = truth[..., 2:] > 0
    truth[..., :2] = np.where(labelled, geometry.uncrop(truth[..., :2], origins), 0.0)
    persons = (
        json.dumps(
            {
                "image": found.image_names[i],
                "person_id": int(found.person_ids[i]),
                "keypoints": predicted[i].round(4).tolist(),
                "truth": truth[i].round(4).tolist(),
                "reference": round(float(found.reference[i] / origins[i, 2]), 4),
            }
        )
        for i in range(len(predicted))
    )
    about = {
        "format": FORMAT,
        **{"data": data.name, "split": found.split, "box": found.box, "flip": found.flip, "looks": found.looks},
        **{"metric": data.metric, "skeleton": data.skeleton.to_dict()},
    }
    write_text(path, json.dumps(about)[:-1] + ', "persons": [\n' + ",\n".join(persons) + "\n]}\n")


def read_own(path: Path) -> Own:
    """Read a file of our own form, truth and all.

    Raises:
        MsposeError: missing, or of another form.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise MsposeError(f"{path}: format is {data['format']!r}, expected {FORMAT!r}")
        persons, skeleton = data["persons"], Skeleton.from_dict(data["skeleton"])
        arrays = [np.array([person[key] for person in persons], np.float64) for key in ("keypoints", "truth")]
        reference = np.array([person["reference"] for person in persons], np.float64)
        if any(a.shape != (len(persons), len(skeleton), 3) for a in arrays) or reference.shape != (len(persons),):
            raise ValueError(f"a person's keypoints or truth are not {len(skeleton)} x 3")
        return Own(*arrays, reference, metric=data["metric"], skeleton=skeleton)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise MsposeError(f"{path}: not the JSON of `mspose evaluate --predictions` ({why})") from error


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
