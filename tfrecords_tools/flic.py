"""Frames Labeled In Cinema (Sapp and Taskar, CVPR 2013), upper bodies from films.

    SOURCE/examples.mat   `examples`: coords 2 x 29, filepath, imgdims, torsobox, istrain, istest for each person
    SOURCE/images/        the frames

Eleven of the 29 columns are labelled. The file names left and right as the observer sees a person who faces the camera:
"left" is the right of the picture in every single entry, also for those seen from behind. The labels stay so, and
`dataset.json` says it. Mirroring keeps the rule, so flips are right in training; a network trained on FLIC names the
sides of a person seen from behind the other way round than one trained on MPII or LSP. Pixels count from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import FLIC11
from tfrecords_tools import matlab, photographs, writer

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAT_NAME = "examples.mat"
COLUMNS = {  # of coords, from 0
    **{"left_shoulder": 0, "left_elbow": 1, "left_wrist": 2, "right_shoulder": 3, "right_elbow": 4, "right_wrist": 5},
    **{"left_hip": 6, "right_hip": 9, "left_eye": 12, "right_eye": 13, "nose": 16},
}
BOX_OVER_TORSO = 3.4
SIDES = (
    "observer-centric: left is the right of the picture, as for a person who faces the camera, whichever way a person "
    "is turned; flips exchange the names and keep that rule"
)


def convert(
    source: Path,
    out: Path,
    **how: Unpack[writer.How],
) -> RecordSet:
    """Convert FLIC to a record folder with the splits `train` and `test`.

    Args:
        source: folder with `examples.mat` and `images`.
        out: the record folder to make.
        how: `skip_bad`, `overwrite`, `crop`, `workers`, see `writer.write`.

    Raises:
        MsposeError: folder, images or `examples.mat` missing or of another form, or what `writer.write` refuses.
    """
    source = Path(source)
    if not source.is_dir():
        raise MsposeError(f"{source}: no such folder; give the one that holds {MAT_NAME} and images/")
    persons, left_out = read(source / MAT_NAME, source / "images")
    if not (source / "images").is_dir():
        raise MsposeError(f"{source}: no folder images/ in it; expected FLIC's frames there")
    return writer.write(
        persons,
        out,
        name="flic",
        skeleton=FLIC11,
        metric="pck",
        source=str(source),
        options={},
        notes={"sides": SIDES, **({"left_out": {"in neither split": left_out}} if left_out else {})},
        **how,
    )


def read(path: Path, images: Path) -> tuple[list[tuple[str, Person]], int]:
    """Read `examples.mat`; no photograph is opened.

    Args:
        path: the .mat file.
        images: folder of the frames.

    Returns:
        (`train` or `test`, person) in the file's order, with 0-based keypoints (11, 3) and the person box: a square
        about the torso box's centre, 3.4 times as wide as that is high; and how many persons are in neither split.

    Raises:
        MsposeError: missing, unreadable, without `examples`, or an entry of another form, by its number from 1.
    """
    if not path.is_file():
        raise MsposeError(f"{path}: missing; give the folder that holds {MAT_NAME} and images/")
    examples = matlab.load(path, "examples", squeeze_me=True)
    if getattr(getattr(examples, "dtype", None), "names", None) is None:
        raise MsposeError(f"{path}: no struct `examples`; expected FLIC's {MAT_NAME}")
    persons: list[tuple[str, Person]] = []
    left_out = 0
    for number, entry in enumerate(np.atleast_1d(examples), 1):
        try:
            split, person = _person(entry, number, images)
        except (TypeError, ValueError, IndexError) as error:
            raise MsposeError(f"{path}: entry {number}: {error}; expected FLIC's form") from error
        if split is None:
            left_out += 1
        else:
            persons.append((split, person))
    return persons, left_out


def _person(entry: np.void, number: int, images: Path) -> tuple[str | None, Person]:
    coords = np.asarray(entry["coords"], np.float64)
    if coords.shape != (2, 29):
        raise ValueError(f"coords are {' x '.join(map(str, coords.shape))}, expected 2 x 29")
    xy = coords[:, [COLUMNS[name] for name in FLIC11.keypoints]].T - 1
    labelled = np.isfinite(xy).all(axis=1)
    keypoints = np.where(labelled[:, None], np.column_stack([xy, np.full(len(xy), 2)]), 0.0)
    torso = np.asarray(entry["torsobox"], np.float64)
    if torso.shape != (4,) or not (torso[2:] > torso[:2]).all():
        raise ValueError(f"torsobox {torso} is not x1, y1, x2, y2")
    center = (torso[:2] + torso[2:]) / 2 - 1
    side = BOX_OVER_TORSO * (torso[3] - torso[1])
    name = str(entry["filepath"])
    box = (float(center[0]), float(center[1]), float(side))
    return _split(entry), Person(name, keypoints, photographs.inside(images, name), box, person_id=number)


def _split(entry: np.void) -> str | None:
    return "train" if entry["istrain"] else "test" if entry["istest"] else None
