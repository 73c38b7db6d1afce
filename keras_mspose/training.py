"""One training run: `model.fit` under MirroredStrategy, into a run folder that the same command continues.

RUN/config.json     the configuration, skeleton, data and versions
RUN/log.csv         every loss and metric of every epoch; RUN/tensorboard/ the same
RUN/checkpoints/    weights, optimizer and epoch, for going on after a kill
RUN/best.keras      the network with the best validation accuracy; RUN/last.keras the newest
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from keras_mspose import allocator, augment, metrics, mixing, pipeline, run_folder, saved_model
from keras_mspose.config import RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.losses import HeatmapLoss, skeleton_groups
from keras_mspose.model import REGRESSION, answer_name, build_model, head_scale, head_stride
from keras_mspose.optimizer import Adam
from keras_mspose.progress import TrainingProgress
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts
from keras_mspose.schedule import WarmupDecay
from keras_mspose.start_from import take_weights

LOG = "log.csv"


def train(
    config: RunConfig, data: RecordSet | Sequence[RecordSet], out: Path, *, devices: list[str] | None = None
) -> Path:
    """Train a network, or go on where an earlier call with the same arguments stopped.

    Args:
        config: the recipe.
        data: the record folder, or several to train on together (see `mixing`): the first one's validation split and
            metric count.
        out: run folder; made if missing.
        devices: such as ["GPU:0", "GPU:1"]; all GPUs, or the CPU, where None.

    Returns:
        Path of the best network, `out / "best.keras"`.

    Raises:
        MsposeError: `out` holds something else, the batch size does not divide over the devices, the skeleton lacks
            what the augmentation needs, or what `mixing.mix` refuses.
    """
    given = [data] if isinstance(data, RecordSet) else list(data)
    sets = mixing.mix(given, config.data)
    data = sets[0]
    augment.check(config.data.augment, data.skeleton)
    facts = Facts(data.skeleton, data.metric, config)
    run_folder.claim(out, facts, given)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    allocator.keep_freed_memory()
    strategy = tf.distribute.MirroredStrategy(devices)
    settings, replicas = config.training, strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise MsposeError(f"training.batch_size {settings.batch_size} does not divide over {replicas} devices")

    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    try:
        with strategy.scope():
            model = build_model(config.model, len(data.skeleton))
            steps = pipeline.epoch_steps(sets, config)
            compile_model(model, facts, steps)
            state = tf.train.Checkpoint(model=model, optimizer=model.optimizer, epoch=tf.Variable(0, dtype=tf.int64))
    finally:
        keras.config.set_dtype_policy("float32")
    manager = tf.train.CheckpointManager(state, str(out / "checkpoints"), settings.keep_checkpoints)
    start = _restore(state, manager, out, settings.epochs)
    if start == 0 and settings.start_from:
        take_weights(model, facts, Path(settings.start_from))
    if start >= settings.epochs:
        return saved_model.find(out)

    heads = list(model.output_names)
    batches, steps = pipeline.training_batches(sets, config, heads, start_epoch=start)
    with damage_named(data, config.data.train_split, *sets[1:]):
        model.fit(
            batches,
            steps_per_epoch=steps,
            epochs=settings.epochs,
            initial_epoch=start,
            validation_data=_validation_batches(data, config, heads, replicas),
            shuffle=False,  # the pipeline has shuffled already
            verbose=0,
            callbacks=[
                keras.callbacks.TerminateOnNaN(),
                # The row first: a kill between the two then repeats the epoch and its row, instead of losing the row.
                keras.callbacks.CSVLogger(out / LOG, append=True),
                _Keeper(out, facts, state, manager, val_key(model, data.metric)),
                keras.callbacks.TensorBoard(out / "tensorboard", write_graph=False),
                TrainingProgress(settings.epochs, steps, settings.batch_size, answer_name(model)),
            ],
        )
    return saved_model.find(out)


def compile_model(model: keras.Model, facts: Facts, steps: int) -> None:
    """Give the network its optimizer, the loss of every head, and the accuracy of its answer.

    Args:
        facts: skeleton, metric and recipe.
        steps: of an epoch, for the learning rate's decay.
    """
    answer, settings, skeleton = answer_name(model), facts.config.training, facts.skeleton
    metric = CorrectKeypoints(
        len(skeleton),
        skeleton.scored_indices,
        metrics.THRESHOLDS[facts.metric],
        stride=head_stride(answer),
        sigma=settings.sigma,
        name=facts.metric,
    )
    optimizer = Adam(WarmupDecay.of(settings, steps), weight_decay=settings.weight_decay or None)
    optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) < 2])
    model.compile(
        optimizer=optimizer,
        loss=head_losses(model, facts),
        loss_weights=loss_weights(model, facts.config),
        metrics={answer: [metric]},
    )
    model.optimizer.build(model.trainable_variables)  # else fit traces the optimizer twice


def head_losses(model: keras.Model, facts: Facts) -> dict[str, HeatmapLoss]:
    """The loss of every head by its name: equation 1, with what the recipe adds to it."""
    settings = facts.config.training
    groups = skeleton_groups(facts.skeleton) if settings.structure else None
    return {
        name: HeatmapLoss(
            head_scale(name),
            settings.sigma,
            settings.pyramid,
            settings.hard_keypoints if name == answer_name(model) else None,
            settings.structure,
            groups,
        )
        for name in model.output_names
    }


def loss_weights(model: keras.Model, config: RunConfig) -> dict[str, float] | None:
    """The weight of every head's loss by its name; None where all are 1."""
    if config.training.scale_weights is None:
        return None
    weights = dict(zip(config.model.scales, config.training.scale_weights, strict=True))
    return {name: 1.0 if name == REGRESSION else weights[head_scale(name)] for name in model.output_names}


def val_key(model: keras.Model, metric: str) -> str:
    """Name of the validation accuracy in the logs of `fit`."""
    return f"val_{answer_name(model)}_{metric}" if len(model.output_names) > 1 else f"val_{metric}"


class _Keeper(keras.callbacks.Callback):
    """After each epoch: the best and the last network, then the checkpoint that a resumed run starts from."""

    def __init__(
        self, out: Path, facts: Facts, state: tf.train.Checkpoint, manager: tf.train.CheckpointManager, key: str
    ):
        super().__init__()
        self.out, self.facts, self.state, self.manager, self.key = out, facts, state, manager, key
        self.best = max((float(row[key]) for row in read_log(out) if row.get(key)), default=float("-inf"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not tf.math.is_finite(logs["loss"]):
            return
        saved_model.save(self.model, self.out / saved_model.LAST, self.facts)
        if logs[self.key] > self.best:
            self.best = logs[self.key]
            saved_model.save(self.model, self.out / saved_model.BEST, self.facts)
        self.state.epoch.assign(epoch + 1)
        self.manager.save(checkpoint_number=epoch + 1)


def read_log(out: Path) -> list[dict[str, str]]:
    """Rows of a run's log.csv; empty where there is none."""
    path = out / LOG
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _validation_batches(data: RecordSet, config: RunConfig, heads: list[str], replicas: int) -> tf.data.Dataset:
    """The validation split, its last batch filled up until it divides over the replicas, as Keras needs. Who fills it
    has no reference length and does not count in the accuracy."""

    batches = pipeline.evaluation_batches(
        data,
        config.data.val_split,
        config.model.input_size,
        config.data.box,
        config.training.batch_size,
        persons=config.training.val_persons,
    )

    def filled(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        crops, targets = batch["crop"], batch["targets"]
        index = tf.range(-(-tf.shape(crops)[0] // replicas) * replicas) % tf.shape(crops)[0]
        counted = tf.range(tf.shape(index)[0]) < tf.shape(crops)[0]
        crops, targets = tf.gather(crops, index), tf.gather(targets, index)
        reference = targets[..., 3:] * tf.cast(counted, tf.float32)[:, None, None]
        return crops, dict.fromkeys(heads, tf.concat([targets[..., :3], reference], axis=-1))

    # Without its length Keras warns that a finite data set ran out, as if something had gone wrong.
    persons = min(data.persons(config.data.val_split), config.training.val_persons or sys.maxsize)
    length = -(-persons // config.training.batch_size)
    return batches.map(filled).apply(tf.data.experimental.assert_cardinality(length))


def _restore(state: tf.train.Checkpoint, manager: tf.train.CheckpointManager, out: Path, epochs: int) -> int:
    """Load the newest checkpoint, if any, and drop log rows of epochs that will be trained again."""
    if manager.latest_checkpoint is None:
        return 0
    state.restore(manager.latest_checkpoint).assert_existing_objects_matched()
    start = int(state.epoch.numpy())
    print(f"resuming {out} after epoch {start} of {epochs}, from {manager.latest_checkpoint}")
    rows = [row for row in read_log(out) if int(row["epoch"]) < start]
    if rows:
        partial = out / f"{LOG}.partial"
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, out / LOG)
    else:
        (out / LOG).unlink(missing_ok=True)
    return start
