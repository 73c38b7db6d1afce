"""The truth that published predictions are scored against: MPII's validation persons with their head boxes.

The file is `detections_our_format.mat`, which Tompson et al. (CVPR 2015) released and evaluation code has shared since:

    pos_gt_src     16 x 2 x P   joints in MPII's order, pixels from 1
    jnt_missing    16 x P       1 where a joint is not labelled
    headboxes_src  2 x 2 x P    (corner, x or y, person)
    pos_pred_src   16 x 2 x P   their own predictions
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import MPII16

HEAD_SHARE = 0.6  # of the head box's diagonal: the head size of PCKh
FIELDS = ("pos_gt_src", "jnt_missing", "headboxes_src")


@dataclass(frozen=True)
class Truth:
    """Labelled persons.

    Attributes:
        keypoints: (P, 16, 3) x, y in photograph pixels from 0, and 2 where labelled, else 0.
        head_size: (P,) in photograph pixels.
    """

    keypoints: np.ndarray
    head_size: np.ndarray


def read_truth(path: Path) -> Truth:
    """Read the truth file.

    Raises:
        MsposeError: missing, not MATLAB, without one of its variables, or of another shape.
    """
    found = read_mat(path, FIELDS)
    lacking = [name for name in FIELDS if name not in found]
    if lacking:
        heads = "headboxes_src" in lacking
        what = "no head boxes (headboxes_src), which PCKh divides by" if heads else f"no {', '.join(lacking)}"
        raise MsposeError(f"{path}: {what}; expected detections_our_format.mat of the MPII validation set")
    joints, missing, boxes = (np.asarray(found[name], np.float64) for name in FIELDS)
    persons = joints.shape[-1]
    shapes = {"pos_gt_src": (16, 2, persons), "jnt_missing": (16, persons), "headboxes_src": (2, 2, persons)}
    for name, array in zip(FIELDS, (joints, missing, boxes), strict=True):
        if array.shape != shapes[name]:
            raise MsposeError(
                f"{path}: {name} is {_shape(array)}, expected {' x '.join(map(str, shapes[name]))}, one column a person"
            )
    xy = joints.transpose(2, 0, 1) - 1
    labelled = missing.T == 0
    if not np.isfinite(xy[labelled]).all():
        person, joint = np.argwhere(labelled & ~np.isfinite(xy).all(axis=-1))[0]
        raise MsposeError(f"{path}: person {person + 1}, {MPII16.keypoints[joint]}: labelled but not a number")
    head_size = HEAD_SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    if not (np.isfinite(head_size) & (head_size > 0)).all():
        person = int(np.argmin(np.isfinite(head_size) & (head_size > 0)))
        raise MsposeError(f"{path}: person {person + 1}: head box {boxes[..., person].tolist()} has no size")
    return Truth(np.concatenate([xy, 2.0 * labelled[..., None]], axis=-1), head_size)


def read_mat(path: Path, names: tuple[str, ...], **how: Any) -> dict[str, Any]:
    """Those of the named variables that a MATLAB file has, of version 7.3 too as far as they are arrays of numbers.

    Args:
        how: see `scipy.io.loadmat`.

    Raises:
        MsposeError: missing or unreadable.
    """
    import h5py
    from scipy.io import loadmat

    if not Path(path).is_file():
        raise MsposeError(f"{path}: no such file")
    try:
        if h5py.is_hdf5(path):  # MATLAB's version 7.3, which counts axes from the other end
            with h5py.File(path) as file:
                arrays = {name: file[name] for name in names if isinstance(file.get(name), h5py.Dataset)}
                return {name: array[()].T for name, array in arrays.items() if array.dtype.kind in "fiu"}
        return {k: v for k, v in loadmat(path, variable_names=list(names), **how).items() if k in names}
    except Exception as error:  # SciPy raises types of many kinds for a file that is not MATLAB's
        raise MsposeError(f"{path}: not a readable MATLAB file ({error}); download it again") from error


def _shape(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))
