"""The fused parts of the training step give what the plain operations give, forward and backward."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import fused

RNG = np.random.default_rng(0)
EPSILON = 1e-3


def _normal(*shape: int, scale: float = 1.0) -> tf.Tensor:
    return tf.constant(RNG.normal(0.3, scale, shape), tf.float32)


def _stage(kernel: int, inputs: int, outputs: int) -> fused.Stage:
    return fused.Stage(_normal(kernel, kernel, inputs, outputs, scale=0.3), _normal(outputs), _normal(outputs))


def _plain(x, stages, *, stride, relu, epsilon, skip=None):
    for number, stage in enumerate(stages):
        x = tf.nn.conv2d(x, stage.kernel, stride if number == 0 else 1, "SAME")
        mean, variance = tf.nn.moments(x, (0, 1, 2))
        x = tf.nn.batch_normalization(x, mean, variance, stage.beta, stage.gamma, epsilon)
        if relu or number < len(stages) - 1:
            x = tf.nn.relu(x)
    return x if skip is None else x + skip, mean, variance


def _compare(found, expected, given: list[tf.Tensor]) -> None:
    """Two functions of `given`: their answers and, against random upstream gradients, their gradients."""
    answers = []
    for function in (found, expected):
        with tf.GradientTape() as tape:
            tape.watch(given)
            answer = function(*given)
            upstream = tf.random.stateless_normal(answer.shape, (1, 2))
            total = tf.reduce_sum(answer * upstream)
        answers.append([answer, *tape.gradient(total, given)])
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(tf.reduce_max(tf.abs(theirs))))


@pytest.mark.parametrize(
    ("kernels", "stride", "relu", "skip"),
    [((1, 3, 1), 1, False, True), ((4,), 2, True, False), ((1,), 1, False, False), ((3, 1), 1, True, False)],
)
def test_convolutions_are_the_plain_ones(kernels: tuple, stride: int, relu: bool, skip: bool) -> None:
    widths = [6, 4, 5, 6]
    stages = [_stage(kernel, *widths[i : i + 2]) for i, kernel in enumerate(kernels)]
    settings = {"stride": stride, "relu": relu, "epsilon": EPSILON}
    x = _normal(3, 8, 6, 6)
    given = [x, *(weight for stage in stages for weight in stage), *([_normal(3, 8, 6, 6)] if skip else [])]

    def call(function, x, *rest):
        weights = [fused.Stage(*rest[3 * i : 3 * i + 3]) for i in range(len(stages))]
        return function(x, weights, **settings, skip=rest[-1] if skip else None)[0]

    _compare(lambda *args: call(fused.convolutions, *args), lambda *args: call(_plain, *args), given)
    _, means, variances = fused.convolutions(x, stages, **settings)
    _, mean, variance = _plain(x, stages, **settings)
    np.testing.assert_allclose(means[-1], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variances[-1], variance, rtol=1e-4, atol=1e-5)


def test_a_small_variance_about_a_large_mean_survives() -> None:
    x = 1000.0 + _normal(4, 8, 8, 2, scale=0.1)
    identity = fused.Stage(tf.eye(2)[None, None], tf.ones(2), tf.zeros(2))
    _, _, (variance,) = fused.convolutions(x, [identity], stride=1, relu=False, epsilon=EPSILON)
    np.testing.assert_allclose(variance, np.var(x.numpy().astype(float), axis=(0, 1, 2)), rtol=1e-2)


def test_pooling_is_tensorflows() -> None:
    x = _normal(2, 6, 8, 3)
    _compare(fused.pool, lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), [x])


def test_of_equal_values_the_first_has_the_gradient() -> None:
    x = tf.constant([[1.0, 5.0], [5.0, 5.0]])[None, :, :, None]
    with tf.GradientTape() as tape:
        tape.watch(x)
        highest = fused.pool(x)
    assert float(tf.squeeze(highest)) == 5
    np.testing.assert_array_equal(tf.squeeze(tape.gradient(highest, x)), [[0, 1], [0, 0]])


def test_an_enlarged_sum_is_that_of_repeated_pixels() -> None:
    def plain(large: tf.Tensor, small: tf.Tensor) -> tf.Tensor:
        return large + tf.repeat(tf.repeat(small, 2, axis=1), 2, axis=2)

    _compare(fused.add_enlarged, plain, [_normal(2, 6, 8, 3), _normal(2, 3, 4, 3)])
