"""How far off every keypoint of every person was, on disk: all that accuracies and comparisons are computed from, in a
twentieth of the bytes of the predictions.

A NumPy `.npz` of `distances` (P, K) float32, see `metrics.normalised_distances`, and `about`, a JSON text of the
metric and the skeleton.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.result_file import write_bytes
from keras_mspose.skeleton import Skeleton


def write_distances(path: Path, distances: np.ndarray, metric: str, skeleton: Skeleton) -> None:
    """Write one network's distances, (P, K) in reference lengths.

    Raises:
        MsposeError: the file cannot be written.
    """
    about = json.dumps({"metric": metric, "skeleton": skeleton.to_dict()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, distances=distances.astype(np.float32), about=np.array(about))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())


def read_distances(path: Path) -> tuple[np.ndarray, str, Skeleton]:
    """Distances (P, K), metric and skeleton.

    Raises:
        MsposeError: the file is missing or of another form.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            distances, about = found["distances"], json.loads(str(found["about"]))
        skeleton = Skeleton.from_dict(about["skeleton"])
        if distances.ndim != 2 or distances.shape[1] != len(skeleton):
            raise ValueError(f"distances are {distances.shape}, not persons x {len(skeleton)}")
        return distances, about["metric"], skeleton
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise MsposeError(f"{path}: not a file of distances ({type(error).__name__}: {error})") from error
