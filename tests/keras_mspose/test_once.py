"""Constants of a traced graph: one of each name; loops and branches have their own."""

import keras
import numpy as np
import tensorflow as tf

from keras_mspose.layers import BatchNorm
from keras_mspose.once import once
from keras_mspose.optimizer import Adam


def test_once_a_graph() -> None:
    made = []

    def number() -> tf.Tensor:
        made.append(1)
        return tf.constant(2.0)

    @tf.function
    def traced(x: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(3):
            x *= once("two", number)
        x *= once("two", number) * once("two", number)
        return x + once("three", lambda: tf.constant(3.0))

    assert float(traced(tf.constant(1.0))) == 35.0
    assert len(made) == 2  # the loop's and the function's
    before = len(made)
    assert float(traced(tf.constant(2.0))) == 67.0 and len(made) == before
    assert float(once("two", number) * once("two", number)) == 4.0
    assert len(made) == before + 2  # eager tensors are not kept


def test_a_constant_made_within_a_branch_stays_there() -> None:
    @tf.function
    def traced(x: tf.Tensor) -> tf.Tensor:
        y = tf.cond(x > 0, lambda: x * once("seven", lambda: tf.constant(7.0)), lambda: x)
        return y + once("seven", lambda: tf.constant(7.0))

    assert float(traced(tf.constant(2.0))) == 21.0 and float(traced(tf.constant(-2.0))) == 5.0


def test_a_layer_and_its_weights_cost_a_step_few_operations() -> None:
    def operations(depth: int) -> int:
        x = inputs = keras.Input((4, 4, 8))
        for _ in range(depth):
            x = BatchNorm()(x)
        model = keras.Model(inputs, x)
        model.compile(Adam(1e-3), "mse", jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        batch = tf.TensorSpec((None, 4, 4, 8))
        graph = tf.function(model.train_step).get_concrete_function((batch, batch)).graph
        assert sum(op.type == "Pow" for op in graph.get_operations()) == 2  # Adam's bias corrections
        return len(graph.get_operations())

    assert operations(3) - operations(2) < 50


def test_statistics_of_a_single_value_and_of_many() -> None:
    layer = BatchNorm(momentum=0.5)
    layer(np.full((1, 1, 1, 3), 4.0, np.float32), training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 2.0)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.5)  # no variance, no infinity
