"""TFRecords to batches: parse, box, augment, crop, batch, prefetch. No Python per person.

Batches carry keypoints, never heatmaps: the loss draws those on the device (`benchmarks/heatmaps_on_device.py` measures
what that saves).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from keras_mspose import augment, epochs, geometry, half_body, mixing, records, resample
from keras_mspose.config import AugmentConfig, RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton


def training_batches(
    data: records.RecordSet | Sequence[records.RecordSet],
    config: RunConfig,
    heads: list[str] | None = None,
    *,
    start_epoch: int = 0,
    start_step: int = 0,
    worker: tuple[int, int] = (0, 1),
    parts: int = 1,
) -> tuple[tf.data.Dataset, int]:
    """Augmented batches of the training split, without end, and the steps of an epoch.

    The order and the augmentation depend on the seed and the epoch's number alone: a run that resumes at any step sees
    what the uninterrupted run saw. The last, smaller batch of an epoch is left out.

    Args:
        data: one data set, or several of one skeleton, as `mixing.mix` gives them: their persons are mixed in every
            batch, and measured by the first one's metric.
        heads: names that the targets are given under, all the same, as Keras's `fit` wants them.
        start_epoch: number of the first epoch, from 0.
        start_step: steps of it to leave out; their persons are read, but not decoded.
        worker: (index from 0, count) of this machine among several that train together. Each gets `batch_size / count`
            persons a step, of a part of the data that is its own in this epoch; together they see everybody once, but
            for the last batch.
        parts: batches that a worker's share of a step comes in, one for each of its replicas and accumulations.

    Returns:
        Dataset of (crops (B, H, W, 3) uint8, targets (B, K, 4) or {head: targets}), see `targets`; and steps an epoch.

    Raises:
        MsposeError: no such split, a bad shard, fewer persons than a batch, a batch size that does not divide over the
            workers and parts, or what `augment.check` refuses.
    """
    sets = [data] if isinstance(data, records.RecordSet) else list(data)
    first, batch, workers = sets[0], config.training.batch_size, worker[1]
    augment.check(config.data.augment, first.skeleton)
    steps = epoch_steps(sets, config)
    if batch % (workers * parts) or not 0 <= worker[0] < workers:
        raise MsposeError(
            f"worker {worker[0]} of {workers}: expected 0 to {workers - 1}, and a batch_size ({batch}) that they divide"
            + (f" into {parts} parts each" if parts > 1 else "")
        )
    people = _people(sets, config, start_epoch, start_step, worker)

    def prepare(seeds: tf.Tensor, place: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if len(sets) == 1:
            person = first.parse(record)
        else:
            person = tf.switch_case(tf.cast(place, tf.int32), [partial(one.parse, record) for one in sets])
        numbers = augment.draw_patches(config.data.augment, first.skeleton, seeds)
        return *augmented_crop(person, first, config, seeds), numbers

    def finish(*cut: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | dict[str, tf.Tensor]]:
        crops, target = augmented_batch(*cut, first, config)
        return crops, target if heads is None else dict.fromkeys(heads, target)

    batches = (
        people.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch // workers // parts, drop_remainder=True)
        .map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return batches, steps


def batch_names(
    sets: Sequence[records.RecordSet], config: RunConfig, epoch: int, step: int, worker: tuple[int, int] = (0, 1)
) -> list[str]:
    """The persons of one batch of `training_batches`, such as `000123.jpg (person 4)`, each once.

    Args:
        epoch, step: both from 0.
    """
    people = _people(sets, config, epoch, step, worker).take(config.training.batch_size // worker[1])
    found = []
    for _, place, record in people:
        person = sets[int(place)].parse(record)
        found.append(f"{person['image_name'].numpy().decode()} (person {int(person['person_id'])})")
    return list(dict.fromkeys(found))


def _people(
    sets: Sequence[records.RecordSet], config: RunConfig, start_epoch: int, start_step: int, worker: tuple[int, int]
) -> tf.data.Dataset:
    """Serialised persons from a step on, as `epochs.order` gives them."""
    persons, workers = epoch_steps(sets, config) * config.training.batch_size, worker[1]
    people = epochs.order(
        _sources(sets, config, persons, workers),
        persons // workers,
        config.training.seed,
        config.data.shuffle_buffer,
        worker=worker,
        start_epoch=start_epoch,
    )
    return people.skip(start_step * config.training.batch_size // workers)


def epoch_steps(sets: Sequence[records.RecordSet], config: RunConfig) -> int:
    """Steps of an epoch: `steps_per_epoch`, or as many as all persons together fill.

    Raises:
        MsposeError: no such split, or fewer persons than a batch.
    """
    split, batch = config.data.train_split, config.training.batch_size
    persons = sum(one.persons(split) for one in sets)
    if persons < batch:
        folders = " and ".join(str(one.folder) for one in sets)
        raise MsposeError(f"{folders}: split {split!r} has {persons} persons, fewer than a batch of {batch}")
    return config.training.steps_per_epoch or persons // batch


def _sources(sets: Sequence[records.RecordSet], config: RunConfig, total: int, workers: int) -> list[epochs.Source]:
    split = config.data.train_split
    for one in sets:
        if len(sets) > 1 and one.persons(split) < 2 * workers:
            raise MsposeError(
                f"{one.folder}: {one.persons(split)} persons are too few to share among {workers} workers"
            )
    amounts = mixing.quotas(sets, split, config.data.weights, total)
    return [
        epochs.Source(one.files(split), [shard["persons"] for shard in one.splits[split]["shards"]], amount)
        for one, amount in zip(sets, amounts, strict=True)
    ]


def evaluation_batches(
    data: records.RecordSet,
    split: str,
    crop_size: tuple[int, int],
    box: str,
    batch_size: int,
    *,
    persons: int | None = None,
    drop_remainder: bool = False,
    worker: tuple[int, int] = (0, 1),
    endless: bool = False,
) -> tf.data.Dataset:
    """Every person of a split once, in order, not augmented.

    Args:
        persons: the first so many alone.
        worker: (index from 0, count): of `count` machines, the persons of number `index`, every count-th.
        endless: begin again after the last person, so that every batch is full.

    Returns:
        Dataset of dicts: `crop` (B, H, W, 3) uint8, `targets` (B, K, 4), `matrix` (B, 2, 3) photograph to crop,
        `keypoints` (B, K, 3) in photograph pixels, `reference` (B,) the metric's length in photograph pixels,
        `box` (B, 3), `origin` (B, 3) of stored person crops (see `geometry.uncrop`), and `image` (the encoded
        photograph), `image_name`, `person_id`, `activity` (B,).
    """

    def prepare(record: tf.Tensor) -> dict[str, tf.Tensor]:
        person = data.parse(record)
        center, side = person_box(person, box)
        matrix = geometry.crop_transform(center, side, crop_size)
        reference = reference_length(person, data.metric, data.skeleton)
        return {
            "crop": resample.crop_from_jpeg(person["image"], matrix, crop_size),
            "targets": targets(person["keypoints"], matrix, reference * max(crop_size) / side),
            "matrix": matrix,
            "reference": reference,
            "box": tf.concat([center, side[None]], axis=0),
            **{key: person[key] for key in ("image", "keypoints", "origin", "image_name", "person_id", "activity")},
        }

    source = tf.data.TFRecordDataset(data.files(split))
    if persons is not None:
        source = source.take(persons)
    if worker[1] > 1:
        source = source.shard(worker[1], worker[0])
    if endless:
        source = source.repeat()
    return (
        source.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size, drop_remainder=drop_remainder)
        .prefetch(tf.data.AUTOTUNE)
    )


def targets(keypoints: tf.Tensor, matrix: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """What losses and metrics compare with: (K, 4) x, y in crop pixels, visibility, and the metric's reference length
    in crop pixels (0 where the person has none).

    Args:
        keypoints: (K, 3) in photograph pixels.
        matrix: (2, 3) photograph to crop.
        reference: () in crop pixels.
    """
    xy = geometry.apply(matrix, keypoints[:, :2])
    length = tf.fill([tf.shape(keypoints)[0], 1], reference)
    return tf.concat([xy, keypoints[:, 2:], length], axis=1)


def person_box(person: dict[str, tf.Tensor], rule: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Centre (2,) and side () of a person's square box in photograph pixels, by `record`, `joints` or `image`.

    `record` falls back to `joints` for persons whose data set gives no box.
    """
    if rule == "image":
        return geometry.image_box(person["image_size"][0], person["image_size"][1])
    center, side = geometry.joints_box(person["keypoints"])
    if rule == "record":
        given = person["box"][2] > 0
        center, side = tf.where(given, person["box"][:2], center), tf.where(given, person["box"][2], side)
    return center, side


def reference_length(person: dict[str, tf.Tensor], metric: str, skeleton: Skeleton) -> tf.Tensor:
    """() length in photograph pixels that distances are divided by: `pckh` the head size, `pck` the torso, `pck_box`
    the side of the box that `person_box` gives by `record`; 0 where the person has none and is not counted."""
    if metric == "pck_box":
        _, side = person_box(person, "record")
        return tf.where(side > 1, side, 0.0)  # 1: the box about a single keypoint, which has no size
    if metric == "pckh" or skeleton.torso is None:
        return person["head_size"]
    a, b = (person["keypoints"][skeleton.index(name)] for name in skeleton.torso)
    both = (a[2] > 0) & (b[2] > 0)
    return tf.where(both, tf.norm(a[:2] - b[:2]), 0.0)


def augmented_crop(
    person: dict[str, tf.Tensor], data: records.RecordSet, config: RunConfig, seeds: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One person as training sees it, but for what `augmented_batch` does to a whole batch.

    Args:
        person: as `records.parse` gives it.
        seeds: (2,) int64, unlike for every person and epoch.

    Returns:
        crop (H, W, 3) uint8, targets (K, 4) (see `targets`), and the colours (2, 3).
    """
    settings: AugmentConfig = config.data.augment
    size = config.model.input_size
    drawn = augment.draw(settings, seeds)
    own, whole = person_box(person, config.data.box), person_box(person, "image")
    halved = tf.constant(False)
    if settings.half_body:
        *half, enough = half_body.half_body_box(person["keypoints"], data.skeleton, drawn.upper, own[1])
        halved = drawn.half_body & enough & ~drawn.whole_image
        own = tuple(tf.where(halved, h, o) for h, o in zip(half, own, strict=True))
    center, side = (tf.where(drawn.whole_image, w, o) for w, o in zip(whole, own, strict=True))
    matrix = geometry.crop_transform(
        center + drawn.shift * side, side / drawn.scale, size, rotation=drawn.rotation, flip=drawn.flip
    )
    crop = resample.crop_from_jpeg(person["image"], matrix, size)
    reference = reference_length(person, data.metric, data.skeleton) * max(size) * drawn.scale / side
    target = targets(person["keypoints"], matrix, reference)
    if settings.half_body:
        target = tf.where(halved, half_body.without_outside(target, size), target)
    return crop, augment.flip_keypoints(target, drawn.flip, tf.constant(data.skeleton.flip_order)), drawn.colour


def augmented_batch(
    crops: tf.Tensor,
    target: tf.Tensor,
    colours: tf.Tensor,
    numbers: tf.Tensor,
    data: records.RecordSet,
    config: RunConfig,
    *,
    compiled: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The part of the augmentation that touches pixels of the crop: patches, then colours.

    Args:
        crops, target, colours: (B, ...) as `augmented_crop` gives them.
        numbers: (B, n) as `augment.draw_patches` gives them.
        compiled: see `augment.paste_patches`.

    Returns:
        crops (B, H, W, 3) uint8 and targets (B, K, 4).
    """
    settings = config.data.augment
    crops, target = augment.paste_patches(crops, target, numbers, settings, data.skeleton, compiled=compiled)
    if settings.colour or settings.contrast or settings.brightness:
        change = tf.function(augment.change_colour, autograph=False, jit_compile=True)  # one pass instead of six
        crops = (change if compiled else augment.change_colour)(crops, colours)
    return crops, target


def as_trained(
    person: dict[str, tf.Tensor], data: records.RecordSet, config: RunConfig, seeds: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """One person exactly as training sees it, for pictures.

    Args:
        person, seeds: as for `augmented_crop`.

    Returns:
        crop (H, W, 3) uint8 and targets (K, 4).
    """
    numbers = augment.draw_patches(config.data.augment, data.skeleton, seeds)
    cut = (*augmented_crop(person, data, config, seeds), numbers)
    crops, target = augmented_batch(*(part[None] for part in cut), data, config, compiled=False)
    return crops[0], target[0]
