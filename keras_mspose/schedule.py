"""The learning rate of every step."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_mspose.config import TrainingConfig


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
