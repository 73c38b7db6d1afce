"""What `mspose predict` does with one photograph: read, find, draw, write. Threads do several at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keras_mspose.crops import Photograph
from keras_mspose.detectors import Detector
from keras_mspose.errors import MsposeError
from keras_mspose.person_boxes import BoxFile
from keras_mspose.pose import Pose
from keras_mspose.pose_estimator import PoseEstimator, opened
from keras_mspose.result_file import write_bytes

PICTURES = ("png", "jpg", "none")
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Choices:
    """What is asked for, of every photograph and video alike.

    Attributes:
        box: a rectangle (4,) or square (3,), see `person_boxes`; None: see `boxes`.
        boxes: of each photograph; one without an entry has no person. None: see `detector`.
        detector: where the persons are. None: one person, from the whole photograph.
        looks, flip: see `PoseEstimator.predict`.
        pictures: `png` or `jpg`, form of the drawn photographs; with `none` nothing is drawn.
    """

    box: tuple[float, ...] | None = None
    boxes: BoxFile | None = None
    detector: Detector | None = None
    looks: int | None = None
    flip: bool = False
    pictures: str = "png"


def find(estimator: PoseEstimator, photograph: Photograph, path: Path, choices: Choices) -> list[Pose]:
    """The persons of a photograph.

    Raises:
        MsposeError: it cannot be decoded to its end, or a box is no good.
    """
    boxes: Any = choices.box
    if choices.boxes is not None:
        boxes = choices.boxes.of(path) or np.zeros((0, 4))
    return estimator.predict(photograph, boxes, looks=choices.looks, flip=choices.flip, detector=choices.detector)


def draw(photograph: Photograph, poses: list[Pose]) -> np.ndarray:
    """(H, W, 3) uint8 RGB with all persons drawn."""
    image = photograph.pixels()
    for pose in poses:
        image = pose.draw(image)
    return image


def write(path: Path, image: np.ndarray) -> None:
    """Write a drawn photograph as its suffix says, PNG or JPEG, beside its name first.

    Raises:
        MsposeError: the form does not take an image of that size, or the file cannot be written.
    """
    how = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    whole, encoded = cv2.imencode(path.suffix, image[..., ::-1], how)
    if not whole:  # a JPEG's sides have 65,500 pixels at most
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise MsposeError(f"{path}: {size} pixels cannot be written in this form; give --pictures png or none")
    write_bytes(path, encoded.tobytes())


def done(
    estimator: PoseEstimator, path: Path, name: str, picture: Path | None, choices: Choices
) -> list[dict[str, Any]]:
    """All stages of one photograph.

    Args:
        name: of the photograph in the results.
        picture: where to write what is drawn, None where nothing is.

    Returns:
        Its poses, as `Pose.to_dict` has them.

    Raises:
        MsposeError: the file cannot be read, or the picture not be written.
    """
    photograph = opened(path)
    poses = find(estimator, photograph, path, choices)
    if picture is not None:
        write(picture, draw(photograph, poses))
    return [replace(pose, image=name).to_dict() for pose in poses]
