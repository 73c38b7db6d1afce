"""What `input_pipeline.py` compares, each an endless generator of how many images it has just done, and the process
that runs one of them on one core when asked."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from keras_mspose import geometry
from keras_mspose.config import RunConfig
from keras_mspose.records import RecordSet

SIZE, HEATMAP, BATCH = 256, 64, 16
WARM_UP = 5.0  # seconds: XLA compiles, tf.data finds out how much to do at once
LEAD_IN = 0.4  # seconds: what was prepared while the others ran is used up
STAGES = "stages"  # asked for instead of seconds


@dataclass
class Loaded:
    """A record as a data set's list holds it."""

    jpeg: np.ndarray  # (n,) uint8
    keypoints: np.ndarray  # (K, 3)
    center: np.ndarray
    side: float


LIST = "people.pickle"  # in a record folder, for the loaders that are compared with ours: they start without TensorFlow


def load(folder: Path) -> tuple[list[Loaded], list[int]]:
    """All persons of a record folder's training split, and the order in which a flip exchanges keypoints."""
    return pickle.loads((folder / LIST).read_bytes())


def write_list(folder: Path) -> None:
    """Write what `load` reads."""
    import tensorflow as tf

    from keras_mspose import person_truth, records

    data = RecordSet.load(folder)
    found = []
    for record in tf.data.TFRecordDataset(data.files("train")):
        person = records.parse(record, len(data.skeleton))
        center, side = person_truth.person_box(person, "record")
        jpeg = np.frombuffer(person["image"].numpy(), np.uint8)
        found.append(Loaded(jpeg, person["keypoints"].numpy(), center.numpy().astype(float), float(side)))
    (folder / LIST).write_bytes(pickle.dumps((found, list(data.skeleton.flip_order))))


def opencv_decoding(folder: Path) -> Iterator[int]:
    """libjpeg-turbo as OpenCV calls it: whole photographs, and nothing else."""
    import cv2

    cv2.setNumThreads(1)
    for one in cycle(load(folder)[0]):
        cv2.imdecode(one.jpeg, cv2.IMREAD_COLOR)
        yield 1


def tensorflow_decoding(folder: Path) -> Iterator[int]:
    """libjpeg-turbo as TensorFlow calls it: whole photographs, and nothing else."""
    import tensorflow as tf

    for jpeg in cycle([tf.constant(one.jpeg.tobytes()) for one in load(folder)[0]]):
        tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
        yield 1


def simplejpeg_decoding(folder: Path) -> Iterator[int]:
    """libjpeg-turbo through its own interface, by the package simplejpeg."""
    import simplejpeg

    for jpeg in cycle([one.jpeg.tobytes() for one in load(folder)[0]]):
        simplejpeg.decode_jpeg(jpeg, "RGB")
        yield 1


def our_pipeline(folder: Path) -> Iterator[int]:
    """`pipeline.training_batches` with the default augmentation."""
    from keras_mspose import pipeline

    config = RunConfig()
    assert (config.model.input_size, config.training.batch_size) == ((SIZE, SIZE), BATCH)
    for crops, _ in pipeline.training_batches(RecordSet.load(folder), config, ["regression"])[0]:
        yield len(crops)


def plain_loader(folder: Path) -> Iterator[int]:
    """One worker of a loader that does what ours does, as lean as OpenCV allows: decode all, RGB, scale, rotation and
    flip in one warp, colours, keypoints, batch of bytes. The photographs' files are in memory already."""
    import cv2

    cv2.setNumThreads(1)
    people, flip_order = load(folder)
    generator = np.random.default_rng(0)
    for batch in _batches(people, generator):
        crops, targets = [], []
        for one in batch:
            scale, turn, flip = _draw(generator)
            matrix = geometry.crop_transform(one.center, np.float64(one.side / scale), (SIZE, SIZE), turn, flip)
            photograph = cv2.cvtColor(cv2.imdecode(one.jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            crop = cv2.warpAffine(photograph, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
            crops.append(np.clip(crop * _colours(generator) + np.float32(0.5), 0, 255).astype(np.uint8))
            keypoints = one.keypoints.copy()
            keypoints[:, :2] = geometry.apply(matrix, keypoints[:, :2])
            targets.append(keypoints[flip_order] if flip else keypoints)
        np.stack(crops), np.stack(targets)
        yield BATCH


def usual_loader(folder: Path) -> Iterator[int]:
    """One worker of a loader as hourglass repositories have it: decode all, RGB, cut the box out, resize it, turn and
    scale that by a second warp, flip, float colours, channels first, and a heatmap drawn for every keypoint."""
    import cv2

    cv2.setNumThreads(1)
    people, flip_order = load(folder)
    generator = np.random.default_rng(0)
    axis = np.arange(-4, 5)
    spot = np.exp(-(axis[:, None] ** 2 + axis**2) / 2).astype(np.float32)
    for batch in _batches(people, generator):
        crops, maps = [], []
        for one in batch:
            scale, turn, flip = _draw(generator)
            photograph = cv2.cvtColor(cv2.imdecode(one.jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            first = geometry.crop_transform(one.center, np.float64(one.side), (SIZE, SIZE))
            cut = cv2.resize(_cut(photograph, one.center, one.side), (SIZE, SIZE))
            middle = np.full(2, (SIZE - 1) / 2)
            second = geometry.crop_transform(middle, np.float64(SIZE / scale), (SIZE, SIZE), turn, np.bool_(False))
            crop = cv2.warpAffine(cut, second, (SIZE, SIZE)).astype(np.float32) / 255
            crop = np.clip(crop * _colours(generator), 0, 1)
            xy = geometry.apply(second, geometry.apply(first, one.keypoints[:, :2]))
            if flip:
                crop, xy = crop[:, ::-1], np.stack([SIZE - 1 - xy[:, 0], xy[:, 1]], axis=1)[flip_order]
            crops.append(np.ascontiguousarray(crop.transpose(2, 0, 1)))
            maps.append(_heatmaps(geometry.crop_to_heatmap(xy, SIZE // HEATMAP), one.keypoints[:, 2] > 0, spot))
        np.stack(crops), np.stack(maps)
        yield BATCH


def _batches(people: list[Loaded], generator: np.random.Generator) -> Iterator[list[Loaded]]:
    while True:
        order = generator.permutation(len(people))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            yield [people[i] for i in order[start : start + BATCH]]


def _draw(generator: np.random.Generator) -> tuple[float, np.float64, np.bool_]:
    """Scale, rotation and flip, as `AugmentConfig` has them by default."""
    turned = generator.random() < 0.6
    turn = np.float64(np.radians(generator.uniform(-30, 30)) if turned else 0.0)
    return generator.uniform(0.75, 1.25), turn, np.bool_(generator.random() < 0.5)


def _colours(generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(0.8, 1.2, 3).astype(np.float32)


def _cut(photograph: np.ndarray, center: np.ndarray, side: float) -> np.ndarray:
    """The square about a person, black beyond the photograph."""
    left, top = (int(v) for v in np.floor(center - side / 2 + 0.5))
    size = int(np.ceil(side))
    found = np.zeros((size, size, 3), np.uint8)
    height, width = photograph.shape[:2]
    x, y = slice(max(left, 0), min(left + size, width)), slice(max(top, 0), min(top + size, height))
    found[y.start - top : y.stop - top, x.start - left : x.stop - left] = photograph[y, x]
    return found


def _heatmaps(xy: np.ndarray, labelled: np.ndarray, spot: np.ndarray) -> np.ndarray:
    maps = np.zeros((len(xy), HEATMAP, HEATMAP), np.float32)
    for one, (x, y), drawn in zip(maps, np.rint(xy).astype(int), labelled, strict=True):
        if drawn and 0 <= x < HEATMAP and 0 <= y < HEATMAP:
            above, left = max(y - 4, 0), max(x - 4, 0)
            part = spot[above - y + 4 : HEATMAP - y + 4, left - x + 4 : HEATMAP - x + 4]
            one[above : above + part.shape[0], left : left + part.shape[1]] = part
    return maps


def serve(connection: Connection, make: Callable[[Path], Iterator[int]], folder: Path, core: int | None) -> None:
    """Run in a process of its own: for every number of seconds that comes, answer (images, seconds, CPU seconds); for
    `STAGES`, what `stages.measure` says of 30 batches.

    Args:
        core: the one core that it may use; every core where None.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    if make in (our_pipeline, tensorflow_decoding):
        from keras_mspose.quiet import import_tensorflow

        import_tensorflow()
    loader = make(folder)
    _run(loader, WARM_UP if make is our_pipeline else LEAD_IN)
    connection.send(None)
    while asked := connection.recv():
        _run(loader, LEAD_IN)
        if asked == STAGES:
            import stages

            connection.send(stages.measure(loader, 30, BATCH))
        else:
            connection.send(_run(loader, asked))


def _run(loader: Iterator[int], seconds: float) -> tuple[int, float, float]:
    wall, cpu, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds:
        images += next(loader)
    return images, time.perf_counter() - wall, time.process_time() - cpu
