"""The fused parts of the training step give what the plain operations give, forward and backward."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import fused, fused_scale

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


@pytest.mark.parametrize(("kernel", "stride", "relu"), [(1, 1, True), (1, 1, False), (3, 1, True), (4, 2, True)])
def test_a_convolution_is_the_plain_one(kernel: int, stride: int, relu: bool) -> None:
    settings = {"stride": stride, "relu": relu, "epsilon": EPSILON}
    given = [_normal(3, 8, 6, 6), *_stage(kernel, 6, 4)]

    def ours(x, *weights):
        return fused.convolution(x, fused.Stage(*weights), **settings)[0]

    def plain(x, *weights):
        return _plain(x, [fused.Stage(*weights)], **settings)[0]

    _compare(ours, plain, given)
    _, moments = fused.convolution(given[0], fused.Stage(*given[1:]), **settings)
    _, *expected = _plain(given[0], [fused.Stage(*given[1:])], **settings)
    for found, value in zip(moments, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("skip_is_x", [True, False])
def test_a_residual_module_is_the_plain_one(skip_is_x: bool) -> None:
    stages = [_stage(1, 6, 3), _stage(3, 3, 3), _stage(1, 3, 6)]
    given = [_normal(3, 8, 6, 6), *(weight for stage in stages for weight in stage)]
    given += [] if skip_is_x else [_normal(3, 8, 6, 6)]

    def split(args: tuple) -> tuple:
        return args[0], tuple(fused.Stage(*args[1 + 3 * i : 4 + 3 * i]) for i in range(3))

    def ours(*args):
        return fused.residual(*split(args), epsilon=EPSILON, skip=None if skip_is_x else args[-1])[0]

    def plain(*args):
        skip = args[0] if skip_is_x else args[-1]
        return _plain(*split(args), stride=1, relu=False, epsilon=EPSILON, skip=skip)[0]

    _compare(ours, plain, given)
    _, moments = fused.residual(*split(given), epsilon=EPSILON)
    for number, found in enumerate(moments):
        _, *expected = _plain(given[0], split(given)[1][: number + 1], stride=1, relu=False, epsilon=EPSILON)
        for value, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)


def test_a_small_variance_about_a_large_mean_survives() -> None:
    x = 1000.0 + _normal(4, 8, 8, 2, scale=0.1)
    identity = fused.Stage(tf.eye(2)[None, None], tf.ones(2), tf.zeros(2))
    _, moments = fused.convolution(x, identity, stride=1, relu=False, epsilon=EPSILON)
    np.testing.assert_allclose(moments.variance, np.var(x.numpy().astype(float), axis=(0, 1, 2)), rtol=1e-2)


def test_a_pointwise_convolution_is_tensorflows() -> None:
    def plain(x, kernel, bias):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    _compare(fused.pointwise, plain, [_normal(2, 4, 6, 5), _normal(1, 1, 5, 3), _normal(3)])


def test_pooling_is_tensorflows() -> None:
    x = _normal(2, 6, 8, 3)
    _compare(fused_scale.pool, lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), [x])


def test_of_equal_values_the_first_has_the_gradient() -> None:
    x = tf.constant([[1.0, 5.0], [5.0, 5.0]])[None, :, :, None]
    with tf.GradientTape() as tape:
        tape.watch(x)
        highest = fused_scale.pool(x)
    assert float(tf.squeeze(highest)) == 5
    np.testing.assert_array_equal(tf.squeeze(tape.gradient(highest, x)), [[0, 1], [0, 0]])


def test_an_enlarged_sum_is_that_of_repeated_pixels() -> None:
    def plain(large: tf.Tensor, small: tf.Tensor) -> tf.Tensor:
        return large + tf.repeat(tf.repeat(small, 2, axis=1), 2, axis=2)

    _compare(fused_scale.add_enlarged, plain, [_normal(2, 6, 8, 3), _normal(2, 3, 4, 3)])
