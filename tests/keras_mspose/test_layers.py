"""Building blocks: batch normalisation is Keras's, a residual module begins as the identity."""

import subprocess
import sys
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from keras_mspose.layers import BN_MOMENTUM, BatchNorm, convolution, head, hourglass, residual

FEATURES = np.random.default_rng(0).normal(2.0, 3.0, (4, 6, 5, 8)).astype(np.float32)


@pytest.fixture
def pair() -> Iterator[tuple[BatchNorm, keras.layers.BatchNormalization]]:
    """Ours and Keras's, with the same random weights."""
    layers = BatchNorm(momentum=BN_MOMENTUM), keras.layers.BatchNormalization(momentum=BN_MOMENTUM)
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.5, 2, 8), rng.normal(size=8), rng.normal(size=8), rng.uniform(0.5, 2, 8)]
    for layer in layers:
        layer.build(FEATURES.shape)
        layer.set_weights(weights)
    return layers


def test_batch_norm_infers_as_keras_does(pair: tuple) -> None:
    ours, keras_own = (np.asarray(layer(FEATURES, training=False)) for layer in pair)
    np.testing.assert_allclose(ours, keras_own, rtol=0, atol=1e-5)


def test_batch_norm_trains_as_keras_does(pair: tuple) -> None:
    before = pair[0].moving_mean.numpy()
    for _ in range(3):
        ours, keras_own = (np.asarray(layer(FEATURES, training=True)) for layer in pair)
        np.testing.assert_allclose(ours, keras_own, rtol=0, atol=1e-4)
    for name in ("moving_mean", "moving_variance"):
        moved, expected = (getattr(layer, name).numpy() for layer in pair)
        np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)
    assert (np.abs(pair[0].moving_mean.numpy() - before) > 0.01).all()


def test_batch_norm_reads_its_statistics_by_hand() -> None:
    layer = BatchNorm(momentum=0.9)
    found = np.asarray(layer(np.array([1.0, 3.0], np.float32).reshape(2, 1, 1, 1), training=True))
    np.testing.assert_allclose(found.ravel(), [-1, 1], atol=1e-3)  # mean 2, variance 1, epsilon 0.001
    np.testing.assert_allclose(layer.moving_mean.numpy(), [0.2], rtol=1e-5)  # 0.9 * 0 + 0.1 * 2
    np.testing.assert_allclose(layer.moving_variance.numpy(), [1.0], rtol=1e-5)  # 0.9 * 1 + 0.1 * 1


def test_inference_and_frozen_layers_leave_the_statistics_alone(pair: tuple) -> None:
    ours = pair[0]
    before = [w.copy() for w in ours.get_weights()]
    ours(FEATURES, training=False)
    ours.trainable = False
    frozen = np.asarray(ours(FEATURES, training=True))
    for a, b in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(frozen, np.asarray(ours(FEATURES, training=False)))


@pytest.mark.parametrize("training", [False, True])
def test_a_residual_module_begins_as_the_identity(training: bool) -> None:
    features = keras.Input(FEATURES.shape[1:])
    module = keras.Model(features, residual(features, 8, "r"))
    np.testing.assert_array_equal(np.asarray(module(FEATURES, training=training)), FEATURES)


def test_a_residual_module_can_change_the_channels() -> None:
    features = keras.Input((6, 5, 8))
    assert residual(features, 12, "r").shape == (None, 6, 5, 12)


def test_a_strided_convolution_is_symmetric() -> None:
    # A picture and its mirror image, through a mirrored kernel, give mirrored features: no half pixel goes astray.
    picture = keras.Input((8, 8, 1))
    model = keras.Model(picture, convolution(picture, 2, 4, "c", stride=2, relu=False))
    assert model.output.shape == (None, 4, 4, 2)
    kernel = np.random.default_rng(2).normal(size=(4, 4, 1, 2)).astype(np.float32)
    pixels = np.random.default_rng(3).normal(size=(1, 8, 8, 1)).astype(np.float32)
    conv = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    conv.set_weights([kernel])
    plain = np.asarray(model(pixels))
    conv.set_weights([kernel[:, ::-1]])
    np.testing.assert_allclose(np.asarray(model(pixels[:, :, ::-1])), plain[:, :, ::-1], atol=1e-5)


def test_an_hourglass_hands_out_every_scale() -> None:
    features = hourglass(keras.Input((16, 32, 4)), 3, "h")
    assert {scale: tuple(x.shape[1:]) for scale, x in features.items()} == {
        1: (16, 32, 4),
        2: (8, 16, 4),
        4: (4, 8, 4),
    }


def test_a_head_begins_near_nothing() -> None:
    maps = keras.Input((6, 5, 8))
    found = np.asarray(keras.Model(maps, head(maps, 3, "head"))(FEATURES))
    assert found.shape == (4, 6, 5, 3) and 0 < np.abs(found).max() < 0.1


TWO_DEVICES = """
from contextlib import nullcontext
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_mspose.layers import BatchNorm, averages_held
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    ours, kerass = BatchNorm(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9, synchronized=True)
    for layer in (ours, kerass):
        layer.build((None, 2, 2, 3))
given = np.random.default_rng(0).normal(3, 2, (2, 8, 2, 2, 3)).astype("float32")
(batch,) = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(tuple(given)).batch(8))
def step(layer, held, x, weights):
    with tf.GradientTape() as tape, averages_held() if held else nullcontext():
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(weights * y * y)
    return y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
def found(layer, held=False):
    run = tf.function(lambda *batch: strategy.run(lambda *given: step(layer, held, *given), batch))
    return [strategy.gather(value, 0).numpy() for value in run(*batch)]
def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
answer, expected = found(ours), found(kerass)
moved = ours.get_weights()
same(answer, expected)
same(moved, kerass.get_weights())
assert np.abs(moved[2]).min() > 0.1
same(found(ours, held=True), expected)
same(ours.get_weights(), moved)
"""


def test_batch_norm_over_two_devices_is_keras_own_and_can_be_held() -> None:
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
