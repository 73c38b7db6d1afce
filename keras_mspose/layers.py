"""Building blocks of the network in the Keras functional API: convolution, residual module, hourglass, head.

Every convolution is followed by its own batch normalisation, so that inference folds each pair into one convolution.
The residual stream itself carries neither: a module adds to it, and begins by adding nothing (its last scale is 0),
which keeps the first heatmaps small however many modules stand in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from keras_mspose.once import once

STRIDE = 4  # crop pixels a GT heatmap pixel
BN_MOMENTUM = 0.9  # field-wide failure: 0.99 leaves validation near 0 for the first thousand small steps
_HELD: ContextVar[bool] = ContextVar("held", default=False)  # of each thread: every replica has one


@contextmanager
def averages_held() -> Iterator[None]:
    """Within the block batch normalisation leaves its moving averages alone: for features that are computed again."""
    token = _HELD.set(True)
    try:
        yield
    finally:
        _HELD.reset(token)


@keras.saving.register_keras_serializable("keras_mspose")
class BatchNorm(layers.BatchNormalization):
    """Keras's batch normalisation over NHWC channels, on TensorFlow's fused kernel.

    Keras computes it as some ten operations, each a pass over the features. The fused kernel is one, cuDNN's own on a
    GPU, and inference graphs join it to the convolution before it. Several replicas share their statistics through
    Keras's own synchronised form, so that the losses do not depend on how many devices a batch is spread over.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "synchronized": True})

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        learning = bool(training) and self.trainable
        replica = tf.distribute.get_replica_context()
        if learning and replica is not None and replica.num_replicas_in_sync > 1:
            normalised, mean, variance = self._synchronised(inputs)
        else:
            normalised, mean, variance = self._fused(inputs, learning)
        if learning and not _HELD.get():
            rate = once(f"rate {self.momentum}", lambda: tf.constant(1.0 - self.momentum))
            for average, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.value.assign_sub((average.value - now) * rate)
        return normalised

    def _synchronised(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Normalised by the mean and variance over all replicas, which come with it."""
        x = tf.cast(inputs, tf.float32)
        mean, variance = keras.ops.moments(x, axes=(0, 1, 2), synchronized=True)
        x = keras.ops.batch_normalization(
            x, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return tf.cast(x, self.compute_dtype), mean, variance

    def _fused(self, inputs: tf.Tensor, learning: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Normalised by the batch's mean and variance, which come with it, or by the moving averages."""
        if learning:
            mean = variance = once("none", lambda: tf.zeros([0]))
        else:
            mean, variance = (tf.cast(v.value, tf.float32) for v in (self.moving_mean, self.moving_variance))
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma.value, tf.float32),
            offset=tf.cast(self.beta.value, tf.float32),
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            # The kernel reports the sample variance, n / (n - 1) times what Keras averages.
            one = once("one", lambda: tf.constant(1.0))
            channels = once(f"channels {inputs.shape[-1]}", lambda: tf.constant(float(inputs.shape[-1])))
            variance *= one - channels / tf.cast(tf.size(inputs), tf.float32)
        return normalised, mean, variance


def convolution(
    x: keras.KerasTensor,
    channels: int,
    kernel: int,
    name: str,
    *,
    stride: int = 1,
    relu: bool = True,
    gamma: str = "ones",
) -> keras.KerasTensor:
    """Convolution, batch normalisation and (by default) ReLU. (B, h, w, c) -> (B, h / stride, w / stride, channels).

    A strided kernel should be even: TensorFlow's `same` padding is then symmetric, and the output pixel's centre is
    the centre of the input pixels that it covers.
    """
    x = layers.Conv2D(channels, kernel, stride, "same", use_bias=False, name=f"{name}_conv")(x)
    x = BatchNorm(momentum=BN_MOMENTUM, gamma_initializer=gamma, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def residual(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    """Bottleneck residual module: 1x1 to half the channels, 3x3, 1x1 back, added to the input.

    (B, h, w, c) -> (B, h, w, channels); where c differs, a 1x1 convolution brings the input to `channels`.
    """
    skip = x if x.shape[-1] == channels else convolution(x, channels, 1, f"{name}_skip", relu=False)
    x = convolution(x, channels // 2, 1, f"{name}_1")
    x = convolution(x, channels // 2, 3, f"{name}_2")
    x = convolution(x, channels, 1, f"{name}_3", relu=False, gamma="zeros")
    return layers.Add(name=f"{name}_add")([skip, x])


def hourglass(
    x: keras.KerasTensor, depth: int, name: str, *, plain_skips: bool = False
) -> dict[int, keras.KerasTensor]:
    """Conv-deconv module with `depth` poolings and a skip connection at every scale.

    Args:
        x: (B, h, w, C), h and w divisible by 2 ** depth.
        plain_skips: skip connections carry the features as they are, instead of through a residual module.

    Returns:
        The features of every deconv layer by their scale: {1: (B, h, w, C), 2: (B, h / 2, w / 2, C), ...} with
        2 ** (depth - 1) the largest key.
    """
    channels = x.shape[-1]
    skips = []
    for level in range(depth):
        skips.append(x if plain_skips else residual(x, channels, f"{name}_skip{2**level}"))
        x = layers.MaxPooling2D(name=f"{name}_pool{2 ** (level + 1)}")(x)
        x = residual(x, channels, f"{name}_conv{2 ** (level + 1)}")
    for module in ("a", "b"):
        x = residual(x, channels, f"{name}_bottom_{module}")
    features = {}
    for level in reversed(range(depth)):
        x = layers.UpSampling2D(interpolation="nearest", name=f"{name}_up{2**level}")(x)
        x = layers.Add(name=f"{name}_merge{2**level}")([skips[level], x])
        x = residual(x, channels, f"{name}_deconv{2**level}")
        features[2**level] = x
    return features


def head(x: keras.KerasTensor, keypoints: int, name: str) -> keras.KerasTensor:
    """1x1 convolution to one heatmap a keypoint, (B, h, w, C) -> (B, h, w, K), float32 under every policy.

    The small initial weights start the loss at that of empty heatmaps; with Keras's default it starts 25 times higher
    and a learning rate of 2e-3 diverges.
    """
    small = keras.initializers.RandomNormal(stddev=1e-3)
    return layers.Conv2D(keypoints, 1, kernel_initializer=small, dtype="float32", name=name)(x)
