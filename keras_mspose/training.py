"""One training run: `model.fit` under MirroredStrategy, into a run folder that the same command continues.

RUN/config.json     the configuration, skeleton, data and versions
RUN/lock            held by the process that trains here
RUN/log.csv         every loss and metric of every epoch; RUN/tensorboard/ the same
RUN/checkpoints/    all that is needed to go on at the exact step after a kill
RUN/best.keras      the network with the best validation accuracy; RUN/last.keras the newest
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import keras
import tensorflow as tf

from keras_mspose import allocator, augment, mixing, pipeline, run_folder, saved_model
from keras_mspose.averaging import Average, Averaging
from keras_mspose.board import Board
from keras_mspose.checkpoints import Checkpoints
from keras_mspose.config import RunConfig, TrainingConfig
from keras_mspose.cores import warn_of_slow
from keras_mspose.errors import MsposeError
from keras_mspose.fit_together import TogetherModel, heeded, together
from keras_mspose.input_wait import InputWait
from keras_mspose.interruption import wishes
from keras_mspose.keeper import Keeper
from keras_mspose.learner import learner_of
from keras_mspose.model import answer_name, build_model
from keras_mspose.objective import compile_model, val_key
from keras_mspose.progress import TrainingProgress
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts
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
        MsposeError: `out` holds something else, another process trains there or it cannot be written, the batch size
            does not divide over the devices and parts, the skeleton lacks what the augmentation needs, the loss is not
            a number, or what `mixing.mix` refuses.
        Interrupted: by SIGTERM, Ctrl-C or the loss of another worker; the same command goes on.
    """
    workers = workers or Workers.here(devices)
    with workers.lost_named(out), ExitStack() as held:
        return _train(config, data, out, workers, held)


def _train(
    config: RunConfig, data: RecordSet | Sequence[RecordSet], out: Path, workers: Workers, held: ExitStack
) -> Path:
    given = [data] if isinstance(data, RecordSet) else list(data)
    sets = mixing.mix(given, config.data)
    data = sets[0]
    augment.check(config.data.augment, data.skeleton)
    facts = Facts(data.skeleton, data.metric, config)
    workers.agree("recipe and data", [facts.to_dict(), [one.to_dict() for one in given]])
    workers.by_chief(lambda: held.enter_context(run_folder.claim(out, facts, given)))
    workers.agree("run folder", (out / run_folder.CONFIG).is_file())
    allocator.keep_freed_memory()
    settings = config.training
    check_batch(settings, workers)
    if workers.chief:
        warn_of_slow(settings.precision, workers.strategy.extended.worker_devices)

    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    try:
        steps = pipeline.epoch_steps(sets, config)
        with workers.strategy.scope():
            model = build_model(config.model, len(data.skeleton))
            learner = learner_of(model, facts)
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
    if restored:
        within = f", step {begun[1]} of {steps}" if begun[1] else ""
        if workers.chief:
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
        named = keeper.checkpoints.disk_errors_named
        callbacks += [Board(keeper.out, named), progress]
        if settings.images_every:
            callbacks.append(TrainingImages(keeper.out, keeper.network, keeper.average, sets[0], config, named))

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


def check_batch(settings: TrainingConfig, workers: Workers) -> None:
    """Whether a batch can be cut into equal shares for the devices, and each share into equal parts.

    Raises:
        MsposeError: it cannot, or memory is to be saved where several machines train, which is not built.
    """
    batch, parts, replicas = settings.batch_size, settings.accumulate or 1, workers.replicas
    if workers.count > 1 and (parts > 1 or settings.checkpoint_gradients):
        raise MsposeError(
            "training.accumulate and training.checkpoint_gradients: not together with TF_CONFIG; each machine more has "
            "a smaller share of the batch"
        )
    if batch % replicas:
        raise MsposeError(f"training.batch_size {batch} does not divide over {replicas} devices")
    if batch % (replicas * parts):
        share = f" ({batch // replicas} on each of {replicas} devices)" if replicas > 1 else ""
        raise MsposeError(
            f"training.accumulate {parts} does not divide training.batch_size {batch}{share}: expected a multiple of "
            f"{replicas * parts} persons"
        )


def _validation_batches(data: RecordSet, config: RunConfig, heads: list[str], workers: Workers) -> tf.data.Dataset:
    """The validation split, this worker's part, filled up until it divides over the replicas, as Keras needs. Who fills
    it has no reference length and does not count in the accuracy."""
    split, settings, (index, count) = config.data.val_split, config.training, workers.place
    persons = min(data.persons(split), settings.val_persons or sys.maxsize)
    total = -(-persons // workers.replicas) * workers.replicas
    step = settings.batch_size // (settings.accumulate or 1)
    batch = step // count
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
    length = -(-total // step)
    return batches.enumerate().map(filled).apply(tf.data.experimental.assert_cardinality(length))
