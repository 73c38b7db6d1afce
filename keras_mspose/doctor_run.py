"""What `mspose doctor` does: look at a recipe with its data before training, or at a run after it, and say what is
wrong.

It looks at data as training sees it: through the pipeline, with the recipe's boxes, augmentation and batches.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from keras_mspose import (
    doctor,
    doctor_labels,
    geometry,
    mixing,
    objective,
    pipeline,
    run_log,
    saved_model,
    visualization,
)
from keras_mspose.config import RunConfig
from keras_mspose.doctor import Finding
from keras_mspose.losses import HeatmapLoss
from keras_mspose.model import build_model
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.result_file import check_writable, write_json
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import Skeleton
from keras_mspose.tiles import contact_sheet

PERSONS = 256  # looked at through the pipeline
SHOWN = 24  # on the picture
TIMED = 3  # training steps


@dataclass(frozen=True)
class Seen:
    """Persons as training sees them, colours aside: crops (N, H, W, 3) uint8, targets (N, K, 4) of the skeleton."""

    skeleton: Skeleton
    crops: np.ndarray
    targets: np.ndarray
    seconds: float  # a batch, once the pipeline runs


def examine(
    config: RunConfig,
    data: RecordSet,
    *,
    run: Path | None = None,
    picture: Path | None = None,
    json_path: Path | None = None,
) -> list[Finding]:
    """Check a recipe on its data, and the trained network where there is one; print what was found.

    Args:
        config, data, run: see `findings`.
        picture: PNG of crops with their targets drawn on them, as training sees them; none where None.
        json_path: where the findings are written.

    Returns:
        All findings, bad ones first.

    Raises:
        MsposeError: as `findings`, or a file cannot be written.
    """
    check_writable(picture)
    check_writable(json_path)
    console = Console()
    with console.status("looking at data and network"):
        seen, found = findings(config, data, run=run)
    for one in found:
        mark = "[green]good [/]" if one.good else "[red]FAULT[/]"
        console.print(f"{mark} {one.check}: {one.said}", highlight=False)
        if one.advice:
            console.print(f"      {one.advice}", highlight=False)
    if picture:
        visualization.save_png(picture, _drawn(seen))
        console.print(f"targets drawn on crops, as training sees them: {picture}", highlight=False, soft_wrap=True)
    if json_path:
        write_json(json_path, {"good": all(f.good for f in found), "findings": [asdict(f) for f in found]})
    return found


def findings(
    config: RunConfig, data: RecordSet, *, run: Path | None = None, timed: bool = True
) -> tuple[Seen, list[Finding]]:
    """All checks.

    Args:
        config: the recipe, or the run's.
        data: the record folder.
        run: run folder or `.keras` file, for the checks of a trained network.
        timed: also take the time of the pipeline and of a training step.

    Returns:
        The persons that were looked at, and the findings, bad ones first.

    Raises:
        MsposeError: a damaged record, fewer persons than a batch, another skeleton than the run's, or a `data.skeleton`
            that the data cannot be matched to.
    """
    model, read = saved_model.load(run) if run else (None, None)
    data = mixing.of_network(data, read) if read else mixing.alone(data, config.data)
    with damage_named(data, config.data.train_split):
        seen = _through_pipeline(config, data)
        labels = {split: _labels(data, split) for split in (config.data.train_split, config.data.val_split)}
    model = build_model(config.model, len(data.skeleton)) if model is None else model
    facts = Facts(data.skeleton, data.metric, config)
    found = [*_about_data(config, data, seen, labels), *_about_recipe(config, data, model, seen)]
    if timed:
        found.append(doctor.input_waits(seen.seconds / _step_seconds(facts, model, seen)))
    if run:
        found += list(_about_run(facts, model, seen, run))
    return seen, sorted(found, key=lambda finding: finding.good)


def _through_pipeline(config: RunConfig, data: RecordSet) -> Seen:
    """The first persons of the first epoch. Colours are left as they are: one of the checks reads them."""
    plain = replace(config.data.augment, colour=0.0, contrast=0.0, brightness=0.0)
    config = replace(config, data=replace(config.data, augment=plain))
    batches, steps = pipeline.training_batches(data, config, ["all"])
    count = min(steps, max(2, -(-PERSONS // config.training.batch_size)))
    source = iter(batches)
    taken = list(islice(source, count))
    held = pipeline.in_flight()
    for _ in islice(source, max(held - count, 0)):  # what was begun while nobody asked
        pass
    started = time.monotonic()
    for _ in islice(source, held):
        pass
    seconds = (time.monotonic() - started) / held
    crops, targets = (
        [batch.numpy() for batch in part] for part in zip(*((c, t["all"]) for c, t in taken), strict=True)
    )
    return Seen(data.skeleton, np.concatenate(crops), np.concatenate(targets), seconds)


def _labels(data: RecordSet, split: str) -> dict[str, np.ndarray]:
    """Of every person of a split: `keypoints` (P, K, 3), `size` (P, 2), `box` (P, 3), `photograph` (P,) a number of its
    bytes."""

    def facts(record: tf.Tensor) -> dict[str, tf.Tensor]:
        person = data.parse(record)
        photograph = tf.strings.to_hash_bucket_fast(person["image"], 2**62)
        labels = {"keypoints": person["keypoints"], "box": person["box"], "size": person["image_size"]}
        return {**labels, "photograph": photograph}

    source = tf.data.TFRecordDataset(data.files(split)).map(facts, num_parallel_calls=tf.data.AUTOTUNE).batch(512)
    parts = list(source.as_numpy_iterator())
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _about_data(config: RunConfig, data: RecordSet, seen: Seen, labels: dict[str, dict]) -> Iterator[Finding]:
    train, validation = (labels[split] for split in (config.data.train_split, config.data.val_split))
    size = config.model.input_size
    yield doctor_labels.flip_pairs(data.skeleton, train["keypoints"], config.data.augment.flip > 0)
    yield doctor_labels.label_place(train["keypoints"], train["size"], seen.targets, size)
    yield doctor_labels.label_scale(train["keypoints"], train["size"], train["box"])
    yield doctor_labels.labels_there(seen.targets[..., 2], config.training.batch_size)
    yield doctor.colours(seen.crops, seen.targets, data.skeleton)
    yield doctor.shared_persons(set(train["photograph"].tolist()), set(validation["photograph"].tolist()))


def _about_recipe(config: RunConfig, data: RecordSet, model: keras.Model, seen: Seen) -> Iterator[Finding]:
    settings, steps = config.training, pipeline.epoch_steps([data], config)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    inside = keras.Model(model.inputs[0], first.input)(seen.crops[: settings.batch_size], training=False)
    yield doctor.pixel_range(seen.crops, inside.numpy())
    momenta = [layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    yield doctor.batch_norm_momentum(momenta, settings.epochs * steps, settings.batch_size)
    yield doctor.learning_rate(settings.learning_rate)


def _about_run(facts: Facts, model: keras.Model, seen: Seen, run: Path) -> Iterator[Finding]:
    size = min(len(seen.crops), 64)
    crops, targets = seen.crops[:size], tf.constant(seen.targets[:size])
    weights = model.get_weights()  # training mode changes the moving averages
    losses = objective.head_losses(model, facts)
    batch, moving = (_losses(losses, model(crops, training=mode), targets) for mode in (True, False))
    model.set_weights(weights)
    empty = _losses(losses, {name: tf.zeros((size, *model.output[name].shape[1:])) for name in moving}, targets)
    yield doctor.batch_norm_drift(sum(batch.values()), sum(moving.values()))
    yield doctor.heads_alive(batch, empty)
    log = [float(row["loss"]) for row in run_log.read_log(run)] if run.is_dir() else []
    if log:
        weights = objective.loss_weights(model, facts.config) or {}
        yield doctor.learns(log, sum(weights.get(name, 1.0) * loss for name, loss in empty.items()))


def _losses(losses: dict[str, HeatmapLoss], outputs: dict[str, tf.Tensor], targets: tf.Tensor) -> dict[str, float]:
    return {name: float(losses[name](targets, maps)) for name, maps in outputs.items()}


def _step_seconds(facts: Facts, model: keras.Model, seen: Seen) -> float:
    """Time of a training step on one batch that is there already; the weights stay as they are."""
    batch = facts.config.training.batch_size
    crops, targets = tf.constant(seen.crops[:batch]), tf.constant(seen.targets[:batch])
    losses = objective.head_losses(model, facts)
    trained = [weight.value for weight in model.trainable_variables]
    averages = [weight.value for weight in model.non_trainable_variables]
    before = [value.numpy() for value in averages]

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = model(crops, training=True)
            loss = tf.add_n([losses[name](targets, maps) for name, maps in outputs.items()])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in tape.gradient(loss, trained)])

    step()
    started = time.monotonic()
    for _ in range(TIMED):
        step().numpy()
    seconds = (time.monotonic() - started) / TIMED
    for value, kept in zip(averages, before, strict=True):
        value.assign(kept)
    return seconds


def _drawn(seen: Seen) -> np.ndarray:
    """The first persons, their targets drawn on them; occluded ones faint."""
    scale = max(1, 192 // seen.crops.shape[1])
    tiles = []
    for number, (crop, target) in enumerate(zip(seen.crops[:SHOWN], seen.targets[:SHOWN], strict=True), 1):
        larger = crop.repeat(scale, axis=0).repeat(scale, axis=1)
        points = target[:, :3] * [1, 1, 0.5]
        points[:, :2] = geometry.heatmap_to_crop(points[:, :2], scale)
        tiles.append((visualization.draw_pose(larger, points, seen.skeleton), f"{number}"))
    return contact_sheet(tiles, 6)
