"""An embedded data set: rendered persons with MPII's keypoints and true occlusion flags, as a record folder.

Person i of a split comes from a random stream of its own, so that a larger set holds the smaller one's persons, and
neither the number of processes nor their order changes a byte.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np

from keras_mspose.cores import own_cores
from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import writer
from tfrecords_tools.rendering.figure import render

SPLITS = ("train", "val")
WINDOW = 512  # persons that the processes are given at a time
WORTH_PROCESSES = 256  # fewer persons are rendered before the processes have started
HEAD_SIZE = 0.6  # of the head box's diagonal: PCKh


def convert(
    out: Path,
    *,
    persons: int = 3000,
    val_persons: int | None = None,
    seed: int = 0,
    size: int = 192,
    overwrite: bool = False,
    workers: int | None = None,
) -> RecordSet:
    """Render persons and write them as a record folder with the splits `train` and `val`.

    A script that calls this for many persons with more than one worker needs `if __name__ == "__main__":` about its
    own code, as always where processes are started.

    Args:
        out: the record folder to make.
        persons: how many to train on.
        val_persons: how many to evaluate on, of a random stream of their own; by default a tenth of `persons`.
        seed: of every picture, and of the order of the split `train`.
        size: height and width of the pictures in pixels.
        overwrite: replace `out` if it is a record folder.
        workers: processes that render; by default one a core.

    Raises:
        MsposeError: a number is out of its range, `out` is in the way or cannot be written.
    """
    val_persons = max(1, persons // 10) if val_persons is None else val_persons
    ranges = {"persons": (persons, 1), "val_persons": (val_persons, 0), "seed": (seed, 0), "size": (size, 64)}
    ranges["workers"] = (1 if workers is None else workers, 1)
    for name, (value, least) in ranges.items():
        if value < least:
            raise MsposeError(f"synthetic: {name} is {value}, expected at least {least}")
    return writer.write(
        ((split, i) for split, count in zip(SPLITS, (persons, val_persons), strict=True) for i in range(count)),
        out,
        name="synthetic",
        skeleton=MPII16,
        metric="pckh",
        source=f"rendered by keras_mspose, seed {seed}",
        options={"persons": persons, "val_persons": val_persons, "seed": seed, "size": size},
        make=partial(_render, seed=seed, size=size, processes=workers),
        overwrite=overwrite,
        workers=workers,
        seed=seed,
    )


def make_person(job: tuple[str, int], seed: int = 0, size: int = 192) -> Person:
    """Render and photograph one person. Needs no TensorFlow.

    Args:
        job: the split, and the person's number in it.
        seed: of the data set.
        size: height and width of the picture in pixels.
    """
    split, number = job
    # [seed, number] and [seed, number, 0] are one stream to NumPy; the 1 makes another for validation.
    rng = np.random.default_rng([seed, number] if split == SPLITS[0] else [seed, number, SPLITS.index(split)])
    figure = render(rng, size)
    x1, y1, x2, y2 = figure.head_box
    return Person(
        image_name=f"{split}/{number:06d}.jpg",
        keypoints=figure.keypoints,
        image=photograph(figure.image, rng),
        box=figure.box,
        head_box=figure.head_box,
        head_size=HEAD_SIZE * math.hypot(x2 - x1, y2 - y1),
        person_id=number,
    )


def photograph(image: np.ndarray, rng: np.random.Generator) -> bytes:
    """A JPEG of the image as a hurried camera takes it: uneven light, wrong colours, blur, noise, compression.

    Args:
        image: (H, W, 3) uint8 RGB.
        rng: where every choice comes from.
    """
    height, width = image.shape[:2]
    levels = np.linspace(0, 1, 256)[:, None] ** rng.uniform(0.75, 1.25)
    levels = 255 * levels * rng.uniform(0.85, 1.2) * rng.normal(1, 0.05, 3)
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])
    light = cv2.resize(
        rng.uniform(0.72, 1.15, (3, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    blur = rng.random()
    if blur < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
    elif blur < 0.58:
        image = cv2.filter2D(image, -1, _streak(rng.uniform(0, np.pi), rng.uniform(1.5, 4)))
    noise = rng.standard_normal(image.shape, np.float32) * float(rng.uniform(0.5, 8))
    image = np.clip(image * light[..., None] + noise, 0, 255).astype(np.uint8)
    quality = int(rng.integers(50, 96))
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise MsposeError("OpenCV cannot write JPEG here; install opencv-python-headless from its own wheels")
    return jpeg.tobytes()


def _streak(angle: float, length: float) -> np.ndarray:
    """(7, 7) kernel that smears evenly about the middle: it must not move the keypoints."""
    steps = np.linspace(-length / 2, length / 2, 25)
    columns, rows = np.round(3 + np.cos(angle) * steps).astype(int), np.round(3 + np.sin(angle) * steps).astype(int)
    kernel = np.zeros((7, 7), np.float32)
    np.add.at(kernel, (rows, columns), 1 / steps.size)
    return kernel


def _render(jobs: Iterator[tuple[str, int]], seed: int, size: int, processes: int | None) -> Iterator[Person]:
    make = partial(make_person, seed=seed, size=size)
    cores = len(own_cores())
    first = list(islice(jobs, WORTH_PROCESSES))
    if (processes or cores) == 1 or len(first) < WORTH_PROCESSES:
        yield from map(make, chain(first, jobs))
        return
    # Spawned, not forked: a fork of a process in which TensorFlow runs threads can hang.
    try:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes or cores, spawn, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            everyone = chain(first, jobs)
            while window := list(islice(everyone, WINDOW)):
                yield from pool.map(make, window, chunksize=32)
    except BrokenProcessPool as error:
        raise MsposeError(
            "synthetic: a rendering process died; call convert under `if __name__ == '__main__':`, or with workers=1"
        ) from error
