"""Trained the fast way, the network is the network: the same losses, gradients and moving averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import fast_network
from keras_mspose.config import PRESETS, ModelConfig, RunConfig, TrainingConfig
from keras_mspose.fast_network import FastNetwork
from keras_mspose.losses import HeatmapLoss
from keras_mspose.model import build_model, head_scale


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Two stacks, so that heatmaps are mapped back, with weights that make every path count."""
    keras.utils.set_random_seed(0)
    model = build_model(ModelConfig(2, 8, (64, 64), depth=2, scales=(1, 2)), 5)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.1 * keras.random.normal(weight.shape, seed=1))
    return model


def _step(model: keras.Model) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """Loss, gradients, and moving averages of one step from the weights that the model has; they are put back."""
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (3, 64, 64, 3), np.uint8)
    targets = np.concatenate([rng.uniform(0, 63, (3, 5, 2)), np.full((3, 5, 2), 2)], axis=-1).astype(np.float32)
    before = model.get_weights()

    @tf.function
    def run() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            maps = model(crops, training=True)
            loss = tf.add_n([HeatmapLoss(head_scale(name))(targets, found) for name, found in maps.items()])
        return loss, tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    loss, gradients = run()
    averages = [variable.numpy() for variable in model.non_trainable_variables]
    model.set_weights(before)
    return float(loss), [gradient.numpy() for gradient in gradients], averages


def test_a_step_is_that_of_the_plain_network(network: keras.Model) -> None:
    fast = FastNetwork(network.inputs[0], network.output)
    (loss, gradients, averages), (expected, plain, plain_averages) = _step(fast), _step(network)
    assert loss == pytest.approx(expected, rel=1e-4)
    # Rounding moves a value now and then across ReLU's bend, and what a normalisation takes away again is all rounding.
    size = np.sqrt(sum(np.square(gradient).sum() for gradient in plain) / sum(gradient.size for gradient in plain))
    for variable, ours, theirs in zip(network.trainable_variables, gradients, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * size, err_msg=variable.path)
    difference = np.concatenate([(a - b).ravel() for a, b in zip(gradients, plain, strict=True)])
    assert np.linalg.norm(difference) < 1e-4 * np.linalg.norm(np.concatenate([g.ravel() for g in plain]))
    for ours, theirs in zip(averages, plain_averages, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_it_shares_its_layers_and_infers_as_they_do(network: keras.Model) -> None:
    fast = FastNetwork(network.inputs[0], network.output)
    assert [layer.name for layer in fast.layers] == [layer.name for layer in network.layers]
    assert all(a is b for a, b in zip(fast.variables, network.variables, strict=True))
    crops = np.random.default_rng(1).integers(0, 255, (1, 64, 64, 3), np.uint8)
    for name, maps in network(crops).items():
        np.testing.assert_array_equal(fast(crops)[name], maps)


def test_every_part_that_has_a_fast_form_takes_it(network: keras.Model) -> None:
    kinds = [step.__qualname__.split(".")[0] for step in fast_network._steps(network)]
    # 3 hourglasses of 2 poolings: 6 modules each and, but in the regression, 2 for the skips; 2 in the stem.
    assert kinds.count("_residual") == 3 * 6 + 2 * 2 + 2
    assert kinds.count("_convolution") == 2 + 2 + 2  # the stem's, the stacks' tops, the regression's two ends
    assert kinds.count("_pool") == kinds.count("_add_enlarged") == 6
    assert kinds.count("_pointwise") == 2 * 2 + 2 + 1  # heads, remaps, the correction


def test_half_precision_and_small_features_go_the_plain_way() -> None:
    one = tf.distribute.MirroredStrategy(["CPU:0"])

    def suits(batch: int, precision: str) -> bool:
        training = TrainingConfig(batch_size=batch, precision=precision)
        return fast_network.suits(one, RunConfig(model=PRESETS["small"], training=training))

    assert suits(32, "float32")
    assert not suits(32, "mixed_bfloat16")
    assert not suits(4, "float32")
