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
from keras_mspose.config import RunConfig, TrainingConfig
from keras_mspose.distillation import ENDING, TaughtLoss, shared_weights, with_teacher
from keras_mspose.errors import MsposeError
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.input_wait import InputWait
from keras_mspose.interruption import wishes
from keras_mspose.keeper import Keeper
from keras_mspose.learner import Learner
from keras_mspose.losses import HeatmapLoss, skeleton_groups
from keras_mspose.model import REGRESSION, answer_name, build_model, head_scale, head_stride
from keras_mspose.optimizer import Adam
from keras_mspose.progress import TrainingProgress
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts
from keras_mspose.schedule import WarmupDecay
from keras_mspose.start_from import take_weights
from keras_mspose.training_images import TrainingImages


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
        MsposeError: `out` holds something else or cannot be written, the batch size does not divide over the devices
            and parts, the skeleton lacks what the augmentation needs, the loss is not a number, or what `mixing.mix`
            refuses.
        Interrupted: by SIGTERM or Ctrl-C; what was trained is saved.
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
    check_batch(settings, replicas)

    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    try:
        with strategy.scope():
            model = build_model(config.model, len(data.skeleton))
            steps = pipeline.epoch_steps(sets, config)
            learner = learner_of(model, facts, steps)
            average = Average(model, settings.ema) if settings.ema else None
            checkpoints = Checkpoints(out, model, learner.optimizer, average, settings.keep_checkpoints)
    finally:
        keras.config.set_dtype_policy("float32")
    restored = checkpoints.restore()
    begun = checkpoints.epoch, checkpoints.step
    if restored:
        within = f", step {begun[1]} of {steps}" if begun[1] else ""
        print(f"resuming {out} after epoch {begun[0]} of {settings.epochs}{within}, from {restored}")
    elif settings.start_from:
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
                wish,
                lambda epoch, step: pipeline.batch_names(sets, config, epoch, step),
            )
            _fit(learner, sets, config, keeper, begun)
    return saved_model.find(out)


def _fit(
    model: keras.Model, sets: Sequence[RecordSet], config: RunConfig, keeper: Keeper, begun: tuple[int, int]
) -> None:
    """Train `model`, the network or more about it, from a place, (epoch, step), to the end.

    An epoch that was interrupted is a `fit` of its own, of the steps that are left. Where only its validation is left,
    that takes place as in `fit`.
    """
    settings, steps, heads = config.training, keeper.steps, list(model.output_names)
    validation = _validation_batches(sets[0], config, heads, model.distribute_strategy.num_replicas_in_sync)
    progress = TrainingProgress(settings.epochs, steps, settings.batch_size, answer_name(model), begun)
    callbacks = [
        InputWait(model),
        *([Averaging(keeper.average)] if keeper.average else []),
        keeper,
        keras.callbacks.TensorBoard(keeper.out / "tensorboard", write_graph=False),
        progress,
    ]
    if settings.images_every:
        callbacks.append(TrainingImages(keeper.out, keeper.network, keeper.average, sets[0], config))

    def fit(epoch: int, step: int, end: int) -> None:
        batches, _ = pipeline.training_batches(sets, config, heads, start_epoch=epoch, start_step=step)
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


def check_batch(settings: TrainingConfig, replicas: int) -> None:
    """Whether a batch can be cut into equal shares for the devices, and each share into equal parts.

    Raises:
        MsposeError: it cannot.
    """
    batch, parts = settings.batch_size, settings.accumulate or 1
    if batch % replicas:
        raise MsposeError(f"training.batch_size {batch} does not divide over {replicas} devices")
    if batch % (replicas * parts):
        share = f" ({batch // replicas} on each of {replicas} devices)" if replicas > 1 else ""
        raise MsposeError(
            f"training.accumulate {parts} does not divide training.batch_size {batch}{share}: expected a multiple of "
            f"{replicas * parts} persons"
        )


def learner_of(model: keras.Model, facts: Facts, steps: int) -> keras.Model:
    """What `fit` trains, compiled: the network itself, or more about it, with the same weights.

    Args:
        model: the network.
        facts: skeleton, metric and recipe.
        steps: of an epoch, for the learning rate's decay.
    """
    settings = facts.config.training
    learner = with_teacher(model, facts) if settings.teacher else model
    if (settings.accumulate or 1) > 1 or settings.checkpoint_gradients:
        learner = Learner(learner, parts=settings.accumulate or 1, recompute=settings.checkpoint_gradients)
    compile_model(learner, facts, steps)
    return learner


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


def _validation_batches(data: RecordSet, config: RunConfig, heads: list[str], replicas: int) -> tf.data.Dataset:
    """The validation split, its last batch filled up until it divides over the replicas, as Keras needs. Who fills it
    has no reference length and does not count in the accuracy."""
    batch = config.training.batch_size // (config.training.accumulate or 1)
    batches = pipeline.evaluation_batches(
        data,
        config.data.val_split,
        config.model.input_size,
        config.data.box,
        batch,
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
    length = -(-persons // batch)
    return batches.map(filled).apply(tf.data.experimental.assert_cardinality(length))
