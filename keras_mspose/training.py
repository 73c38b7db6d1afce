"""One training run: `model.fit` under MirroredStrategy, into a run folder that the same command continues.

RUN/config.json     the configuration, skeleton, data and versions
RUN/log.csv         every loss and metric of every epoch; RUN/tensorboard/ the same
RUN/checkpoints/    all that is needed to go on at the exact step after a kill
RUN/best.keras      the network with the best validation accuracy; RUN/last.keras the newest
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from keras_mspose import allocator, augment, metrics, mixing, pipeline, run_folder, saved_model
from keras_mspose.averaging import Average, Averaging
from keras_mspose.checkpoints import Checkpoints
from keras_mspose.config import RunConfig
from keras_mspose.distillation import ENDING, TaughtLoss, shared_weights, with_teacher
from keras_mspose.errors import MsposeError
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.fit_together import TogetherModel, heeded, together
from keras_mspose.input_wait import InputWait
from keras_mspose.interruption import wishes
from keras_mspose.keeper import Keeper
from keras_mspose.losses import HeatmapLoss, skeleton_groups
from keras_mspose.model import REGRESSION, answer_name, build_model, head_scale, head_stride
from keras_mspose.optimizer import Adam
from keras_mspose.progress import TrainingProgress
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts
from keras_mspose.schedule import WarmupDecay
from keras_mspose.start_from import take_weights
from keras_mspose.training_images import TrainingImages
from keras_mspose.workers import Workers


def train(
    config: RunConfig,
    data: RecordSet | Sequence[RecordSet],
    out: Path,
    *,
    devices: list[str] | None = None,
    workers: Workers | None = None,
) -> Path:
    """Train a network, or go on where an earlier call with the same arguments stopped.

    Args:
        config: the recipe.
        data: the record folder, or several to train on together (see `mixing`): the first one's validation split and
            metric count.
        out: run folder; made if missing.
        devices: such as ["GPU:0", "GPU:1"]; all GPUs, or the CPU, where None.
        workers: who trains together, from `Workers.join`; instead of `devices`.

    Returns:
        Path of the best network, `out / "best.keras"`.

    Raises:
        MsposeError: `out` holds something else or cannot be written, the batch size does not divide over the devices,
            the skeleton lacks what the augmentation needs, the loss is not a number, or what `mixing.mix` refuses.
        Interrupted: by SIGTERM, Ctrl-C or the loss of another worker; the same command goes on.
    """
    workers = workers or Workers.here(devices)
    with workers.lost_named(out):
        return _train(config, data, out, workers)


def _train(config: RunConfig, data: RecordSet | Sequence[RecordSet], out: Path, workers: Workers) -> Path:
    given = [data] if isinstance(data, RecordSet) else list(data)
    sets = mixing.mix(given, config.data)
    data = sets[0]
    augment.check(config.data.augment, data.skeleton)
    facts = Facts(data.skeleton, data.metric, config)
    workers.agree("recipe and data", [facts.to_dict(), [one.to_dict() for one in given]])
    workers.by_chief(lambda: run_folder.claim(out, facts, given))
    workers.agree("run folder", (out / run_folder.CONFIG).is_file())
    allocator.keep_freed_memory()
    settings = config.training
    if settings.batch_size % workers.replicas:
        raise MsposeError(f"training.batch_size {settings.batch_size} does not divide over {workers.replicas} devices")

    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    try:
        steps = pipeline.epoch_steps(sets, config)
        with workers.strategy.scope():
            model = build_model(config.model, len(data.skeleton))
            learner = with_teacher(model, facts) if settings.teacher else model
        if workers.count > 1:
            learner = together(learner, workers)
        with workers.strategy.scope():
            compile_model(learner, facts, steps)
            average = Average(model, settings.ema) if settings.ema else None
            checkpoints = Checkpoints(out, model, learner.optimizer, average, settings.keep_checkpoints)
    finally:
        keras.config.set_dtype_policy("float32")
    restored = checkpoints.restore()
    begun = checkpoints.epoch, checkpoints.step
    workers.agree("checkpoint", begun)
    if restored and workers.chief:
        within = f", step {begun[1]} of {steps}" if begun[1] else ""
        print(f"resuming {out} after epoch {begun[0]} of {settings.epochs}{within}, from {restored}")
    elif settings.start_from and not restored:
        take_weights(model, facts, Path(settings.start_from))
        if average:
            average.restart()
    if begun[0] < settings.epochs:
        with damage_named(data, config.data.train_split, *sets[1:]), wishes() as wish:
            keeper = Keeper(
                out,
                facts,
                checkpoints,
                model,
                average,
                val_key(learner, data.metric),
                steps,
                heeded(learner, wish),
                lambda epoch, step: pipeline.batch_names(sets, config, epoch, step, workers.place),
                workers,
            )
            _fit(learner, sets, config, keeper, begun)
    return saved_model.find(out) if workers.chief else out / saved_model.BEST


def _fit(
    model: keras.Model, sets: Sequence[RecordSet], config: RunConfig, keeper: Keeper, begun: tuple[int, int]
) -> None:
    """Train `model`, the network or more about it, from a place, (epoch, step), to the end.

    An epoch that was interrupted is a `fit` of its own, of the steps that are left. Where only its validation is left,
    that takes place as in `fit`.
    """
    settings, steps, heads, workers = config.training, keeper.steps, list(model.output_names), keeper.workers
    validation = _validation_batches(sets[0], config, heads, workers)
    if isinstance(model, TogetherModel):
        model.build_metrics(validation)
    progress = TrainingProgress(settings.epochs, steps, settings.batch_size, answer_name(model), begun)
    callbacks = [
        InputWait(model),
        *([Averaging(keeper.average)] if keeper.average else []),
        keeper,
    ]
    if workers.chief:
        callbacks += [keras.callbacks.TensorBoard(keeper.out / "tensorboard", write_graph=False), progress]
    if workers.chief and settings.images_every:
        callbacks.append(TrainingImages(keeper.out, keeper.network, keeper.average, sets[0], config))

    def fit(epoch: int, step: int, end: int) -> None:
        batches, _ = pipeline.training_batches(
            sets, config, heads, start_epoch=epoch, start_step=step, worker=workers.place
        )
        model.fit(
            batches,
            steps_per_epoch=steps - step,
            epochs=end,
            initial_epoch=epoch,
            validation_data=validation,
            shuffle=False,  # the pipeline has shuffled already
            verbose=0,
            callbacks=callbacks,
        )

    epoch, step = begun
    try:
        if step == steps:
            _end_epoch(model, validation, callbacks, epoch)
        elif step:
            fit(epoch, step, epoch + 1)
        if step:
            epoch += 1
        if epoch < settings.epochs:
            fit(epoch, 0, settings.epochs)
    finally:
        progress.stop()


def _end_epoch(
    model: keras.Model, validation: tf.data.Dataset, callbacks: list[keras.callbacks.Callback], epoch: int
) -> None:
    """What `fit` does after the last step of an epoch."""
    listeners = keras.callbacks.CallbackList(callbacks, model=model)
    listeners.on_train_begin()
    found = model.evaluate(validation, verbose=0, callbacks=listeners, return_dict=True)
    model.reset_metrics()
    listeners.on_epoch_begin(epoch)  # the metrics get back what they had summed up
    listeners.on_epoch_end(epoch, model.get_metrics_result() | {f"val_{name}": value for name, value in found.items()})
    listeners.on_train_end()


def compile_model(model: keras.Model, facts: Facts, steps: int) -> None:
    """Give the network its optimizer, the loss of every head, and the accuracy of its answer.

    Args:
        model: the network, or what `distillation.with_teacher` made of it.
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
    """The loss of every output by its name: equation 1 for heads, with what the recipe adds to it."""
    settings = facts.config.training
    groups = skeleton_groups(facts.skeleton) if settings.structure else None
    return {
        name: TaughtLoss()
        if name.endswith(ENDING)
        else HeatmapLoss(
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
    """The weight of every output's loss by its name; None where all are 1."""
    given, scales, names = config.training.scale_weights, config.model.scales, model.output_names
    taught = any(name.endswith(ENDING) for name in names)
    if given is None and not taught:
        return None
    weights = dict(zip(scales, given or [1.0] * len(scales), strict=True))
    heads = [name for name in names if not name.endswith(ENDING)]
    found = {name: 1.0 if name == REGRESSION else weights[head_scale(name)] for name in heads}
    return shared_weights(names, found, config.training.teacher_weight) if taught else found


def val_key(model: keras.Model, metric: str) -> str:
    """Name of the validation accuracy in the logs of `fit`."""
    return f"val_{answer_name(model)}_{metric}" if len(model.output_names) > 1 else f"val_{metric}"


def _validation_batches(data: RecordSet, config: RunConfig, heads: list[str], workers: Workers) -> tf.data.Dataset:
    """The validation split, this worker's part, filled up until it divides over the replicas, as Keras needs. Who fills
    it has no reference length and does not count in the accuracy."""
    split, settings, (index, count) = config.data.val_split, config.training, workers.place
    persons = min(data.persons(split), settings.val_persons or sys.maxsize)
    total, batch = -(-persons // workers.replicas) * workers.replicas, settings.batch_size // count
    batches = pipeline.evaluation_batches(
        data,
        split,
        config.model.input_size,
        config.data.box,
        batch,
        persons=persons,
        worker=workers.place,
        total=total,
    )

    def filled(number: tf.Tensor, found: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        targets = found["targets"]
        places = (number * batch + tf.range(tf.shape(targets)[0], dtype=tf.int64)) * count + index
        reference = targets[..., 3:] * tf.cast(places < persons, tf.float32)[:, None, None]
        return found["crop"], dict.fromkeys(heads, tf.concat([targets[..., :3], reference], axis=-1))

    # Without its length Keras warns that a finite data set ran out, as if something had gone wrong.
    length = -(-total // settings.batch_size)
    return batches.enumerate().map(filled).apply(tf.data.experimental.assert_cardinality(length))
