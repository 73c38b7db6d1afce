"""Person crops instead of whole photographs: records that are small and quick to decode.

Of a large photograph training needs the person and what scale, rotation and translation bring into view. That square is
cut out once, reduced with a filter that lets nothing alias, and compressed again, once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from keras_mspose import geometry
from keras_mspose.errors import MsposeError
from keras_mspose.records import Person

LEAST = 32  # pixels of a person box that anything can be learned from


@dataclass(frozen=True)
class Crop:
    """How a person is cut out.

    Attributes:
        pixels: side of the person box in the crop. A person who is smaller in the photograph is not enlarged.
        margin: side of what is kept over that of the person box. Training that turns a person by r and shrinks it by s
            sees up to (cos r + sin r) / (1 - s) of the box: 1.8 in the corners for 30 degrees and 0.25. What lies
            beyond the crop is black.
    """

    pixels: int
    margin: float = 1.5

    def __post_init__(self) -> None:
        if self.pixels < LEAST:
            raise MsposeError(f"crop: {self.pixels} pixels for a person, expected at least {LEAST}")
        if not (np.isfinite(self.margin) and self.margin >= 1):
            raise MsposeError(f"crop: margin {self.margin}, expected at least 1, the person box itself")


def cut(person: Person, photograph: Image.Image, crop: Crop) -> tuple[Person, Image.Image]:
    """Cut one person out.

    The box is the record's, or the square about the keypoints where there is none; a person with neither, or whose box
    lies beside the photograph, keeps all of it.

    Args:
        person: in the photograph's pixels, all of it finite.
        photograph: RGB.

    Returns:
        The person in the crop's pixels, with `crop` saying where it was, and the crop: the part of the square that
        lies on the photograph, at most `margin * pixels` wide and high.
    """
    (left, top, right, bottom), scale = _region(person, photograph.size, crop)
    size = [max(1, int((right - left) * scale + 1e-6)), max(1, int((bottom - top) * scale + 1e-6))]
    # What is left over of a pixel is left out: one scale for both axes keeps the person's shape.
    region = (left, top, min(left + size[0] / scale, photograph.width), min(top + size[1] / scale, photograph.height))
    if scale == 1.0:
        image = photograph.crop(tuple(round(edge) for edge in region))
    else:
        # Of Pillow's filters the quickest, BOX and HAMMING, move what they show by up to 0.15 pixels near scale 1.
        image = photograph.resize(size, Image.Resampling.BICUBIC, box=region)
    return _moved(person, left, top, scale), image


def _region(person: Person, size: tuple[int, int], crop: Crop) -> tuple[tuple[float, float, float, float], float]:
    """Left, top, right and bottom edge of what is kept, in photograph pixels from its left and top edge, and how many
    crop pixels a photograph pixel becomes."""
    whole = (0.0, 0.0, float(size[0]), float(size[1]))
    if person.box is not None:
        x, y, side = person.box
    elif person.keypoints[:, 2].any():
        (x, y), side = geometry.joints_box(person.keypoints)
    else:
        return whole, 1.0
    scale = min(1.0, crop.pixels / side)
    half = crop.margin * side / 2
    edges = [
        max(x + 0.5 - half, 0.0),
        max(y + 0.5 - half, 0.0),
        min(x + 0.5 + half, size[0]),
        min(y + 0.5 + half, size[1]),
    ]
    if edges[2] - edges[0] < 1 or edges[3] - edges[1] < 1:
        return whole, 1.0
    if scale == 1.0:  # whole pixels, which need no resampling
        edges = [np.floor(edges[0]), np.floor(edges[1]), np.ceil(edges[2]), np.ceil(edges[3])]
    return tuple(float(edge) for edge in edges), float(scale)


def _moved(person: Person, left: float, top: float, scale: float) -> Person:
    def move(x: float, y: float) -> tuple[float, float]:
        return (x + 0.5 - left) * scale - 0.5, (y + 0.5 - top) * scale - 0.5

    keypoints = person.keypoints.copy()
    keypoints[:, 0], keypoints[:, 1] = move(keypoints[:, 0], keypoints[:, 1])
    box, head = person.box, person.head_box
    return replace(
        person,
        keypoints=keypoints,
        box=None if box is None else (*move(*box[:2]), box[2] * scale),
        head_box=None if head is None else (*move(*head[:2]), *move(*head[2:])),
        head_size=person.head_size * scale,
        area=person.area * scale**2,
        crop=(left, top, scale),
    )
