"""The training step as it is built for speed is the plain one: Keras's own normalisation and optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import layers
from keras_mspose.config import ModelConfig
from keras_mspose.losses import HeatmapLoss
from keras_mspose.model import build_model, head_scale
from keras_mspose.optimizer import Adam

CONFIG = ModelConfig(stacks=2, channels=8, input_size=(64, 64), depth=2, scales=(1, 2))
SIZES = (64, 64)


def _built() -> keras.Model:
    """The same weights each time, in which no branch is closed."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = build_model(CONFIG, 14)
    model.set_weights([w + 0.1 * rng.random(w.shape, np.float32) for w in model.get_weights()])
    return model


def _batch() -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(1)
    numbers = [rng.uniform(0, 63, (4, 14, 2)), rng.integers(0, 3, (4, 14, 1)), np.full((4, 14, 1), 9)]
    crops = rng.integers(0, 256, (4, *SIZES, 3), np.uint8)
    return tf.constant(crops), tf.constant(np.concatenate(numbers, axis=2).astype(np.float32))


def _step(model: keras.Model) -> tuple[dict[str, float], list[np.ndarray]]:
    """Loss of every head, and the gradients of their sum."""
    crops, targets = _batch()

    @tf.function
    def step() -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            outputs = model(crops, training=True)
            losses = {head: HeatmapLoss(head_scale(head))(targets, maps) for head, maps in outputs.items()}
            total = tf.add_n(list(losses.values()))
        return losses, tape.gradient(total, [variable.value for variable in model.trainable_variables])

    losses, gradients = step()
    return {head: float(loss) for head, loss in losses.items()}, [gradient.numpy() for gradient in gradients]


@pytest.mark.slow
def test_losses_gradients_and_averages_are_those_of_the_plain_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _built()
    monkeypatch.setattr(layers, "BatchNorm", keras.layers.BatchNormalization)
    plain = _built()
    assert type(plain.get_layer("stem_a_bn")) is not type(fast.get_layer("stem_a_bn"))
    (losses, gradients), (expected, its) = _step(fast), _step(plain)
    assert losses == pytest.approx(expected, rel=1e-4) and len(losses) == 5
    largest = max(np.abs(gradient).max() for gradient in its)
    for variable, a, b in zip(fast.trainable_variables, gradients, its, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * largest, err_msg=variable.path)
    for a, b in zip(fast.non_trainable_variables, plain.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=a.path)


@pytest.mark.slow
def test_five_steps_of_fit_have_the_losses_of_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    crops, targets = _batch()

    def losses(optimizer: type[keras.optimizers.Optimizer]) -> list[float]:
        model = _built()
        heads = {head: HeatmapLoss(head_scale(head)) for head in model.output_names}
        model.compile(optimizer(1e-3), heads, jit_compile=False)
        batch = crops, dict.fromkeys(heads, targets)
        steps = tf.data.Dataset.from_tensors(batch).repeat(5)
        return [model.fit(steps.take(1), verbose=0).history["loss"][0] for _ in range(5)]

    found = losses(Adam)
    monkeypatch.setattr(layers, "BatchNorm", keras.layers.BatchNormalization)
    expected = losses(keras.optimizers.Adam)
    assert found == pytest.approx(expected, rel=1e-3) and expected[-1] < expected[0]
