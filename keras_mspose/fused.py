"""Parts of the training step in few passes over the features, each with its gradient written out. For CPUs.

On a CPU the arithmetic of batch normalisation, ReLU, pooling and up-sampling is nothing and reading the features is
all. TensorFlow runs each of them as operations of their own; here each goes through XLA as one loop, forward and
backward, while convolutions stay with TensorFlow, whose kernels are the faster ones. What the plain layers would keep
for the backward pass and a single loop gives again (the normalised features) is made again instead of kept.

Features are (B, h, w, C) float32. Every function is compiled once for each shape that it meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Stage(NamedTuple):
    """A convolution without bias and its batch normalisation."""

    kernel: tf.Tensor
    gamma: tf.Tensor
    beta: tf.Tensor


def convolutions(
    x: tf.Tensor, stages: list[Stage], *, stride: int, relu: bool, epsilon: float, skip: tf.Tensor | None = None
) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
    """Convolutions one after the other, each with batch normalisation by its batch and, between them, ReLU.

    Args:
        x: (B, H, W, C).
        stages: in their order.
        stride: of the first convolution; the others' is 1.
        relu: whether ReLU ends the chain, too; not together with `skip`.
        epsilon: of the normalisations.
        skip: features that the chain's are added to.

    Returns:
        (B, H / stride, W / stride, C'), and each stage's means and variances (C,), which carry no gradient.
    """
    count = len(stages)
    given = [] if skip is None else [skip]

    @tf.custom_gradient
    def run(x: tf.Tensor, *rest: tf.Tensor) -> tuple[list[tf.Tensor], Callable]:
        weights, skips = [Stage(*rest[3 * i : 3 * i + 3]) for i in range(count)], list(rest[3 * count :])
        y, kept, means, variances = _forward(x, weights, skips, stride, relu, epsilon)

        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
            dx, dweights = _backward(upstream[0], x, weights, kept, means, variances, stride, relu, epsilon)
            return [dx, *(tensor for stage in dweights for tensor in stage), *upstream[: len(skips)]]

        return [y, *means, *variances], gradient

    y, *statistics = run(x, *(tensor for stage in stages for tensor in stage), *given)
    statistics = [tf.stop_gradient(value) for value in statistics]
    return y, statistics[:count], statistics[count:]


@tf.function(autograph=False)
def _forward(x, stages, skips, stride, relu, epsilon):
    kept, means, variances = [], [], []
    for number, stage in enumerate(stages):
        last = number == len(stages) - 1
        z = _convolve(x, stage.kernel, 1 if number else stride)
        x, mean, variance = _normalise(z, stage.gamma, stage.beta, skips if last else [], relu or not last, epsilon)
        kept, means, variances = [*kept, z], [*means, mean], [*variances, variance]
    return x, kept, means, variances


@tf.function(autograph=False)
def _backward(dy, x, stages, kept, means, variances, stride, relu, epsilon):
    gradients = []
    last = len(stages) - 1
    dz, _, dgamma, dbeta = _normalise_gradient(
        dy, kept[last], stages[last].gamma, stages[last].beta, means[last], variances[last], relu, epsilon
    )
    for number in range(last, 0, -1):
        stage, before = stages[number], stages[number - 1]
        features = kept[number - 1]
        dfeatures = _input_gradient(dz, stage.kernel, tf.shape(features), 1)
        # One loop gives the gradient and, once more, the features that the weight gradient needs.
        dbefore, features, dgamma_before, dbeta_before = _normalise_gradient(
            dfeatures, features, before.gamma, before.beta, means[number - 1], variances[number - 1], True, epsilon
        )
        gradients.append(Stage(_kernel_gradient(features, dz, stage.kernel, 1), dgamma, dbeta))
        dz, dgamma, dbeta = dbefore, dgamma_before, dbeta_before
    gradients.append(Stage(_kernel_gradient(x, dz, stages[0].kernel, stride), dgamma, dbeta))
    return _input_gradient(dz, stages[0].kernel, tf.shape(x), stride), gradients[::-1]


def _is_pointwise(kernel: tf.Tensor, stride: int) -> bool:
    return tuple(kernel.shape[:2]) == (1, 1) and stride == 1


def _pixels(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (-1, x.shape[-1]))


def _like(pixels: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(pixels, tf.concat([tf.shape(x)[:3], [pixels.shape[-1]]], axis=0))


def _convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    if _is_pointwise(kernel, stride):
        return _like(tf.matmul(_pixels(x), kernel[0, 0]), x)
    return tf.nn.conv2d(x, kernel, stride, "SAME")


def _input_gradient(dz: tf.Tensor, kernel: tf.Tensor, shape: tf.Tensor, stride: int) -> tf.Tensor:
    if _is_pointwise(kernel, stride):
        return tf.reshape(tf.matmul(_pixels(dz), kernel[0, 0], transpose_b=True), shape)
    if stride == 1 and kernel.shape[0] % 2:
        # The same sums as a forward convolution, which has the faster kernel.
        return tf.nn.conv2d(dz, tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2)), 1, "SAME")
    return tf.nn.conv2d_transpose(dz, kernel, shape, stride, "SAME")


def _kernel_gradient(x: tf.Tensor, dz: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    if _is_pointwise(kernel, stride):
        return tf.matmul(_pixels(x), _pixels(dz), transpose_a=True)[None, None]
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=kernel.shape, out_backprop=dz, strides=[1, stride, stride, 1], padding="SAME"
    )


@tf.function(jit_compile=True, autograph=False)
def _normalise(z, gamma, beta, skips, relu, epsilon):
    # Sums of differences from one of the values: squares of large values would lose a small variance.
    origin = z[0, 0, 0]
    shifted = _pixels(z - origin)
    count = tf.cast(tf.shape(shifted)[0], z.dtype)
    mean = tf.reduce_sum(shifted, axis=0) / count
    variance = tf.maximum(tf.reduce_sum(tf.square(shifted), axis=0) / count - tf.square(mean), 0.0)
    mean += origin
    scale = gamma * tf.math.rsqrt(variance + epsilon)
    y = z * scale + (beta - mean * scale)
    for skip in skips:
        y += skip
    return tf.nn.relu(y) if relu else y, mean, variance


@tf.function(jit_compile=True, autograph=False)
def _normalise_gradient(dy, z, gamma, beta, mean, variance, relu, epsilon):
    """Gradients by z, gamma and beta; and the features that `_normalise` gave (without a skip) once more."""
    inverse = tf.math.rsqrt(variance + epsilon)
    scale = gamma * inverse
    y = z * scale + (beta - mean * scale)
    if relu:
        dy = tf.where(y > 0, dy, 0.0)
        y = tf.nn.relu(y)
    flat, centred = _pixels(dy), _pixels(z - mean)
    count = tf.cast(tf.shape(flat)[0], z.dtype)
    dbeta = tf.reduce_sum(flat, axis=0)
    dgamma = tf.reduce_sum(flat * centred, axis=0) * inverse
    dz = scale * (dy - dbeta / count - (z - mean) * (dgamma * inverse / count))
    return dz, y, dgamma, dbeta


def pool(x: tf.Tensor) -> tf.Tensor:
    """Maximum of every 2 x 2 pixels; of several equal ones the first has the gradient."""

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        highest, place = _pool(x)
        return highest, lambda upstream: _pool_gradient(upstream, place)

    return run(x)


@tf.function(jit_compile=True, autograph=False)
def _pool(x):
    parts = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    highest, place = parts[0], tf.zeros_like(parts[0], tf.int8)
    for number, part in enumerate(parts[1:], 1):
        place = tf.where(part > highest, tf.constant(number, tf.int8), place)
        highest = tf.maximum(highest, part)
    return highest, place


@tf.function(jit_compile=True, autograph=False)
def _pool_gradient(upstream, place):
    batch, height, width, channels = upstream.shape
    window = tf.reshape(tf.constant([[0, 1], [2, 3]], tf.int8), (1, 1, 2, 1, 2, 1))
    spread = tf.where(place[:, :, None, :, None] == window, upstream[:, :, None, :, None], 0.0)
    return tf.reshape(spread, (batch, 2 * height, 2 * width, channels))


def add_enlarged(large: tf.Tensor, small: tf.Tensor) -> tf.Tensor:
    """`large` (B, 2h, 2w, C) + `small` (B, h, w, C), each of whose pixels stands for 2 x 2."""

    @tf.custom_gradient
    def run(large: tf.Tensor, small: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return _add_enlarged(large, small), lambda upstream: (upstream, _sum_windows(upstream))

    return run(large, small)


@tf.function(jit_compile=True, autograph=False)
def _add_enlarged(large, small):
    batch, height, width, channels = small.shape
    windows = tf.reshape(large, (batch, height, 2, width, 2, channels))
    return tf.reshape(windows + small[:, :, None, :, None], large.shape)


@tf.function(jit_compile=True, autograph=False)
def _sum_windows(x):
    return x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]
