"""TFRecords to batches: parse, box, augment, crop, batch, prefetch. No Python per person.

Batches carry keypoints, never heatmaps: the loss draws those on the device (`benchmarks/heatmaps_on_device.py` measures
what that saves).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_mspose import augment, epochs, geometry, half_body, mixing, records, resample, sampling
from keras_mspose.config import AugmentConfig, RunConfig
from keras_mspose.cores import own_cores
from keras_mspose.errors import MsposeError
from keras_mspose.person_truth import person_box, reference_length, targets

AT_ONCE = 16  # batches that are prepared at a time, one a core: each is in memory, with its photographs
AHEAD = 2  # batches that are prepared and wait


def training_batches(
    data: records.RecordSet | Sequence[records.RecordSet],
    config: RunConfig,
    heads: list[str],
    *,
    start_epoch: int = 0,
    start_step: int = 0,
    worker: tuple[int, int] = (0, 1),
) -> tuple[tf.data.Dataset, int]:
    """Augmented batches of the training split, without end, and the steps of an epoch.

    The order and the augmentation depend on the seed and the epoch's number alone: a run that resumes at any step sees
    what the uninterrupted run saw. The last, smaller batch of an epoch is left out.

    Args:
        data: one data set, or several of one skeleton, as `mixing.mix` gives them: their persons are mixed in every
            batch, and measured by the first one's metric.
        heads: names under which the loss expects the targets.
        start_epoch: number of the first epoch, from 0.
        start_step: steps of it to leave out; their persons are read, but not decoded.
        worker: (index from 0, count) of this machine among several that train together. Each gets `batch_size / count`
            persons a step, of a part of the data that is its own in this epoch; together they see everybody once, but
            for the last batch.

    Returns:
        Dataset of (crops (B, H, W, 3) uint8, {head: targets (B, K, 4)}), see `targets`; and steps an epoch.

    Raises:
        MsposeError: no such split, a bad shard, fewer persons than a batch, a batch size that does not divide over the
            workers, or what `augment.check` refuses.
    """
    sets = [data] if isinstance(data, records.RecordSet) else list(data)
    first, batch, workers = sets[0], config.training.batch_size, worker[1]
    augment.check(config.data.augment, first.skeleton)
    steps = epoch_steps(sets, config)
    if batch % workers or not 0 <= worker[0] < workers:
        raise MsposeError(
            f"worker {worker[0]} of {workers}: expected 0 to {workers - 1}, and a batch_size ({batch}) that they divide"
        )
    people = _people(sets, config, start_epoch, start_step, worker)

    def prepare(seeds: tf.Tensor, places: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, dict]:
        crops, target = augmented(_parsed(sets, places, records), first, config, seeds)
        return crops, dict.fromkeys(heads, target)

    # Batched first: what is small is done once a batch, and only decoding and resampling once a person.
    return _prepared(people.batch(batch // workers, drop_remainder=True), prepare), steps


def batch_names(
    sets: Sequence[records.RecordSet], config: RunConfig, epoch: int, step: int, worker: tuple[int, int] = (0, 1)
) -> list[str]:
    """The persons of one batch of `training_batches`, such as `000123.jpg (person 4)`, each once.

    Args:
        epoch, step: both from 0.
        worker: as for `training_batches`.
    """
    found = []
    for _, place, record in _people(sets, config, epoch, step, worker).take(config.training.batch_size // worker[1]):
        person = sets[int(place)].parse(record[None])
        found.append(f"{person['image_name'].numpy()[0].decode()} (person {int(person['person_id'][0])})")
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


def _parsed(sets: Sequence[records.RecordSet], places: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Persons (B,) of one or several data sets, `places` (B,) of each in `sets`, as `records.parse` gives them."""
    if len(sets) == 1:
        return sets[0].parse(serialized)
    turns = tf.dynamic_partition(tf.range(tf.size(places)), tf.cast(places, tf.int32), len(sets))
    parts = [one.parse(tf.gather(serialized, turn)) for one, turn in zip(sets, turns, strict=True)]
    found = {key: tf.dynamic_stitch(turns, [part[key] for part in parts]) for key in parts[0]}
    return {key: tf.ensure_shape(part, [*serialized.shape, *part.shape[1:]]) for key, part in found.items()}


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
    total: int | None = None,
) -> tf.data.Dataset:
    """Every person of a split once, in order, not augmented.

    Args:
        persons: the first so many alone.
        worker: (index from 0, count) of this machine among several: person i is of machine i % count.
        total: so many over all machines, beginning with the first again where there are fewer.

    Returns:
        Dataset of dicts: `crop` (B, H, W, 3) uint8, `targets` (B, K, 4), `matrix` (B, 2, 3) photograph to crop,
        `keypoints` (B, K, 3) in photograph pixels, `reference` (B,) the metric's length in photograph pixels,
        `box` (B, 3), `origin` (B, 3) of stored person crops (see `geometry.uncrop`), and `image` (the encoded
        photograph), `image_name`, `person_id`, `activity` (B,).
    """

    def prepare(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        person = data.parse(serialized)
        center, side = person_box(person, box)
        matrix = geometry.crop_transform(center, side, crop_size)
        reference = reference_length(person, data.metric, data.skeleton)
        return {
            "crop": resample.crops_from_jpegs(person["image"], matrix, crop_size, sizes=_sizes(person)),
            "targets": targets(person["keypoints"], matrix, reference * max(crop_size) / side),
            "matrix": matrix,
            "reference": reference,
            "box": tf.concat([center, side[:, None]], axis=1),
            **{key: person[key] for key in ("image", "keypoints", "origin", "image_name", "person_id", "activity")},
        }

    source = tf.data.TFRecordDataset(data.files(split))
    if persons is not None:
        source = source.take(persons)
    if total is not None:
        source = source.repeat().take(total)
    if worker[1] > 1:
        source = source.shard(worker[1], worker[0])
    return _prepared(source.batch(batch_size, drop_remainder=drop_remainder), prepare)


def _prepared(batches: tf.data.Dataset, prepare: Callable[..., Any]) -> tf.data.Dataset:
    """`prepare` of every batch, `AT_ONCE` of them at a time at most, and two batches ahead.

    Not by `tf.data.AUTOTUNE`: its thread can sleep through the end of the iterator, which then waits for it, up to a
    minute after each training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    # No branch or loop in it hangs on a tensor, and AutoGraph takes seconds to find that out.
    as_it_is = tf.autograph.experimental.do_not_convert(prepare)
    return batches.map(as_it_is, _at_once(), deterministic=True).prefetch(AHEAD).with_options(options)


def in_flight() -> int:
    """Batches that a pipeline holds: at work, or waiting."""
    return _at_once() + AHEAD


def _at_once() -> int:
    return min(len(own_cores()), AT_ONCE)


def augmented(
    person: dict[str, tf.Tensor],
    data: records.RecordSet,
    config: RunConfig,
    seeds: tf.Tensor,
    *,
    compiled: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch of persons as training sees them.

    Args:
        person: B persons as `records.parse` gives them.
        seeds: (B, 2) int, unlike for every person and epoch.
        compiled: by XLA, for speed where many batches come. Without: the same.

    Returns:
        crops (B, H, W, 3) uint8 and targets (B, K, 4) (see `person_truth.targets`).
    """
    settings: AugmentConfig = config.data.augment
    size = config.model.input_size
    drawn, numbers = augment.draw(settings, seeds), augment.draw_patches(settings, data.skeleton, seeds)
    matrix, target = _planned(person, data, config, drawn)
    packed = resample.packed_crops(person["image"], matrix, size, sizes=_sizes(person), compiled=compiled)

    def finished(packed: tf.Tensor, target: tf.Tensor, colour: tf.Tensor, numbers: tf.Tensor) -> tuple:
        crops = sampling.unpacked(packed)
        crops, target = augment.paste_patches(crops, target, numbers, settings, data.skeleton)
        if settings.colour or settings.contrast or settings.brightness:
            crops = augment.change_colour(crops, colour)
        return crops, target

    if compiled:  # one pass over the pixels
        finished = tf.function(finished, autograph=False, jit_compile=True)
    with tf.device("CPU"):  # where float32 is what it says
        return finished(packed, target, drawn.colour, numbers)


def _planned(
    person: dict[str, tf.Tensor], data: records.RecordSet, config: RunConfig, drawn: augment.Draw
) -> tuple[tf.Tensor, tf.Tensor]:
    """Transforms (B, 2, 3) from photograph to crop, and targets (B, K, 4)."""
    size, half_bodies = config.model.input_size, bool(config.data.augment.half_body)
    own, whole = person_box(person, config.data.box), person_box(person, "image")
    if half_bodies:
        *half, enough = half_body.half_body_box(person["keypoints"], data.skeleton, drawn.upper, own[1])
        halved = drawn.half_body & enough & ~drawn.whole_image
        own = _either(halved, half, own)
    center, side = _either(drawn.whole_image, whole, own)
    matrix = geometry.crop_transform(
        center + drawn.shift * side[:, None], side / drawn.scale, size, rotation=drawn.rotation, flip=drawn.flip
    )
    reference = reference_length(person, data.metric, data.skeleton) * max(size) * drawn.scale / side
    target = targets(person["keypoints"], matrix, reference)
    if half_bodies:
        target = tf.where(halved[:, None, None], half_body.without_outside(target, size), target)
    return matrix, augment.flip_keypoints(target, drawn.flip, tf.constant(data.skeleton.flip_order))


def _either(chosen: tf.Tensor, one: Sequence[tf.Tensor], other: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Of two boxes (centre (B, 2), side (B,)) the one where `chosen` (B,) holds, else the other."""
    return tf.where(chosen[:, None], one[0], other[0]), tf.where(chosen, one[1], other[1])


def _sizes(person: dict[str, tf.Tensor]) -> tf.Tensor:
    """(B, 2) int32 height and width of the photographs."""
    return tf.cast(tf.reverse(person["image_size"], [-1]), tf.int32)


def as_trained(
    person: dict[str, tf.Tensor], data: records.RecordSet, config: RunConfig, seeds: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """One person exactly as training sees it, for pictures.

    Args:
        person: as `records.parse` gives it.
        seeds: (2,) int, as for `augmented`.

    Returns:
        crop (H, W, 3) uint8 and targets (K, 4).
    """
    alone = {key: part[None] for key, part in person.items()}
    crops, target = augmented(alone, data, config, seeds[None], compiled=False)
    return crops[0], target[0]
