"""Leeds Sports Pose and Leeds Sports Pose Extended (Johnson and Everingham, BMVC 2010 and CVPR 2011).

    SOURCE/joints.mat          `joints`: LSP 3 x 14 x N (x, y, occluded), Extended 14 x 3 x N (x, y, labelled)
    SOURCE/images/im0001.jpg   LSP, four digits;  im00001.jpg  Extended, five digits

Neither has a person box, nor a split file: LSP's authors train on the first 1,000 persons and test on the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14
from tfrecords_tools import matlab, matlab_numbers, writer

if TYPE_CHECKING:
    from typing_extensions import Unpack

LSP_TRAIN = 1000
EXTENDED_VAL_SHARE = 0.1
_RANGE = re.compile(r"\s*(\d+)(?:-(\d+))?\s*:\s*([A-Za-z0-9_]+)\s*")


def convert(
    source: Path,
    out: Path,
    *,
    split: str | None = None,
    **how: Unpack[writer.How],
) -> RecordSet:
    """Convert LSP or LSP Extended, told apart by the shape of `joints`, to a record folder.

    Persons without any labelled keypoint are left out and counted in `notes["left_out"]`.

    Args:
        source: folder with `joints.mat` and `images`.
        out: the record folder to make.
        split: `1-7248:train,7249-8148:val`, ranges of person numbers from 1, both ends included; persons in no range
            are left out. By default LSP's first 1,000 persons are `train` and the rest `val`; of LSP Extended the last
            tenth (rounded) is `val` and the rest `train`.
        how: `skip_bad`, `overwrite`, `crop`, `workers`, see `writer.write`.

    Raises:
        MsposeError: folder, images or `joints.mat` missing or of another form, a split that does not fit, or what
            `writer.write` refuses.
    """
    source = Path(source)
    images = _images_folder(source)
    keypoints, extended = read(source / "joints.mat")
    count = len(keypoints)
    if split is None:
        first_val = count - round(count * EXTENDED_VAL_SHARE) if extended else min(LSP_TRAIN, count)
        numbers = {i: "train" if i <= first_val else "val" for i in range(1, count + 1)}
    else:
        numbers = parse_split(split, count)
    digits = 5 if extended else 4
    labelled = keypoints[..., 2].any(axis=1)
    unlabelled = sum(not labelled[i - 1] for i in numbers)

    def persons() -> Iterator[tuple[str, Person]]:
        for i in sorted(numbers):
            if labelled[i - 1]:
                name = f"im{i:0{digits}d}.jpg"
                yield numbers[i], Person(name, keypoints[i - 1], images / name, person_id=i)

    return writer.write(
        persons(),
        out,
        name="lspet" if extended else "lsp",
        skeleton=LSP14,
        metric="pck",
        source=str(source),
        options={"split": split},
        notes={"left_out": {"no labelled keypoint": unlabelled}} if unlabelled else None,
        **how,
    )


def read(path: Path) -> tuple[np.ndarray, bool]:
    """Read `joints.mat`.

    The joints are taken as they stand, as 0-based pixels. No document says from where they count; of 8,148 persons of
    LSP Extended 27 labels have a coordinate below 1 and one above width - 1: that is counting from 0.

    Returns:
        (N, 14, 3) x, y in photograph pixels and visibility, and whether it is LSP Extended. LSP's third row marks
        occluded joints, of which it labels all; Extended's marks labelled ones and knows nothing of occlusion.

    Raises:
        MsposeError: missing, unreadable, without `joints`, of another shape, or with flags other than 0 and 1.
    """
    if not path.is_file():
        raise MsposeError(f"{path}: missing; give the folder that holds joints.mat and images/")
    try:
        joints = matlab_numbers.load(path, "joints")
    except OSError as error:
        raise MsposeError(f"{path}: cannot be read ({error.strerror})") from error
    if joints is None:
        joints = matlab.load(path, "joints")
    if joints is None:
        raise MsposeError(f"{path}: no variable `joints`; expected LSP's or LSP Extended's joints.mat")
    extended = joints.shape[:2] == (14, 3)
    if joints.ndim != 3 or not (extended or joints.shape[:2] == (3, 14)) or joints.dtype.kind not in "fiu":
        raise MsposeError(
            f"{path}: `joints` is {' x '.join(map(str, joints.shape))} of {joints.dtype}, expected numbers, "
            "3 x 14 x N (LSP) or 14 x 3 x N (LSP Extended)"
        )
    keypoints = np.transpose(joints, (2, 0, 1) if extended else (2, 1, 0)).astype(np.float64)
    flags = keypoints[..., 2].copy()
    odd = np.argwhere(~np.isin(flags, (0, 1)))
    if len(odd):
        person, joint = odd[0]
        raise MsposeError(
            f"{path}: person {person + 1}, {LSP14.keypoints[joint]}: flag is {flags[person, joint]}, expected 0 or 1"
        )
    keypoints[..., 2] = 2 * flags if extended else 2 - flags
    return keypoints, extended


def parse_split(text: str, count: int) -> dict[int, str]:
    """`1-7248:train,7249-8148:val` to the split of each person number from 1; `5:val` is one person.

    Raises:
        MsposeError: another form, ranges that overlap, or numbers outside of 1 to `count`.
    """
    numbers: dict[int, str] = {}
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if not match:
            raise MsposeError(f"--split {text}: {part!r} is not FIRST-LAST:NAME, for example 1-900:train,901-1000:val")
        first, last, name = int(match[1]), int(match[2] or match[1]), match[3]
        if not 1 <= first <= last <= count:
            raise MsposeError(f"--split {text}: {part!r} must rise and lie within 1-{count}, the persons there are")
        both = next((i for i in range(first, last + 1) if i in numbers), None)
        if both:
            raise MsposeError(f"--split {text}: person {both} stands in {numbers[both]} and again in {part!r}")
        numbers.update(dict.fromkeys(range(first, last + 1), name))
    return numbers


def _images_folder(source: Path) -> Path:
    if not source.is_dir():
        raise MsposeError(f"{source}: no such folder; give the one that holds joints.mat and images/")
    images = source / "images"
    if not images.is_dir():
        raise MsposeError(f"{source}: no folder images/ in it; expected joints.mat and images/ side by side")
    if not any(images.glob("im*.jpg")):
        raise MsposeError(f"{images}: no images im*.jpg in it; unpack the data set's photographs there")
    return images
