"""One person to one record's bytes, after every check that training would otherwise pay for."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from keras_mspose.crops import ORIENTATION, TURNED
from keras_mspose.image_files import open_image, too_large
from keras_mspose.quiet import import_tensorflow
from keras_mspose.records import Person, encode
from keras_mspose.skeleton import Skeleton
from tfrecords_tools.cropping import Crop, cut

QUALITY = {"quality": 95, "subsampling": "4:4:4"}  # of photographs in other formats, which are compressed here, once
CROP_QUALITY = {"quality": 90, "subsampling": "4:2:0"}  # as cameras have it: half as much to decode
VISIBILITIES = frozenset((0, 1, 2))
LARGEST = 1e7  # pixels: nothing of a photograph is so far, and float32 tells neighbouring pixels apart up to here


class BadRecord(Exception):
    """Why one person cannot be written. Leaves this package only as a MsposeError or as a line in the notes."""


def encode_person(person: Person, skeleton: Skeleton, crop: Crop | None = None, *, upright: bool = False) -> bytes:
    """Check a person and its photograph, and serialise both.

    The bytes of an RGB or grey JPEG are copied untouched; any other photograph is compressed once, and so is a crop.
    Unlabelled keypoints are stored as 0, 0, 0.

    Args:
        person: in the pixels of the photograph as it is stored, or of the upright one.
        crop: cut the person out.
        upright: turn the photograph as its EXIF orientation says, and compress it anew where that changes it.

    Raises:
        BadRecord: a photograph that does not decode whole, or numbers that training could not take.
    """
    person = replace(person, keypoints=_checked_keypoints(person, skeleton))
    _check_numbers(person)
    try:
        data = person.image if isinstance(person.image, bytes) else _read(person.image)
    except OSError as error:
        raise BadRecord(f"cannot be read ({error.strerror})") from error
    if crop is None:
        jpeg, size = _photograph(data, upright)
    else:
        person, image = cut(person, _pixels(data, upright), crop)
        person = replace(person, keypoints=np.where(person.keypoints[:, 2:] > 0, person.keypoints, 0.0))
        jpeg, size = _compressed(image, CROP_QUALITY), image.size
    return encode(person, jpeg, size)


def _read(path: Path) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _check_numbers(person: Person) -> None:
    who = f"person {person.person_id}"
    if person.box is not None and not (_are_lengths(*person.box) and person.box[2] > 0):
        raise BadRecord(f"{who}: box {person.box} is not a centre and a side above 0")
    if person.head_box is not None and not _are_lengths(*person.head_box):
        raise BadRecord(f"{who}: head box {person.head_box} is not four numbers")
    if not 0 <= person.head_size < LARGEST:
        raise BadRecord(f"{who}: head size is {person.head_size}")
    if not 0 <= person.area < LARGEST**2:
        raise BadRecord(f"{who}: area is {person.area}")
    if not abs(person.person_id) < 2**63:
        raise BadRecord(f"{who}: the number has more than 63 bits")


def _are_lengths(*values: float) -> bool:
    return all(abs(value) < LARGEST for value in values)  # NaN is not below anything


def _checked_keypoints(person: Person, skeleton: Skeleton) -> np.ndarray:
    keypoints = np.asarray(person.keypoints, np.float64)
    if keypoints.shape != (len(skeleton), 3):
        raise BadRecord(f"person {person.person_id}: keypoints {keypoints.shape}, expected {(len(skeleton), 3)}")
    visibility = keypoints[:, 2]
    if not VISIBILITIES.issuperset(visibility.tolist()):
        raise BadRecord(f"person {person.person_id}: visibility other than 0, 1, 2: {sorted(set(visibility))}")
    labelled = visibility > 0
    wrong = labelled & ~(np.abs(keypoints).max(axis=1) < LARGEST)  # the maximum with NaN is NaN, which is not below
    if wrong.any():
        names = ", ".join(n for n, w in zip(skeleton.keypoints, wrong, strict=True) if w)
        what = "on no photograph" if np.isfinite(keypoints[wrong]).all() else "not a number"
        raise BadRecord(f"person {person.person_id}: labelled but {what}: {names}")
    # a NaN that is merely unlabelled would still spoil a loss: NaN times weight 0 is NaN
    return np.where(labelled[:, None], keypoints, 0.0)


def _photograph(data: bytes, upright: bool) -> tuple[bytes, tuple[int, int]]:
    """A photograph's JPEG bytes and (width, height), after reading all of it once, as training will."""
    if not (upright and _is_turned(data)) and (found := _as_it_is(data)):
        return found
    image = _pixels(data, upright)
    return _compressed(image, QUALITY), image.size


def _is_turned(data: bytes) -> bool:
    try:
        with open_image(io.BytesIO(data)) as photograph:
            return photograph.getexif().get(ORIENTATION) in TURNED
    except Exception:  # what is wrong with it is said where it is read
        return False


def _as_it_is(data: bytes) -> tuple[bytes, tuple[int, int]] | None:
    """The same bytes and (width, height), where they are a JPEG that training reads; None for other files."""
    if size := _faultless(data):
        return data, size
    import_tensorflow()
    import tensorflow as tf

    try:
        with open_image(io.BytesIO(data)) as photograph:
            # MPO is a JPEG with further pictures behind it, which decoders pass over
            if photograph.format in ("JPEG", "MPO") and photograph.mode in ("RGB", "L"):
                # A file cut in half has a whole header; and Pillow reads some damaged files that TensorFlow refuses.
                tf.io.decode_jpeg(data, channels=3, ratio=8)
                return data, photograph.size
    except tf.errors.InvalidArgumentError as error:
        raise BadRecord("broken image (not a whole JPEG file)") from error
    except Exception as error:  # Pillow's decoders raise types of many kinds
        raise BadRecord(_why(error)) from error
    return None


def _faultless(data: bytes) -> tuple[int, int] | None:
    """(width, height) of an RGB or grey JPEG in which libjpeg-turbo finds nothing to warn of, None for all others.

    TensorFlow decodes all of these, and some others, at more cost. At an eighth of its size and without its colours all
    of a file is still read, in half the time.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or too_large(width, height):
            return None
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError:
        return None
    return width, height


def _pixels(data: bytes, upright: bool) -> Image.Image:
    try:
        with open_image(io.BytesIO(data)) as photograph:
            photograph.load()
            shown = ImageOps.exif_transpose(photograph) if upright else photograph
            mode, rgb = shown.mode, shown.convert("RGB")
    except Exception as error:
        raise BadRecord(_why(error)) from error
    if mode.startswith(("I", "F")):
        raise BadRecord(f"pixels are {mode}, expected 8 bits a channel")
    return rgb


def _why(error: Exception) -> str:
    return f"broken image ({' '.join(str(error).split()) or type(error).__name__})"


def _compressed(image: Image.Image, how: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **how)
    return buffer.getvalue()
