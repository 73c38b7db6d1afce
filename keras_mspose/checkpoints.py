"""Checkpoints that a run goes on from, at any step: whole or not there, the last few kept."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_mspose.averaging import Average
from keras_mspose.errors import MsposeError

FULL = ("No space left", "File too large", "Disk quota exceeded")


class Checkpoints:
    """Weights, optimizer, averages, place in the run, and what the epoch's metrics have summed up so far.

    The order of the data and the numbers of the augmentation are functions of the seed and the place, see `epochs`, and
    nothing else in training is random: there is no other state.

    Args:
        out: run folder.
        model: the network.
        optimizer: its optimizer, whose variables exist.
        average: of its weights, where there is one.
        keep: newest checkpoints that stay.

    Attributes:
        epoch, step: place in the run: steps `step` and later of epoch `epoch` (both from 0) are to come.
        sums: (n,) float32 state of the metrics after this epoch's earlier steps; empty where there are none.
    """

    def __init__(self, out: Path, model: keras.Model, optimizer: keras.Optimizer, average: Average | None, keep: int):
        self.out, self.model, self.average, self.folder = out, model, average, out / "checkpoints"
        self._epoch, self._step = (tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))
        self._sums = tf.Variable(tf.zeros([0]), trainable=False, shape=[None])
        parts = {"average": average} if average else {}
        self._state = tf.train.Checkpoint(
            model=model, optimizer=optimizer, epoch=self._epoch, step=self._step, sums=self._sums, **parts
        )
        # as the package wrote them while it could resume between epochs alone
        self._epochs_alone = tf.train.Checkpoint(model=model, optimizer=optimizer, epoch=self._epoch)
        self._manager = tf.train.CheckpointManager(self._state, str(self.folder), keep)

    @property
    def epoch(self) -> int:
        return int(self._epoch.numpy())

    @property
    def step(self) -> int:
        return int(self._step.numpy())

    @property
    def sums(self) -> np.ndarray:
        return self._sums.numpy()

    @property
    def latest(self) -> str | None:
        """Path of the newest checkpoint, None where there is none."""
        return self._manager.latest_checkpoint

    def restore(self) -> str | None:
        """Load the newest checkpoint that can be read; its path, None where there is none at all.

        Raises:
            MsposeError: there are some and none can be read.
        """
        reasons = []
        for path in reversed(self._manager.checkpoints):
            try:
                earlier = "sums/.ATTRIBUTES/VARIABLE_VALUE" not in dict(tf.train.list_variables(path))
                state = self._epochs_alone if earlier else self._state
                state.restore(path).assert_existing_objects_matched()
            except (tf.errors.OpError, AssertionError, ValueError, LookupError, RuntimeError) as error:
                reasons.append(f"{path} ({' '.join(str(error).split())[:200]})")
                print(f"warning: cannot read {reasons[-1]}; trying the one before")
            else:
                return path
        if reasons:
            raise MsposeError(f"{self.folder}: no checkpoint can be read: {'; '.join(reasons)}; use another --out")
        return None

    def clean(self) -> None:
        """Delete what a kill in the middle of saving has left."""
        whole = {Path(path).name for path in self._manager.checkpoints}
        left = [p for p in self.folder.glob("ckpt-*") if p.name.split(".")[0] not in whole]  # also ckpt-N_temp
        for path in (*left, *self.folder.glob("checkpoint.tmp*"), *self.out.glob("*.partial-*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def save(self, epoch: int, step: int, sums: np.ndarray, number: int) -> None:
        """Write a checkpoint of this place under the name `ckpt-NUMBER`; then delete the oldest.

        Raises:
            MsposeError: it cannot be written; those before are as they were.
        """
        self._epoch.assign(epoch)
        self._step.assign(step)
        self._sums.assign(sums)
        with self.disk_errors_named():
            self._manager.save(checkpoint_number=number)

    def finite(self) -> bool:
        """Whether the weights are numbers: others are not worth keeping."""
        return all(np.isfinite(weight.numpy()).all() for weight in self.model.weights)

    @contextmanager
    def disk_errors_named(self) -> Iterator[None]:
        """Say in one line that the run folder cannot be written, and what is whole.

        Raises:
            MsposeError: it cannot.
        """
        try:
            yield
        except (OSError, tf.errors.OpError, MsposeError) as error:
            reason = " ".join(re.sub(r"\{\{.*?\}\}", "", str(getattr(error, "message", error))).split())
            full = not isinstance(error, tf.errors.OpError) or any(sign in reason for sign in FULL)
            if not full and not isinstance(error, (tf.errors.PermissionDeniedError, tf.errors.FailedPreconditionError)):
                raise
            self.clean()
            kept = f"{self.latest} is whole" if self.latest else "there is no checkpoint yet"
            raise MsposeError(
                f"{self.out}: cannot be written ({reason[:300]}); {kept}: make room, then the same command goes on"
            ) from error
