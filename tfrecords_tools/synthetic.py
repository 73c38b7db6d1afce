"""Rendered persons as a record folder: data for trying things out, with keypoints and occlusion known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import figures, writer

HEAD_SHARE = 0.6  # PCKh's reference length over the head box's diagonal


def convert(
    out: Path,
    *,
    persons: int = 3000,
    val_persons: int | None = None,
    seed: int = 0,
    size: int = 192,
    overwrite: bool = False,
) -> RecordSet:
    """Render persons and write them as records. Person i looks the same however many are asked for.

    Args:
        out: record folder.
        persons: of the training split.
        val_persons: of the validation split, which never repeats a training person; 10 % as many where None.
        seed: of every person.
        size: side of a picture in pixels.

    Raises:
        MsposeError: a count below 1, or `out` is taken.
    """
    val_persons = max(1, persons // 10) if val_persons is None else val_persons
    if persons < 1 or val_persons < 1:
        raise MsposeError(f"persons and val_persons must be at least 1, got {persons} and {val_persons}")
    counts = {"train": persons, "val": val_persons}
    return writer.write(
        _persons(counts, seed, size),
        out,
        name="synthetic",
        skeleton=MPII16,
        metric="pckh",
        source="rendered by tfrecords_tools.figures",
        options={"persons": persons, "val_persons": val_persons, "seed": seed, "size": size},
        overwrite=overwrite,
        total=persons + val_persons,
    )


def _persons(counts: dict[str, int], seed: int, size: int) -> Iterator[tuple[str, Person]]:
    for stream, (split, count) in enumerate(counts.items()):
        for i in range(count):
            rng = np.random.default_rng([seed, stream, i])
            figure = figures.render(rng, size)
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
            x1, y1, x2, y2 = figure.head_box
            yield (
                split,
                Person(
                    image_name=f"{split}_{i:06d}.jpg",
                    keypoints=figure.keypoints,
                    image=cv2.imencode(".jpg", figure.image[..., ::-1], quality)[1].tobytes(),
                    box=figure.box,
                    head_box=figure.head_box,
                    head_size=HEAD_SHARE * math.hypot(x2 - x1, y2 - y1),
                    person_id=i,
                ),
            )
