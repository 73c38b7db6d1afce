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
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from keras_mspose import allocator, augment, metrics, mixing, pipeline, run_folder, saved_model
from keras_mspose.config import RunConfig, TrainingConfig
from keras_mspose.errors import MsposeError
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.losses import HeatmapLoss
from keras_mspose.model import answer_name, build_model, head_scale, head_stride
from keras_mspose.optimizer import Adam
from keras_mspose.progress import TrainingProgress
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts

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
            compile_model(model, settings, data, steps)
            state = tf.train.Checkpoint(model=model, optimizer=model.optimizer, epoch=tf.Variable(0, dtype=tf.int64))
    finally:
        keras.config.set_dtype_policy("float32")
    manager = tf.train.CheckpointManager(state, str(out / "checkpoints"), settings.keep_checkpoints)
    start = _restore(state, manager, out, settings.epochs)
    if start == 0 and settings.start_from:
        _take_weights(model, facts, Path(settings.start_from))
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


def compile_model(model: keras.Model, settings: TrainingConfig, data: RecordSet, steps: int) -> None:
    """Give the network its optimizer, equation 1 for every head, and the accuracy of its answer.

    Args:
        steps: of an epoch, for the learning rate's decay.
    """
    answer = answer_name(model)
    metric = CorrectKeypoints(
        len(data.skeleton),
        data.skeleton.scored_indices,
        metrics.THRESHOLDS[data.metric],
        stride=head_stride(answer),
        sigma=settings.sigma,
        name=data.metric,
    )
    model.compile(
        optimizer=Adam(WarmupDecay.of(settings, steps)),
        loss={name: HeatmapLoss(head_scale(name), settings.sigma, settings.pyramid) for name in model.output_names},
        metrics={answer: [metric]},
    )
    model.optimizer.build(model.trainable_variables)  # else fit traces the optimizer twice


def val_key(model: keras.Model, metric: str) -> str:
    """Name of the validation accuracy in the logs of `fit`."""
    return f"val_{answer_name(model)}_{metric}" if len(model.output_names) > 1 else f"val_{metric}"


@keras.saving.register_keras_serializable("keras_mspose")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly over the first steps, then follows steps down, a cosine, or stays.

    Args:
        peak: largest learning rate.
        warmup: steps of the rise.
        total: steps of the whole run.
        decay: `steps`, `cosine` or `constant`.
        boundaries: for `steps`, after which step numbers the rate is multiplied by `factor`.
        floor: for `cosine`, the share of the peak that is left at the end.
    """

    def __init__(
        self,
        peak: float,
        warmup: int,
        total: int,
        decay: str,
        boundaries: list[int],
        factor: float,
        floor: float = 0.01,
    ):
        self.settings = dict(
            peak=peak, warmup=warmup, total=total, decay=decay, boundaries=list(boundaries), factor=factor, floor=floor
        )

    @classmethod
    def of(cls, settings: TrainingConfig, steps: int) -> WarmupDecay:
        """The schedule of a training configuration with `steps` steps an epoch."""
        boundaries = [epoch * steps for epoch in settings.decay_epochs]
        total = settings.epochs * steps
        return cls(
            settings.learning_rate, settings.warmup_steps, total, settings.decay, boundaries, settings.decay_factor
        )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        s = self.settings
        now = tf.cast(step, tf.float32)
        rate = tf.constant(s["peak"], tf.float32)
        if s["decay"] == "cosine":
            done = tf.clip_by_value((now - s["warmup"]) / max(s["total"] - s["warmup"], 1), 0.0, 1.0)
            rate *= s["floor"] + (1 - s["floor"]) * 0.5 * (1 + tf.cos(3.141592653589793 * done))
        elif s["decay"] == "steps" and s["boundaries"]:
            passed = tf.reduce_sum(tf.cast(now >= tf.constant(s["boundaries"], tf.float32), tf.float32))
            rate *= tf.pow(tf.constant(s["factor"], tf.float32), passed)
        return rate * tf.minimum(1.0, (now + 1) / s["warmup"]) if s["warmup"] else rate

    def get_config(self) -> dict:
        return dict(self.settings)


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


def _take_weights(model: keras.Model, facts: Facts, source: Path) -> None:
    """Begin with another run's weights, of crops of any size; the optimizer and the schedule begin anew."""
    other, theirs = saved_model.load(source)
    same_size = replace(theirs.config.model, input_size=facts.config.model.input_size)
    if theirs.skeleton.keypoints != facts.skeleton.keypoints or same_size != facts.config.model:
        raise MsposeError(
            f"training.start_from {source}: another network or skeleton ({theirs.config.model}, "
            f"{theirs.skeleton.name}); expected {facts.config.model}, {facts.skeleton.name}"
        )
    for layer in model.layers:
        layer.set_weights(other.get_layer(layer.name).get_weights())
    print(f"starting from {source}")


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
