"""Parts of the training step in few passes over the features, each with its gradient written out. For CPUs.

On a CPU the arithmetic of batch normalisation, ReLU, pooling and up-sampling is nothing and reading the features is
all. TensorFlow runs each of them as operations of their own; here they go through XLA together, with the pointwise
convolutions between them, forward and backward. Convolutions of several pixels stay with TensorFlow, whose kernels are
the faster ones. What the backward pass can make again in a loop that it needs anyway (normalised features) is not kept.

Features are (B, h, w, C) float32. Every function is compiled once for each shape that it meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

_compiled = tf.function(jit_compile=True, autograph=False)
_traced = tf.function(autograph=False)  # once a shape, not once a layer


class Stage(NamedTuple):
    """A convolution without bias and its batch normalisation."""

    kernel: tf.Tensor
    gamma: tf.Tensor
    beta: tf.Tensor


class Moments(NamedTuple):
    """Mean and variance of a batch's features, (C,) each; no gradient goes through them."""

    mean: tf.Tensor
    variance: tf.Tensor


def convolution(x: tf.Tensor, stage: Stage, *, stride: int, relu: bool, epsilon: float) -> tuple[tf.Tensor, Moments]:
    """Convolution, normalisation by the batch, and ReLU if asked. (B, H, W, C) -> (B, H / stride, W / stride, C')."""

    @tf.custom_gradient
    def run(x: tf.Tensor, *weights: tf.Tensor) -> tuple[tuple, Callable]:
        y, z, moments = _convolution(x, Stage(*weights), stride, relu, epsilon)

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> tuple:
            dx, dstage = _convolution_gradient(upstream, x, z, Stage(*weights), moments, stride, relu, epsilon)
            return dx, *dstage

        return (y, *moments), gradient

    y, mean, variance = run(x, *stage)
    return y, Moments(tf.stop_gradient(mean), tf.stop_gradient(variance))


def residual(
    x: tf.Tensor, stages: tuple[Stage, Stage, Stage], *, epsilon: float, skip: tf.Tensor | None = None
) -> tuple[tf.Tensor, list[Moments]]:
    """Bottleneck: 1x1, k x k and 1x1 convolution, normalised, ReLU after the first two, added to the skip.

    Args:
        x: (B, h, w, C).
        stages: the convolutions; the last one's channels are C'.
        epsilon: of the normalisations.
        skip: (B, h, w, C'); x itself where None.

    Returns:
        (B, h, w, C'), and the moments of each convolution's answer.
    """
    skips = [] if skip is None else [skip]

    @tf.custom_gradient
    def run(x: tf.Tensor, *rest: tf.Tensor) -> tuple[tuple, Callable]:
        weights = [Stage(*rest[3 * i : 3 * i + 3]) for i in range(3)]
        y, kept, moments = _residual(x, weights, list(rest[9:]), epsilon)

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
            dx, dstages = _residual_gradient(upstream, x, weights, kept, moments, not skips, epsilon)
            return [dx, *(tensor for dstage in dstages for tensor in dstage), *([upstream] if skips else [])]

        return (y, *(value for one in moments for value in one)), gradient

    y, *values = run(x, *(tensor for stage in stages for tensor in stage), *skips)
    values = [tf.stop_gradient(value) for value in values]
    return y, [Moments(*values[2 * i : 2 * i + 2]) for i in range(3)]


def pointwise(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """1x1 convolution with bias, (B, h, w, C) -> (B, h, w, K)."""

    @tf.custom_gradient
    def run(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return _pointwise(x, kernel, bias), lambda upstream: _pointwise_gradient(upstream, x, kernel)

    return run(x, kernel, bias)


@_traced
def _convolution(x, stage, stride, relu, epsilon):
    if _is_pointwise(stage.kernel, stride):
        return _matrix(x, stage, relu, epsilon)
    z = tf.nn.conv2d(x, stage.kernel, stride, "SAME")
    y, moments = _normalise(z, stage, relu, epsilon)
    return y, z, moments


@_traced
def _convolution_gradient(upstream, x, z, stage, moments, stride, relu, epsilon):
    if _is_pointwise(stage.kernel, stride):
        dx, dstage, _ = _matrix_gradient(upstream, x, z, stage, moments, [], relu, epsilon)
        return dx, dstage
    dz, dgamma, dbeta, _ = _normalise_gradient(upstream, z, stage, moments, relu, epsilon)
    dkernel = _kernel_gradient(x, dz, stage.kernel, stride)
    return _input_gradient(dz, stage.kernel, tf.shape(x), stride), Stage(dkernel, dgamma, dbeta)


@_traced
def _residual(x, stages, skips, epsilon):
    y, first, reduced = _matrix(x, stages[0], True, epsilon)
    second = tf.nn.conv2d(y, stages[1].kernel, 1, "SAME")
    y, *moments, covariance, middle = _expand(second, stages[1], stages[2], skips or [x], epsilon)
    return y, (first, second, covariance, middle), [reduced, *moments]


@_traced
def _residual_gradient(upstream, x, stages, kept, moments, skip_is_x, epsilon):
    first, second, covariance, middle = kept
    dsecond, dstage, expanded = _expand_gradient(
        upstream, second, stages[1], stages[2], moments[1], moments[2], covariance, middle, epsilon
    )
    dfeatures = _input_gradient(dsecond, stages[1].kernel, tf.shape(second), 1)
    more = [upstream] if skip_is_x else []
    dx, reduced, features = _matrix_gradient(dfeatures, x, first, stages[0], moments[0], more, True, epsilon)
    dkernel = _kernel_gradient(features, dsecond, stages[1].kernel, 1)
    return dx, [reduced, Stage(dkernel, *dstage), expanded]


def _is_pointwise(kernel: tf.Tensor, stride: int) -> bool:
    return tuple(kernel.shape[:2]) == (1, 1) and stride == 1


def _pixels(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (-1, x.shape[-1]))


def _product(x: tf.Tensor, matrix: tf.Tensor, transposed: bool = False) -> tf.Tensor:
    """x times a matrix at every pixel."""
    flat = tf.matmul(_pixels(x), matrix, transpose_b=transposed)
    return tf.reshape(flat, (*x.shape[:3], flat.shape[-1]))


def _input_gradient(dz: tf.Tensor, kernel: tf.Tensor, shape: tf.Tensor, stride: int) -> tf.Tensor:
    side, _, inputs, outputs = kernel.shape
    if stride == 1 and side % 2:
        # The same sums as a forward convolution, which has the faster kernel.
        return tf.nn.conv2d(dz, tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2)), 1, "SAME")
    if stride == 2 and side == 4:
        # Of each 2 x 2 input pixels all channels at once: then this is such a convolution, too, by a 2 x 2 kernel.
        small = tf.transpose(tf.reshape(kernel, (2, 2, 2, 2, inputs, outputs)), (0, 2, 5, 1, 3, 4))
        small = tf.reshape(small[::-1, ::-1], (2, 2, outputs, 4 * inputs))
        blocks = tf.nn.conv2d(tf.pad(dz, ((0, 0), (1, 1), (1, 1), (0, 0))), small, 1, "VALID")
        return tf.nn.depth_to_space(blocks, 2)[:, 1:-1, 1:-1]
    return tf.nn.conv2d_transpose(dz, kernel, shape, stride, "SAME")


def _kernel_gradient(x: tf.Tensor, dz: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=kernel.shape, out_backprop=dz, strides=[1, stride, stride, 1], padding="SAME"
    )


@_compiled
def _normalise(z, stage, relu, epsilon):
    # Sums of differences from one of the values: squares of large values would lose a small variance.
    origin = z[0, 0, 0]
    shifted = _pixels(z - origin)
    count = tf.cast(tf.shape(shifted)[0], z.dtype)
    mean = tf.reduce_sum(shifted, axis=0) / count
    variance = tf.maximum(tf.reduce_sum(tf.square(shifted), axis=0) / count - tf.square(mean), 0.0)
    moments = Moments(mean + origin, variance)
    y = _apply(z, stage, moments, epsilon)
    return tf.nn.relu(y) if relu else y, moments


def _apply(z: tf.Tensor, stage: Stage, moments: Moments, epsilon: float) -> tf.Tensor:
    scale = stage.gamma * tf.math.rsqrt(moments.variance + epsilon)
    return z * scale + (stage.beta - moments.mean * scale)


@_compiled
def _normalise_gradient(dy, z, stage, moments, relu, epsilon):
    """Gradients by z, gamma and beta; and the features that `_normalise` gave, once more."""
    y = _apply(z, stage, moments, epsilon)
    if relu:
        dy, y = tf.where(y > 0, dy, 0.0), tf.nn.relu(y)
    inverse = tf.math.rsqrt(moments.variance + epsilon)
    centred = z - moments.mean
    flat = _pixels(dy)
    count = tf.cast(tf.shape(flat)[0], z.dtype)
    dbeta = tf.reduce_sum(flat, axis=0)
    dgamma = tf.reduce_sum(flat * _pixels(centred), axis=0) * inverse
    dz = stage.gamma * inverse * (dy - dbeta / count - centred * (dgamma * inverse / count))
    return dz, dgamma, dbeta, y


@_compiled
def _matrix(x, stage, relu, epsilon):
    """A pointwise convolution, normalised; z, which its gradient needs; and the moments."""
    z = _product(x, stage.kernel[0, 0])
    y, moments = _normalise(z, stage, relu, epsilon)
    return y, z, moments


@_compiled
def _matrix_gradient(dy, x, z, stage, moments, more, relu, epsilon):
    """Gradient by x with `more` added, the stage's gradients, and the features that `_matrix` gave, once more."""
    dz, dgamma, dbeta, y = _normalise_gradient(dy, z, stage, moments, relu, epsilon)
    dx = tf.add_n([_product(dz, stage.kernel[0, 0], transposed=True), *more])
    dkernel = tf.matmul(_pixels(x), _pixels(dz), transpose_a=True)
    return dx, Stage(dkernel[None, None], dgamma, dbeta), y


@_compiled
def _expand(z, stage, wide, skips, epsilon):
    """Normalisation and ReLU of z, then a pointwise convolution W and its normalisation, added to the skip.

    The answer h W of more channels is never written: its mean is mean(h) W, its variance the diagonal of
    W^T cov(h) W, and both go into the matrix. For the gradient, cov(h) and mean(h) are returned.
    """
    h, moments = _normalise(z, stage, True, epsilon)
    flat, weights = _pixels(h), wide.kernel[0, 0]
    count = tf.cast(tf.shape(flat)[0], h.dtype)
    middle = tf.reduce_sum(flat, axis=0, keepdims=True) / count
    covariance = tf.matmul(flat, flat, transpose_a=True) / count - tf.matmul(middle, middle, transpose_a=True)
    variance = tf.maximum(tf.reduce_sum(weights * tf.matmul(covariance, weights), axis=0), 0.0)
    found = Moments(tf.matmul(middle, weights)[0], variance)
    scale = wide.gamma * tf.math.rsqrt(variance + epsilon)
    y = tf.add_n([_product(h, weights * scale) + (wide.beta - found.mean * scale), *skips])
    return y, moments, found, covariance, middle


@_compiled
def _expand_gradient(dy, z, stage, wide, moments, found, covariance, middle, epsilon):
    """Gradient by z; by gamma and beta of its stage; and those of the wide one.

    The gradient by w = h W is dw = scale dy + quotient w + rest, one number a channel each, and w is never needed:
    sum(dy w) is the diagonal of W^T (h^T dy), which the gradient by W is made of; h^T w = (h^T h) W.
    """
    h, weights = tf.nn.relu(_apply(z, stage, moments, epsilon)), wide.kernel[0, 0]
    flat, flat_dy = _pixels(h), _pixels(dy)
    count = tf.cast(tf.shape(flat)[0], h.dtype)
    inverse = tf.math.rsqrt(found.variance + epsilon)
    scale = wide.gamma * inverse
    product = tf.matmul(flat, flat_dy, transpose_a=True)
    dbeta = tf.reduce_sum(flat_dy, axis=0)
    dgamma = inverse * (tf.reduce_sum(weights * product, axis=0) - found.mean * dbeta)
    quotient = -scale * inverse * dgamma / count
    rest = -scale * dbeta / count - found.mean * quotient
    squares = count * (covariance + tf.matmul(middle, middle, transpose_a=True))
    dweights = product * scale + tf.matmul(squares, weights * quotient)
    dweights += count * tf.matmul(middle, rest[None], transpose_a=True)
    dh = _product(dy, weights * scale, transposed=True) + tf.linalg.matvec(weights, rest)
    dh += _product(h, tf.matmul(weights * quotient, weights, transpose_b=True))
    dz, *dstage, _ = _normalise_gradient(dh, z, stage, moments, True, epsilon)
    return dz, dstage, Stage(dweights[None, None], dgamma, dbeta)


@_compiled
def _pointwise(x, kernel, bias):
    return _product(x, kernel[0, 0]) + bias


@_compiled
def _pointwise_gradient(upstream, x, kernel):
    dkernel = tf.matmul(_pixels(x), _pixels(upstream), transpose_a=True)
    dx = _product(upstream, kernel[0, 0], transposed=True)
    return dx, dkernel[None, None], tf.reduce_sum(_pixels(upstream), axis=0)
