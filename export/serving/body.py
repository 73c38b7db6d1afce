"""The body of a predict request: TF Serving's row form, checked before anything is decoded.

    {"instances": [{"b64": "..."}]}
    {"instances": [{"image_bytes": {"b64": "..."}, "boxes": [cx, cy, side]}], "signature_name": "serving_boxes"}
    {"instances": [[[[r, g, b], ...], ...]], "signature_name": "crops"}

TF Serving needs the signature's name wherever boxes are given; here the field is enough, and `box` is taken for it too.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.serving.refusal import Refused
from keras_mspose.crops import NotAnImage, Photograph, TooManyPixels
from keras_mspose.person_boxes import SMALLEST, TOO_SMALL

PHOTOGRAPHS, BOXED, CROPS = SIGNATURES = ("serving_default", "serving_boxes", "crops")
IMAGE, BOX, BOXES = "image_bytes", "box", "boxes"
WIDEST = 16  # a box's side over the photograph's longer one


@dataclass(frozen=True)
class Instance:
    """One person asked for.

    Attributes:
        photograph: not decoded yet.
        box: (3,) centre x, centre y, side in photograph pixels, or None for the whole photograph.
    """

    photograph: Photograph
    box: np.ndarray | None


def parse(body: bytes, crop_size: tuple[int, int], most: int) -> list[Instance] | np.ndarray:
    """Read a body.

    Args:
        crop_size: (H, W) of the network's crops.
        most: instances of one request.

    Returns:
        The instances; or, for the signature `crops`, (B, H, W, 3) uint8.

    Raises:
        Refused: with the status and the reason of whatever is wrong.
    """
    if not body:
        raise Refused(400, 'the body is empty; expected JSON with "instances"')
    _check_brackets(body, crop_size, most)
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON ({error})") from error
    if not isinstance(said, dict) or not isinstance(said.get("instances"), list):
        raise Refused(400, 'expected an object with a list "instances"')
    if unknown := set(said) - {"instances", "signature_name"}:
        raise Refused(400, f"unknown field {min(unknown)!r:.80}; expected instances and signature_name")
    signature, instances = said.get("signature_name") or PHOTOGRAPHS, said["instances"]
    if signature not in SIGNATURES:
        raise Refused(400, f"signature_name {signature!r:.80}: expected one of {', '.join(SIGNATURES)}")
    if not instances:
        raise Refused(400, "instances is empty")
    if len(instances) > most:
        raise Refused(413, f"{len(instances)} instances, at most {most} in a request")
    if signature == CROPS:
        return _crops(instances, crop_size)
    return [_instance(one, f"instances[{i}]", signature == BOXED) for i, one in enumerate(instances)]


def _check_brackets(body: bytes, crop_size: tuple[int, int], most: int) -> None:
    """A list or an object of a few bytes takes a hundred and more once it is read: no more of them are read than the
    largest requests have, which are `most` crops, and `most` photographs with boxes."""
    height, width = crop_size
    lists, objects = 1 + most * (1 + height + height * width), 1 + 2 * most
    if body.count(b"[") > lists or body.count(b"{") > objects:
        raise Refused(413, f"more lists or objects than instances can have, at most {most} in a request")


def _instance(said: Any, where: str, needs_box: bool) -> Instance:
    if isinstance(said, dict) and "b64" in said:
        said = {IMAGE: said}
    if not isinstance(said, dict) or not isinstance(said.get(IMAGE), dict):
        raise Refused(
            400, f'{where}: expected {{"b64": ...}} or {{"{IMAGE}": {{"b64": ...}}, "{BOXES}": [cx, cy, side]}}'
        )
    if unknown := set(said) - {IMAGE, BOX, BOXES}:
        raise Refused(400, f"{where}: unknown field {min(unknown)!r:.80}; expected {IMAGE} and {BOXES}")
    photograph = _photograph(said[IMAGE].get("b64"), where)
    box = said.get(BOXES, said.get(BOX))
    if box is None and needs_box:
        raise Refused(400, f"{where}: the signature {BOXED} needs {BOXES}: [cx, cy, side]")
    return Instance(photograph, None if box is None else _box(box, photograph.size, where))


def _photograph(text: Any, where: str) -> Photograph:
    if not isinstance(text, str):
        raise Refused(400, f"{where}: b64 must be a string of base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"{where}: b64 is not base64 ({error})") from error
    if not data:
        raise Refused(400, f"{where}: the image is empty")
    try:
        return Photograph(data)
    except NotAnImage as error:
        raise Refused(415, f"{where}: {error}") from error
    except TooManyPixels as error:
        raise Refused(413, f"{where}: the image {error}") from error


def _box(said: Any, size: tuple[int, int], where: str) -> np.ndarray | None:
    """The box (3,), or None for the whole photograph, which a side of 0 or below stands for."""
    try:
        box = np.asarray(said, np.float32)
        good = box.shape == (3,) and np.isfinite(box).all()
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good or any(isinstance(value, bool | str) for value in said):
        raise Refused(400, f"{where}: a box must be three numbers: centre x, centre y and side in pixels")
    x, y, side = (float(value) for value in box)
    if side <= 0:
        return None
    if box[2] < SMALLEST:
        raise Refused(422, f"{where}: the box [{x:g}, {y:g}, {side:g}]: {TOO_SMALL}")
    width, height = size
    if x + side / 2 <= -0.5 or y + side / 2 <= -0.5 or x - side / 2 >= width - 0.5 or y - side / 2 >= height - 0.5:
        raise Refused(422, f"{where}: the box [{x:g}, {y:g}, {side:g}] lies outside the image of {width} x {height}")
    if side > WIDEST * max(size):
        raise Refused(
            422, f"{where}: the box's side {side:g} is more than {WIDEST} times the image's {width} x {height}"
        )
    return box


def _crops(instances: list[Any], crop_size: tuple[int, int]) -> np.ndarray:
    shape = (*crop_size, 3)
    crops = np.empty((len(instances), *shape), np.uint8)
    for i, one in enumerate(instances):
        one = one.get(CROPS) if isinstance(one, dict) else one
        try:
            pixels = np.asarray(one)
        except ValueError:
            pixels = np.empty(0)
        if pixels.shape != shape or pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
            wanted = f"{shape[0]} rows of {shape[1]} pixels of 3 whole numbers, 0 to 255"
            raise Refused(400, f"instances[{i}]: a crop must be {wanted}")
        crops[i] = pixels
    return crops
