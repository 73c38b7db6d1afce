"""One training run, into a run folder that the same command goes on with after whatever ended it (docs/training.md).

RUN/config.json     the configuration, skeleton, data and versions
RUN/log.csv         every loss and metric of every epoch; RUN/tensorboard/ the same
RUN/checkpoints/    all that is needed to go on at the exact step
RUN/best.keras      the network with the best validation accuracy; RUN/last.keras the newest
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mspose import augment, mixing, pipeline, run_folder, saved_model
from keras_mspose.averaging import Average
from keras_mspose.checkpoints import Checkpoints
from keras_mspose.config import RunConfig, TrainingConfig
from keras_mspose.distillation import Teacher
from keras_mspose.errors import MsposeError
from keras_mspose.interruption import CODES, Interrupted, Wish, wishes
from keras_mspose.keeper import Keeper
from keras_mspose.model import build_model
from keras_mspose.objective import Objective, accuracy_name
from keras_mspose.optimizer import Adam
from keras_mspose.progress import TrainingProgress
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts
from keras_mspose.schedule import WarmupDecay
from keras_mspose.start_from import take_weights
from keras_mspose.train_step import VOTES, training_step
from keras_mspose.validation import Validation
from keras_mspose.workers import Workers


def train(
    config: RunConfig, data: RecordSet | Sequence[RecordSet], out: Path, *, devices: list[str] | None = None
) -> Path:
    """Train a network, or go on where an earlier call with the same arguments stopped.

    Args:
        config: the recipe.
        data: the record folder, or several to train on together (see `mixing`): the first one's validation split and
            metric count.
        out: run folder; made if missing.
        devices: such as ["GPU:0", "GPU:1"]; all GPUs, or the CPU, where None. With the environment variable
            `TF_CONFIG`, several machines train together; see `workers`.

    Returns:
        Path of the best network, `out / "best.keras"`.

    Raises:
        MsposeError: `out` holds something else or cannot be written, the batch size does not divide over the devices,
            the skeleton lacks what the augmentation needs, the loss is not a number, or what `mixing.mix` refuses.
        Interrupted: by SIGTERM, Ctrl-C or the loss of another machine; what was trained is saved.
    """
    given = [data] if isinstance(data, RecordSet) else list(data)
    sets, settings = mixing.mix(given, config.data), config.training
    augment.check(config.data.augment, sets[0].skeleton)
    facts = Facts(sets[0].skeleton, sets[0].metric, config)
    mined, there = settings.hard_keypoints or 0, len(facts.skeleton)
    if mined > there:
        raise MsposeError(f"training.hard_keypoints {mined}: {facts.skeleton.name} has {there} keypoints")
    workers = Workers.join(devices)
    if workers.chief:
        run_folder.claim(out, facts, given)
    with wishes() as wish, workers.lost_named(out), damage_named(sets[0], config.data.train_split, *sets[1:]):
        workers.agree("recipe, data and run folder", [facts.to_dict(), [one.to_dict() for one in given], out.name])
        parts = workers.replicas // workers.count * settings.accumulate
        if settings.batch_size % (workers.count * parts):
            raise MsposeError(
                f"training.batch_size {settings.batch_size} does not divide over {workers.replicas} devices"
                + (f" and {settings.accumulate} parts" if settings.accumulate > 1 else "")
            )
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(settings.seed)
        run = _Run(facts, sets, out, workers, wish)
        if run.checkpoints.epoch < settings.epochs:
            run.go_on(parts)
    return saved_model.find(out)


def build(facts: Facts, workers: Workers, steps: int) -> tuple[keras.Model, Average | None]:
    """The network with its optimizer, and the average of its weights where the recipe wants one.

    Args:
        steps: of an epoch, for the learning rate's decay.
    """
    settings = facts.config.training
    keras.config.set_dtype_policy(settings.precision)
    try:
        with workers.strategy.scope():
            model = build_model(facts.config.model, len(facts.skeleton))
            model.compile(optimizer(model, settings, steps))  # half precision gets loss scaling here
            model.optimizer.build(model.trainable_variables)
            return model, Average(model, settings.ema) if settings.ema else None
    finally:
        keras.config.set_dtype_policy("float32")


def optimizer(model: keras.Model, settings: TrainingConfig, steps: int) -> Adam:
    """Adam with the recipe's learning rate; AdamW where it has a weight decay, which is for kernels alone."""
    made = Adam(WarmupDecay.of(settings, steps), weight_decay=settings.weight_decay or None)
    made.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) < 2])
    return made


class _Run:
    """A network in training, and its place in the run."""

    def __init__(self, facts: Facts, sets: Sequence[RecordSet], out: Path, workers: Workers, wish: Wish):
        self.config, self.sets, self.out, self.workers, self.wish = facts.config, sets, out, workers, wish
        settings = self.config.training
        self.steps = pipeline.epoch_steps(sets, self.config)
        self.model, self.average = build(facts, workers, self.steps)
        with workers.strategy.scope():
            self.teacher = Teacher(settings.distill, facts) if settings.distill else None
        self.objective = Objective(self.model, facts)
        self.checkpoints = Checkpoints(out, self.model, self.average, self.objective.size, settings.keep_checkpoints)
        restored = self.checkpoints.restore()
        self.key = f"val_{accuracy_name(self.objective.answer, sets[0].metric)}"
        self.keeper = Keeper(out, facts, self.checkpoints, self.key, self.steps, workers.chief)
        if restored:
            place = f"epoch {self.checkpoints.epoch} of {settings.epochs}"
            step = f", step {self.checkpoints.step} of {self.steps}" if self.checkpoints.step else ""
            print(f"resuming {out} after {place}{step}, from {restored}")
        elif settings.start_from:
            take_weights(self.model, facts, Path(settings.start_from))
            if self.average:
                self.average.restart()

    def go_on(self, parts: int) -> None:
        """Train to the end; a step is computed in `parts` batches of this process."""
        settings, workers, begun = self.config.training, self.workers, self.checkpoints
        workers.agree("checkpoint", [begun.epoch, begun.step])
        epoch, step, sums = begun.epoch, begun.step, begun.sums
        self.progress = TrainingProgress(
            settings.epochs, self.steps, settings.batch_size, self.objective.answer, visible=workers.chief
        )
        dataset, _ = pipeline.training_batches(
            self.sets,
            self.config,
            start_epoch=epoch,
            start_step=step,
            worker=(workers.index, workers.count),
            parts=parts,
        )
        batches = iter(workers.strategy.distribute_datasets_from_function(lambda _context: dataset))
        self.step = training_step(
            self.model, self.objective, settings, workers, average=self.average, teacher=self.teacher
        )
        validation = Validation(self.model, self.objective, self.sets[0], self.config, workers)
        with self.progress:
            while epoch < settings.epochs:
                sums = self._train(epoch, step, sums, batches)
                self._validate(epoch, sums, validation)
                epoch, step, sums = epoch + 1, 0, np.zeros_like(sums)
                self.keeper.checkpoint(epoch, step, sums)

    def _train(self, epoch: int, step: int, sums: np.ndarray, batches: Iterator[Any]) -> np.ndarray:
        """Train the steps of an epoch from `step` on; what it sums up, together with the `sums` of those before.

        The figures of a step are read when the next one has been started, so that a GPU does not wait for Python.
        """
        self.progress.begin(epoch, step)
        ahead, stop, save = None, False, False
        while step < self.steps or ahead is not None:
            started = None
            if step < self.steps and not (stop or save):
                votes = tf.constant([float(self.wish.signal is not None), float(self.keeper.due())])
                started = self.step(batches, votes)
                step += 1
            if ahead is not None:
                found = ahead.numpy()
                if not np.isfinite(found[1]):
                    raise self._not_a_number(epoch, step - 1 - (started is not None))
                sums = sums + found[:-VOTES]
                stop, save = stop or found[-2] > 0, save or found[-1] > 0
                self.progress.done(step - (started is not None), sums[1] / sums[0])
            ahead = started
            if ahead is None and (stop or save):
                self._save(epoch, step, sums, stop)
                save = False
        return sums

    def _validate(self, epoch: int, sums: np.ndarray, validation: Validation) -> None:
        if not self.checkpoints.finite():
            raise self._not_a_number(epoch, self.steps - 1)
        with self.average.in_place() if self.average else nullcontext():
            found = validation.row(lambda: self.wish.signal is not None)
            if found is not None:
                rate = float(self.model.optimizer.learning_rate)
                row = {"epoch": epoch, "learning_rate": rate, **self.objective.row(sums), **found}
                self.keeper.network(self.model, row)
        if found is None:
            self._save(epoch, self.steps, sums, stop=True)
        self.progress.end(row)

    def _save(self, epoch: int, step: int, sums: np.ndarray, stop: bool) -> None:
        if not self.checkpoints.finite():
            raise self._not_a_number(epoch, step - 1)
        self.keeper.checkpoint(epoch, step, sums)
        if stop:
            by = self.wish.signal.name if self.wish.signal else "another worker"
            raise Interrupted(
                f"stopped by {by} in epoch {epoch + 1}, after step {step} of {self.steps}; saved in {self.out}, the "
                "same command goes on",
                CODES.get(self.wish.signal, CODES[signal.SIGTERM]),
            )

    def _not_a_number(self, epoch: int, step: int) -> MsposeError:
        worker = (self.workers.index, self.workers.count)
        names = pipeline.batch_names(self.sets, self.config, epoch, step, worker)
        latest, rate = self.checkpoints.latest, self.config.training.learning_rate
        return MsposeError(
            f"epoch {epoch + 1}, step {step + 1} of {self.steps}: the loss or the weights are not a number; "
            + (f"the last good checkpoint is {latest}" if latest else "there is no checkpoint yet")
            + f"; the same command would come to the same: try another --out with training.learning_rate below {rate}, "
            f"or look at the persons of the batch: {', '.join(names)}"
        )
