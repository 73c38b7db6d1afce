"""Predictions on disk in our own form: what `mspose evaluate --predictions` writes. Others' are in `published_file`.

    {"format", "data", "split", "box", "flip", "looks", "scales", "metric", "skeleton", "persons": [
      {"image", "person_id", "keypoints": [[x, y, score], ...], "truth": [[x, y, visibility], ...], "reference"}, ...]}

Pixels are the photographs', counted from 0. `reference` is the metric's length in them, 0 where a person is not
counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mspose import geometry
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import METRICS
from keras_mspose.result_file import write_text
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    from keras_mspose.evaluation import Evaluation
    from keras_mspose.records import RecordSet

FORMAT = "keras_mspose/predictions/1"


@dataclass(frozen=True)
class Own:
    """A file of our own form.

    Attributes:
        predicted: (P, K, 3) x, y in photograph pixels from 0, score.
        truth: (P, K, 3) x, y, visibility.
        reference: (P,) the metric's length in photograph pixels, 0 where a person is not counted.
        metric: `pckh`, `pck` or `pck_box`.
        skeleton: of both.
        images: P names of photographs.
    """

    predicted: np.ndarray
    truth: np.ndarray
    reference: np.ndarray
    metric: str
    skeleton: Skeleton
    images: list[str]


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
        "scales": list(found.scales),
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
        if data["metric"] not in METRICS:
            raise MsposeError(f"{path}: metric is {data['metric']!r}, expected one of {', '.join(METRICS)}")
        persons, skeleton = data["persons"], Skeleton.from_dict(data["skeleton"])
        arrays = [np.array([person[key] for person in persons], np.float64) for key in ("keypoints", "truth")]
        reference = np.array([person["reference"] for person in persons], np.float64)
        if any(a.shape != (len(persons), len(skeleton), 3) for a in arrays) or reference.shape != (len(persons),):
            raise ValueError(f"a person's keypoints or truth are not {len(skeleton)} x 3")
        images = [str(person["image"]) for person in persons]
        return Own(*arrays, reference, metric=data["metric"], skeleton=skeleton, images=images)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise MsposeError(f"{path}: not the JSON of `mspose evaluate --predictions` ({why})") from error
