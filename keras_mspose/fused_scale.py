"""Pooling and enlarging by 2, for `fused`: one loop each way. Features are (B, h, w, C) float32, h and w even."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

_compiled = tf.function(jit_compile=True, autograph=False)


def pool(x: tf.Tensor) -> tf.Tensor:
    """Maximum of every 2 x 2 pixels; of several equal ones the first has the gradient."""

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        highest, place = _pool(x)
        return highest, lambda upstream: _pool_gradient(upstream, place)

    return run(x)


@_compiled
def _pool(x):
    parts = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    highest, place = parts[0], tf.zeros_like(parts[0], tf.int8)
    for number, part in enumerate(parts[1:], 1):
        place = tf.where(part > highest, tf.constant(number, tf.int8), place)
        highest = tf.maximum(highest, part)
    return highest, place


@_compiled
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


@_compiled
def _add_enlarged(large, small):
    batch, height, width, channels = small.shape
    windows = tf.reshape(large, (batch, height, 2, width, 2, channels))
    return tf.reshape(windows + small[:, :, None, :, None], large.shape)


@_compiled
def _sum_windows(x):
    return x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]
