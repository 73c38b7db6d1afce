"""The share of a training's time that goes by without a batch."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose.input_wait import COLUMN, InputWait


def _waits(seconds: float) -> float:
    """Percent, of an input that takes so long to give a batch."""

    def slowly(number: np.int64) -> np.float32:
        time.sleep(seconds)
        return np.float32(number)

    numbers = tf.data.Dataset.range(20).map(lambda i: tf.ensure_shape(tf.numpy_function(slowly, [i], tf.float32), []))
    batches = numbers.map(lambda x: (tf.reshape(x, [1, 1]), tf.zeros([1, 1])))
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs))
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
    wait = InputWait(model)
    model.fit(batches, epochs=2, verbose=0, callbacks=[wait, kept := keras.callbacks.History()])
    # the same arithmetic as without it: the weight stays 1, and the loss is the mean square of 0 to 19
    assert kept.history["loss"][1] == pytest.approx(np.mean(np.arange(20) ** 2), rel=1e-5)
    return kept.history[COLUMN][1]


def test_a_slow_input_is_told_from_a_quick_one() -> None:
    quick, slow = _waits(0.0), _waits(0.2)
    assert 0 <= quick < slow <= 100 and slow > 50
