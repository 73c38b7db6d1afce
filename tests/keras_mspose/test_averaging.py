"""The running average of the weights, by hand."""

import keras
import numpy as np
import pytest

from keras_mspose.averaging import Average


def _scalar() -> keras.Model:
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    model.weights[0].assign([[4.0]])
    return model


def test_the_memory_is_short_at_first_and_never_longer_than_the_momentum() -> None:
    model = _scalar()
    average, expected = Average(model, 0.5), 4.0
    for step, weight in enumerate((8.0, -2.0, 3.0, 3.5, 9.0, 1.0, 0.0, 0.5, 0.25, 7.0), start=1):
        model.weights[0].assign([[weight]])
        average.follow()
        momentum = min(0.5, (1 + step) / (10 + step))
        expected = momentum * expected + (1 - momentum) * weight
        assert float(average.values[0].numpy()[0, 0]) == pytest.approx(expected, rel=1e-6)
    assert momentum == 0.5


def test_it_takes_the_weights_place_and_gives_it_back() -> None:
    model = _scalar()
    average = Average(model, 0.9)
    model.weights[0].assign([[6.0]])
    with pytest.raises(RuntimeError), average.in_place():
        np.testing.assert_array_equal(model.get_weights()[0], [[4.0]])
        raise RuntimeError
    np.testing.assert_array_equal(model.get_weights()[0], [[6.0]])
    np.testing.assert_array_equal(average.values[0], [[4.0]])


def test_statistics_of_batch_normalisation_are_averaged_too(tiny_model: keras.Model) -> None:
    assert len(Average(tiny_model, 0.9).values) == len(tiny_model.weights) > len(tiny_model.trainable_weights)
