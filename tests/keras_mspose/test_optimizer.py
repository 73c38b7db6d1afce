"""The fused Adam is Keras's Adam."""

import keras
import numpy as np
import tensorflow as tf

from keras_mspose.optimizer import Adam


def _train(optimizer: keras.optimizers.Optimizer, compiled: bool) -> list[np.ndarray]:
    variables = [
        keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)),
        keras.Variable(np.float32(2.0)),
    ]
    optimizer.build(variables)

    def step(number: tf.Tensor) -> None:
        gradients = [tf.sin(v.value * 3 + number) * (10.0 if i else 0.01) for i, v in enumerate(variables)]
        optimizer.apply(gradients, variables)

    run = tf.function(step) if compiled else step
    for number in range(20):
        run(tf.constant(float(number)))
    return [v.numpy() for v in variables]


def test_twenty_steps_are_those_of_keras() -> None:
    for found, expected in zip(_train(Adam(0.01), False), _train(keras.optimizers.Adam(0.01), False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_weight_decay_is_that_of_adamw() -> None:
    found, expected = _train(Adam(0.01, weight_decay=0.1), True), _train(keras.optimizers.AdamW(0.01, 0.1), True)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert np.abs(found[0] - _train(Adam(0.01), True)[0]).max() > 1e-3


def test_and_with_every_option_inside_a_graph() -> None:
    def options() -> dict:
        schedule = keras.optimizers.schedules.CosineDecay(0.01, 20, warmup_target=0.1, warmup_steps=5)
        return {"learning_rate": schedule, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5, "clipnorm": 1.0}

    found, expected = _train(Adam(**options()), True), _train(keras.optimizers.Adam(**options()), True)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_it_survives_a_file() -> None:
    optimizer = Adam(0.003, beta_1=0.8)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is Adam and again.get_config() == optimizer.get_config()
