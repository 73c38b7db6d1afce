"""TFRecords to batches: parse, box, augment, crop, batch, prefetch. No Python per person.

Batches carry keypoints, never heatmaps: the loss draws those on the device (`benchmarks/heatmaps_on_device.py` measures
what that saves).
"""

from __future__ import annotations

import tensorflow as tf

from keras_mspose import augment, geometry, records, resample
from keras_mspose.config import AugmentConfig, RunConfig
from keras_mspose.skeleton import Skeleton

READERS = 8  # shards read at once


def training_batches(
    data: records.RecordSet, config: RunConfig, heads: list[str], *, start_epoch: int = 0
) -> tuple[tf.data.Dataset, int]:
    """Augmented batches of the training split, without end, and the steps of an epoch.

    The order and the augmentation depend on the seed and the epoch's number alone: a run that resumes at epoch n sees
    what the uninterrupted run saw. The last, smaller batch of an epoch is left out.

    Args:
        heads: names under which the loss expects the targets.
        start_epoch: number of the first epoch, from 0.

    Returns:
        Dataset of (crops (B, H, W, 3) uint8, {head: targets (B, K, 4)}), see `targets`; and steps an epoch.

    Raises:
        MsposeError: no such split, a bad shard, or fewer persons than a batch.
    """
    split, batch = config.data.train_split, config.training.batch_size
    files, persons = data.files(split), data.persons(split)
    if persons < batch:
        raise records.MsposeError(
            f"{data.folder}: split {split!r} has {persons} persons, fewer than a batch of {batch}"
        )
    steps = config.training.steps_per_epoch or persons // batch
    seed = tf.constant(config.training.seed, tf.int64)
    rounds = -(-steps * batch // persons)
    shuffle = tf.random.experimental.stateless_shuffle

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # tf.data's own shuffle takes no seed that changes by epoch, and its state cannot be rebuilt at epoch n.
        key = tf.stack([seed, number])
        shards = tf.data.Dataset.from_tensor_slices(shuffle(files, key))
        found = shards.interleave(tf.data.TFRecordDataset, cycle_length=READERS).repeat(rounds)
        blocks = found.batch(config.data.shuffle_buffer).enumerate()
        mixed = blocks.map(lambda i, block: shuffle(block, key + tf.stack([i + 1, 0]))).prefetch(1).unbatch()
        numbered = mixed.take(steps * batch).enumerate()
        return numbered.map(lambda i, record: (key * [1, 1_000_003] + tf.stack([i, 0]), record))

    def prepare(seeds: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        person = records.parse(record, len(data.skeleton))
        return augmented_crop(person, data, config, seeds)

    def finish(crops: tf.Tensor, target: tf.Tensor, colour: tf.Tensor) -> tuple[tf.Tensor, dict]:
        crops = augment.change_colour(crops, colour) if config.data.augment.colour else crops
        return crops, dict.fromkeys(heads, target)

    batches = (
        tf.data.Dataset.range(start_epoch, tf.int64.max)
        .flat_map(epoch)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch, drop_remainder=True)
        .map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return batches, steps


def evaluation_batches(
    data: records.RecordSet,
    split: str,
    crop_size: tuple[int, int],
    box: str,
    batch_size: int,
    *,
    persons: int | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Every person of a split once, in order, not augmented.

    Returns:
        Dataset of dicts: `crop` (B, H, W, 3) uint8, `targets` (B, K, 4), `matrix` (B, 2, 3) photograph to crop,
        `keypoints` (B, K, 3) in photograph pixels, `reference` (B,) the metric's length in photograph pixels,
        `box` (B, 3), `origin` (B, 3) of stored person crops (see `geometry.uncrop`), and `image` (the encoded
        photograph), `image_name`, `person_id`, `activity` (B,).
    """

    def prepare(record: tf.Tensor) -> dict[str, tf.Tensor]:
        person = records.parse(record, len(data.skeleton))
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
    """One person as training sees it, but for the colours, which are changed by the batch.

    Args:
        person: as `records.parse` gives it.
        seeds: (2,) int64, unlike for every person and epoch.

    Returns:
        crop (H, W, 3) uint8, targets (K, 4) (see `targets`), and the colour factors (3,).
    """
    settings: AugmentConfig = config.data.augment
    size = config.model.input_size
    drawn = augment.draw(settings, seeds)
    own, whole = person_box(person, config.data.box), person_box(person, "image")
    center, side = (tf.where(drawn.whole_image, w, o) for w, o in zip(whole, own, strict=True))
    matrix = geometry.crop_transform(
        center + drawn.shift * side, side / drawn.scale, size, rotation=drawn.rotation, flip=drawn.flip
    )
    crop = resample.crop_from_jpeg(person["image"], matrix, size)
    reference = reference_length(person, data.metric, data.skeleton) * max(size) * drawn.scale / side
    target = targets(person["keypoints"], matrix, reference)
    return crop, augment.flip_keypoints(target, drawn.flip, tf.constant(data.skeleton.flip_order)), drawn.colour
