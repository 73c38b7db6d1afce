"""The TFRecord schema of one person, and the folder that holds them. The only place that knows feature names.

A record folder is `dataset.json` beside `SPLIT-00000-of-00004.tfrecord` files. Each record is one person with the
encoded photograph. Coordinates are 0-based photograph pixels, the pixel's centre at the integer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from keras_mspose import example
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    import tensorflow as tf

FORMAT = "keras_mspose/1"
INDEX_NAME = "dataset.json"
METRICS = {"pckh": "PCKh", "pck": "PCK", "pck_box": "PCK-box"}
# what TensorFlow says of records that cannot be read, and of nothing else
DAMAGED = (
    *("corrupted record", "truncated record", "Could not parse example", "Example", "Key: ", "Feature: "),
    *("JPEG", "PNG", "GIF", "BMP", "Input is empty", "image file format"),
)
Count = Annotated[int, Field(ge=0)]
# in the folder itself: never a path that leads out of it
ShardName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]+\.tfrecord$")]
WHOLE = (0.0, 0.0, 1.0)  # the crop of a record that holds the whole photograph


@dataclass
class Person:
    """One person as a converter hands it to the writer. Pixels are the photograph's.

    Attributes:
        image_name: the photograph's name inside its data set, as reports print it.
        keypoints: (K, 3) x, y, visibility (0 not labelled, 1 occluded, 2 visible).
        box: square person box (centre x, centre y, side) where the data set defines one, else None.
        head_box: (x1, y1, x2, y2) where the data set has one, else None.
        head_size: reference length of PCKh, 0.6 times the head box's diagonal, or 0 where there is none.
        head_size_estimated: the length is the stand-in 0.75 * |neck - head top|.
        person_id: running number of the person in its source.
        activity: what the person does, where the data set says.
        area: of the person's segment in square pixels, which OKS needs, or 0.
        image: path of the photograph, or its encoded bytes.
        crop: of a person crop, where it was: left and top edge in photograph pixels from the photograph's own edges,
            and crop pixels a photograph pixel; so that photograph x = (crop x + 0.5) / crop[2] + crop[0] - 0.5.
    """

    image_name: str
    keypoints: np.ndarray
    image: Path | bytes
    box: tuple[float, float, float] | None = None
    head_box: tuple[float, float, float, float] | None = None
    head_size: float = 0.0
    head_size_estimated: bool = False
    person_id: int = 0
    activity: str = ""
    area: float = 0.0
    crop: tuple[float, float, float] = WHOLE


@checked(config=ConfigDict(strict=True))
class _Shard:
    file: ShardName
    persons: Count
    sha256: str


@checked(config=ConfigDict(strict=True))
class _Split:
    persons: Count
    images: Count
    shards: list[_Shard]


@checked(config=ConfigDict(strict=True))
class _Index:
    """The form of `dataset.json`."""

    name: str
    metric: Literal["pckh", "pck", "pck_box"]
    skeleton: dict[str, Any]
    splits: dict[str, _Split]
    source: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordSet:
    """What `dataset.json` says about a record folder.

    `splits` maps a split's name to `{"persons": int, "images": int, "shards": [{"file", "persons", "sha256"}]}`.
    `metric` is the data set's usual accuracy: `pckh` (head size), `pck` (torso) or `pck_box` (person box).
    """

    folder: Path
    name: str
    skeleton: Skeleton
    metric: str
    splits: dict[str, dict]
    source: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str | Path) -> RecordSet:
        """Read a record folder's index.

        Raises:
            MsposeError: no such folder, no index, or one of another format.
        """
        folder = Path(folder)
        path = folder / INDEX_NAME
        if not path.is_file():
            raise MsposeError(f"{folder}: not a record folder (no {INDEX_NAME}); make one with `mspose convert`")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise MsposeError(f"{path}: not JSON ({error}); convert again") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else type(data).__name__
            raise MsposeError(f"{path}: format is {found!r}, expected {FORMAT!r}; convert again with this version")
        try:
            index = TypeAdapter(_Index).validate_json(json.dumps({k: v for k, v in data.items() if k != "format"}))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
            raise MsposeError(f"{path}: {problems}; convert again") from error
        try:
            skeleton = Skeleton.from_dict(index.skeleton)
        except MsposeError as error:
            raise MsposeError(f"{path}: {error}; convert again") from error
        kept = ("name", "metric", "splits", "source", "options", "notes")
        return cls(folder=folder, skeleton=skeleton, **{key: data[key] for key in kept if key in data})

    def to_dict(self) -> dict:
        """The content of `dataset.json`."""
        return {
            "format": FORMAT,
            "name": self.name,
            "metric": self.metric,
            "source": self.source,
            "options": self.options,
            "notes": self.notes,
            "splits": self.splits,
            "skeleton": self.skeleton.to_dict(),
        }

    def persons(self, split: str) -> int:
        """How many persons a split holds."""
        return int(self._split(split)["persons"])

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parse one or several records of this set, as `parse` does."""
        return parse(serialized, len(self.skeleton))

    def files(self, split: str) -> list[str]:
        """Paths of a split's shards, after a check that each exists, is as long as its records say, and begins with one
        of this schema.

        Raises:
            MsposeError: unknown split, missing or cut shard, or a shard of another schema.
        """
        paths = [self.folder / shard["file"] for shard in self._split(split)["shards"]]
        for path in paths:
            _check_shard(path, len(self.skeleton))
        return [str(p) for p in paths]

    def _split(self, split: str) -> dict:
        if split not in self.splits or not self.splits[split]["persons"]:
            known = ", ".join(f"{n} ({s['persons']})" for n, s in self.splits.items())
            raise MsposeError(f"{self.folder}: no persons in a split {split!r}; it has {known}")
        return self.splits[split]


def encode(person: Person, jpeg: bytes, size: tuple[int, int]) -> bytes:
    """Serialise one person as a `tf.train.Example`.

    Args:
        person: the person; its `image` is not read.
        jpeg: the photograph's encoded bytes.
        size: (width, height) of the photograph in pixels.
    """
    return example.serialised(
        {
            "format": FORMAT.encode(),
            "image": jpeg,
            "image/name": person.image_name.encode(),
            "image/size": list(size),
            "person/id": [person.person_id],
            "person/keypoints": np.asarray(person.keypoints),
            "person/box": tuple(person.box or (0, 0, 0)),
            "person/head_box": tuple(person.head_box or (0, 0, 0, 0)),
            "person/head_size": (person.head_size,),
            "person/head_size_estimated": [int(person.head_size_estimated)],
            "person/activity": person.activity.encode(),
            "person/area": (person.area,),
            "image/crop": tuple(person.crop),
        }
    )


def parse(serialized: tf.Tensor, keypoints: int) -> dict[str, tf.Tensor]:
    """Parse serialised records, inside or outside of tf.data.

    Args:
        serialized: () string, or (B,) of several.
        keypoints: K, the number of keypoints of the skeleton.

    Returns:
        Of each of several, with a leading dimension of B in all:
        `format`, `image`, `image_name` () string, `image_size` (2,) float (width, height), `person_id` () int64,
        `keypoints` (K, 3), `box` (3,) centre x, y and side (side 0: none), `head_box` (4,), `head_size` (),
        `head_size_estimated` () int64, `activity` () string, `area` () in square pixels, and `origin` (3,): `crop`
        of `Person`. Lengths are in pixels of `image`.
    """
    import tensorflow as tf

    one = tf.io.FixedLenFeature
    fields = {
        "format": one([], tf.string, ""),
        "image": one([], tf.string),
        "image/name": one([], tf.string),
        "image/size": one([2], tf.int64),
        "person/id": one([], tf.int64),
        "person/keypoints": one([keypoints, 3], tf.float32),
        "person/box": one([3], tf.float32),
        "person/head_box": one([4], tf.float32),
        "person/head_size": one([], tf.float32),
        "person/head_size_estimated": one([], tf.int64, 0),
        "person/activity": one([], tf.string, ""),
        "person/area": one([], tf.float32, 0.0),
        "image/crop": one([3], tf.float32, WHOLE),
    }
    found = tf.io.parse_example(serialized, fields)
    return {
        "format": found["format"],
        "image": found["image"],
        "image_name": found["image/name"],
        "image_size": tf.cast(found["image/size"], tf.float32),
        "person_id": found["person/id"],
        "keypoints": found["person/keypoints"],
        "box": found["person/box"],
        "head_box": found["person/head_box"],
        "head_size": found["person/head_size"],
        "head_size_estimated": found["person/head_size_estimated"],
        "activity": found["person/activity"],
        "area": found["person/area"],
        "origin": found["image/crop"],
    }


@contextmanager
def damage_named(data: RecordSet, split: str, *more: RecordSet) -> Iterator[None]:
    """Say in one line that records are damaged, where TensorFlow stops reading in the middle of a file. It does not say
    in which one of several data sets that is.

    Raises:
        MsposeError: a record in `split` is cut, altered, of another form, or its photograph cannot be decoded.
    """
    import tensorflow as tf

    try:
        yield
    except UnicodeDecodeError as error:  # TensorFlow cannot say that it is no Example: its message holds the bytes
        raise MsposeError(f"{data.folder}: a damaged record in split {split!r}; convert again") from error
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        message = " ".join(str(error.message).split())
        ours = any(sign in message for sign in DAMAGED)
        if not ours:
            raise
        folders = " or ".join(str(one.folder) for one in (data, *more))
        raise MsposeError(
            f"{folders}: a damaged record in split {split!r}; convert again, or copy the folder again ({message})"
        ) from error


def whole_records(path: Path) -> tuple[int, bool]:
    """How many records a file holds by the lengths that it declares, and whether nothing is left over behind them.

    Only those may be read: TensorFlow ends the process over a length that no memory holds.
    """
    count, at = 0, 0
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while at < size:
            file.seek(at)
            # 8 bytes of length, 4 of its checksum, the record, 4 of its checksum
            head = file.read(8)
            at += 16 + int.from_bytes(head, "little")
            if len(head) < 8 or at > size:
                return count, False
            count += 1
    return count, True


def _check_shard(path: Path, keypoints: int) -> None:
    import tensorflow as tf

    if not path.is_file():
        raise MsposeError(f"{path}: named in {INDEX_NAME} but missing; convert again")
    count, nothing_left = whole_records(path)
    if not nothing_left:
        where = f"cut short or altered behind record {count}"
        raise MsposeError(f"{path}: not a readable TFRecord file ({where}); convert again, or copy the folder again")
    try:
        example = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(str(path)))).numpy())
    except StopIteration:
        raise MsposeError(f"{path}: holds no record though {INDEX_NAME} counts some; convert again") from None
    except Exception as error:  # TensorFlow and protobuf raise types of their own here
        raise MsposeError(f"{path}: not a readable TFRecord file ({type(error).__name__}); convert again") from error
    feature = example.features.feature
    said = feature["format"].bytes_list.value if "format" in feature else ()
    written = said[0].decode(errors="replace") if said else "none"
    if written != FORMAT:
        raise MsposeError(f"{path}: record schema is {written!r}, expected {FORMAT!r}; convert with `mspose convert`")
    values = len(feature["person/keypoints"].float_list.value)
    if values != 3 * keypoints:
        raise MsposeError(f"{path}: {values} keypoint numbers a person, expected {3 * keypoints}; convert again")
