"""What `mspose verify` does: ask every file of an export about the same persons as Keras, time it, and judge it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import Progress

from export import artefacts, parity, stopwatch, verification, verify_page
from export.artefacts import Artefact
from export.graph import HEATMAPS, KEYPOINTS, Answer
from export.index import NETWORK, files, read_index
from export.photographs import BOXES, IMAGE_BYTES
from export.savedmodel import BOXED
from keras_mspose import geometry, mixing, pipeline, saved_model
from keras_mspose import heatmaps as codec
from keras_mspose.cores import own_cores
from keras_mspose.errors import MsposeError
from keras_mspose.layers import STRIDE
from keras_mspose.metrics import Accuracy, accuracy, normalised_distances
from keras_mspose.passes import flipped_back
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.result_file import check_writable, write_json, write_text
from keras_mspose.saved_model import Facts

THREADS = (1, 2)
BATCH = 16
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}
PHOTOGRAPHS = "photographs"  # form of the SavedModel's signature that takes whole files and boxes
Batch = dict[str, np.ndarray]


@dataclass
class _Asked:
    """One file in one form, and what it answered.

    Attributes:
        entry: as `export.json` has it.
        form: `cpu`, `delegate` or PHOTOGRAPHS.
        ask: a batch of `pipeline.evaluation_batches` to `keypoints` in crop pixels, and `heatmaps` where it gives them.
        mirrored: it averages with mirrored crops, so Keras has to.
        differences: from Keras.
        predicted: (B, K, 3) in photograph pixels, by batch.
        timed: what the stopwatch said, by number of threads.
    """

    entry: dict
    form: str
    ask: Callable[[Batch], Answer]
    mirrored: bool
    differences: verification.Differences
    predicted: list[np.ndarray] = field(default_factory=list)
    timed: dict[str, dict] = field(default_factory=dict)


def verify_export(
    folder: Path,
    data_path: Path,
    *,
    split: str | None = None,
    persons: int | None = None,
    box: str | None = None,
    only: list[str] | None = None,
    calls: int = 100,
    json_path: Path | None = None,
    html_path: Path | None = None,
) -> dict:
    """Measure every file of an export on persons.

    Args:
        folder: that `export_run` wrote.
        data_path: record folder of the network's skeleton, or of another if the run's recipe has `data.skeleton`.
        split: the run's validation split where None.
        persons: the first so many alone.
        box: `record`, `joints` or `image`; the run's own where None.
        only: files alone whose path holds one of these.
        calls: timed calls of every file at every number of threads; none where 0.
        json_path, html_path: where the figures are written at full precision, and as a page.

    Returns:
        The content of the JSON file. `good` is false where a file is past its limit.

    Raises:
        MsposeError: no export, a record folder of another skeleton, no such split, or nothing to measure.
    """
    check_writable(json_path)
    check_writable(html_path)
    index = read_index(folder)
    chosen = [e for e in files(index) if not only or any(text in e["path"] for text in only)]
    chosen = [e for e in chosen if e["format"] in artefacts.FORMATS]
    if not chosen:
        raise MsposeError(f"{folder}: no file to measure; there are {', '.join(e['path'] for e in files(index))}")
    if (persons is not None and persons < 1) or calls < 0:
        raise MsposeError(f"persons {persons}, calls {calls}: expected 1 or more persons and 0 or more calls")
    data = RecordSet.load(data_path)
    model, facts = saved_model.load(Path(folder) / NETWORK)
    data = mixing.of_network(data, facts)
    split, box = split or facts.config.data.val_split, box or facts.config.data.box
    people = min(data.persons(split), persons or data.persons(split))
    asked = [one for entry in chosen for one in _load(entry, Path(folder), index)]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        truth, own = _compare(asked, parity.runner(model, facts), data, split, box, people, facts, progress)
        _time([one for one in asked if one.form != PHOTOGRAPHS], Path(folder), calls, progress)

    def measured(predicted: list[np.ndarray]) -> Accuracy:
        distances = normalised_distances(np.concatenate(predicted), truth["keypoints"], truth["reference"])
        return accuracy(distances, data.skeleton, data.metric)

    keras_accuracy = {mirrored: measured(predicted) for mirrored, predicted in own.items()}
    rows = [_row(one, measured(one.predicted), keras_accuracy[one.mirrored], truth, facts) for one in asked]
    report = {
        "good": all(row["good"] for row in rows),
        "model": index["name"],
        "data": data.name,
        "split": split,
        "box": box,
        "persons": people,
        "keras": [{"flip_test": mirrored, **found.to_dict()} for mirrored, found in keras_accuracy.items()],
        "limits": {"p99_9_px": verification.PIXELS, "points": verification.POINTS, "near": verification.NEAR},
        "machine": {"system": platform.platform(terse=True), "cores": len(own_cores())},
        "versions": index["versions"],
        "files": rows,
    }
    verify_page.show(report)
    if json_path is not None:
        write_json(json_path, report)
    if html_path is not None:
        write_text(html_path, verify_page.render(report))
    return report


def _load(entry: dict, folder: Path, index: dict) -> list[_Asked]:
    """A file in every form that it is asked in."""
    one = Artefact(**{name: entry[name] for name in Artefact.__dataclass_fields__})
    run = artefacts.load(one, folder, index["sigma"])

    def differences() -> verification.Differences:
        return verification.Differences(index["stride"], verification.NEAR[one.precision])

    forms = [_Asked(entry, one.form, lambda batch: run(batch["crop"]), False, differences())]
    if one.format == "savedmodel":
        signature = run.loaded.signatures[BOXED]

        def photographs(batch: Batch) -> Answer:
            images = tf.constant([without_exif(image) for image in batch["image"]])
            found = signature(**{IMAGE_BYTES: images, BOXES: tf.constant(batch["box"])})
            keypoints = found[KEYPOINTS].numpy()
            return {KEYPOINTS: _moved(batch["matrix"], keypoints)}

        mirrored = index["signatures"][BOXED]["flip_test"]
        forms.append(_Asked(entry, PHOTOGRAPHS, photographs, mirrored, differences()))
    return forms


def _compare(
    asked: list[_Asked],
    run_keras: parity.Runner,
    data: RecordSet,
    split: str,
    box: str,
    people: int,
    facts: Facts,
    progress: Progress,
) -> tuple[Batch, dict[bool, list[np.ndarray]]]:
    """Ask all of them and Keras about every person.

    Returns:
        What is true of the persons (`keypoints`, `reference`, `image_name`, `person_id`), and what Keras answered in
        photograph pixels, plainly and with the flip test where a file has it.
    """
    size, sigma = facts.config.model.input_size, facts.config.training.sigma
    truth: dict[str, list[np.ndarray]] = {key: [] for key in ("keypoints", "reference", "image_name", "person_id")}
    own: dict[bool, list[np.ndarray]] = {mirrored: [] for mirrored in sorted({one.mirrored for one in asked})}
    batches = iter(pipeline.evaluation_batches(data, split, size, box, BATCH, persons=people))
    task = progress.add_task("comparing", total=people)
    while True:
        with damage_named(data, split):
            tensors = next(batches, None)
        if tensors is None:
            return {key: np.concatenate(parts) for key, parts in truth.items()}, own
        batch = {key: value.numpy() for key, value in tensors.items()}
        back = geometry.invert(batch["matrix"])
        expected = {}
        for mirrored in own:
            maps = run_keras(batch["crop"])[HEATMAPS]
            if mirrored:
                other = run_keras(batch["crop"][:, :, ::-1])[HEATMAPS]
                maps = (maps + flipped_back(tf.constant(other), facts.skeleton).numpy()) / 2
            expected[mirrored] = {HEATMAPS: maps, KEYPOINTS: codec.decode(maps, STRIDE, sigma)}
            own[mirrored].append(_moved(back, expected[mirrored][KEYPOINTS]))
        for one in asked:
            found, wanted = one.ask(batch), expected[one.mirrored]
            one.differences.add(found[KEYPOINTS], wanted[KEYPOINTS], wanted[HEATMAPS], found.get(HEATMAPS))
            one.predicted.append(_moved(back, found[KEYPOINTS]))
        for key, values in truth.items():
            values.append(batch[key])
        progress.advance(task, len(back))


def without_exif(image: bytes) -> bytes:
    """A JPEG whose EXIF nobody finds: its boxes are in the pixels as stored, and the signature would turn them."""
    return re.sub(rb"(\xff\xe1..)Exif\0\0", rb"\1none\0\0", image, flags=re.DOTALL)


def _moved(matrices: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    return np.concatenate([geometry.apply(matrices, keypoints[..., :2]), keypoints[..., 2:]], axis=-1)


def _time(asked: list[_Asked], folder: Path, calls: int, progress: Progress) -> None:
    """Load and call each file in a process of its own, with 1 thread and with 2."""
    if not calls:
        return
    task = progress.add_task("timing", total=len(asked) * len(THREADS))
    for one in asked:
        for threads in THREADS:
            command = [sys.executable, "-I", stopwatch.__file__, one.entry["format"], str(folder / one.entry["path"])]
            command += ["--threads", str(threads), "--calls", str(calls)]
            ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET})
            if ended.returncode:
                why = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise MsposeError(f"{folder / one.entry['path']}: cannot be timed ({why}); export again")
            one.timed[str(threads)] = json.loads(ended.stdout.strip().splitlines()[-1])
            progress.advance(task)


def _row(one: _Asked, found: Accuracy, of_keras: Accuracy, truth: Batch, facts: Facts) -> dict:
    """All that was found of one file in one form."""
    differences = one.differences.summary()
    for flip in differences["flips"]:
        place = flip["person"]
        flip["image"] = truth["image_name"][place].decode()
        flip["person_id"] = int(truth["person_id"][place])
        flip["keypoint"] = facts.skeleton.keypoints[flip["keypoint"]]
    loss = of_keras.mean - found.mean
    good, limit = verification.judge(one.entry["precision"], differences, loss)
    about = {key: one.entry[key] for key in ("format", "name", "path", "precision", "bytes")}
    return {
        **about,
        "operations": sum(one.entry["operations"].values()),
        "form": one.form,
        "good": good,
        "limit": limit,
        "timed": one.timed,
        "differences": differences,
        "accuracy": found.to_dict(),
        "loss": None if np.isnan(loss) else loss,
    }
