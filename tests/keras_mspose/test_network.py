"""The network is the one that the paper describes, and its loss is equation 1."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import saved_model
from keras_mspose.config import PRESETS, ModelConfig, RunConfig, load_recipe, recipe_names
from keras_mspose.errors import MsposeError
from keras_mspose.fit_metric import CorrectKeypoints
from keras_mspose.heatmaps import render, shrink
from keras_mspose.info import cost
from keras_mspose.losses import HeatmapLoss
from keras_mspose.metrics import accuracy, normalised_distances
from keras_mspose.model import build_model, inference_model, removed_layers
from keras_mspose.optimizer import Adam
from keras_mspose.skeleton import LSP14, MPII16


def test_the_paper_preset_is_pinned() -> None:
    model = build_model(PRESETS["paper"], 16)
    found = cost(model, inference_model(model))
    assert (found.parameters, found.inference_parameters) == (1_034_256, 1_024_896)
    assert found.gflops == pytest.approx(2.405793792)
    assert found.outputs["stack4_gt8"] == (8, 8, 16) and found.outputs["regression"] == (64, 64, 16)
    assert len(found.outputs) == 17
    assert {layer.name for layer in removed_layers(model)} == {f"stack{s}_gt{f}" for s in (1, 2, 3) for f in (2, 4, 8)}


def test_one_scale_without_regression_is_the_plain_stacked_hourglass() -> None:
    model = build_model(ModelConfig(2, 8, (64, 64), scales=(1,), regression=False), 16)
    assert list(model.output_names) == ["stack1_gt1", "stack2_gt1"]
    assert removed_layers(model) == []


def test_inference_keeps_just_what_the_answer_depends_on() -> None:
    model = build_model(ModelConfig(2, 8, (64, 128), depth=2, scales=(1, 2), regression=False), 5)
    assert model.output["stack2_gt1"].shape == (None, 16, 32, 5)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(np.zeros((1, 64, 128, 3), np.uint8))["stack2_gt1"])
    gradients = tape.gradient(total, [v.value for v in model.trainable_variables])
    needed = {v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is not None}
    assert needed == {v.path for v in inference_model(model).trainable_variables}


def test_a_file_carries_its_facts_and_loads_without_custom_objects(tmp_path: Path) -> None:
    config = ModelConfig(1, 8, (64, 64), depth=2, scales=(1, 2))
    model = build_model(config, 16)
    facts = saved_model.Facts(MPII16, "pckh", RunConfig(model=config))
    saved_model.save(model, tmp_path / "best.keras", facts)
    again, read = saved_model.load(tmp_path)
    crops = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(again(crops)["regression"], model(crops)["regression"])
    assert read == facts
    assert keras.saving.load_model(tmp_path / "best.keras").count_params() == model.count_params()


@pytest.mark.parametrize("pyramid", ["rendered", "maximum", "average"])
def test_the_loss_is_equation_1(pyramid: str) -> None:
    rng = np.random.default_rng(1)
    truth = np.concatenate(
        [rng.uniform(0, 63, (3, 5, 2)), rng.integers(0, 3, (3, 5, 1)), np.ones((3, 5, 1))], -1
    ).astype("f4")
    predicted = rng.normal(size=(3, 8, 8, 5)).astype("f4")
    drawn = render(truth, (8, 8), 8) if pyramid == "rendered" else shrink(render(truth, (16, 16), 4), 2, pyramid)
    expected = 0.0
    for person in range(3):
        for n in range(5):
            if truth[person, n, 2] > 0:
                expected += ((predicted[person, ..., n] - drawn[person, ..., n]) ** 2).sum() / 5 / 3
    assert float(HeatmapLoss(2, pyramid=pyramid)(truth, predicted)) == pytest.approx(expected, rel=1e-5)


def test_adam_is_keras_adam() -> None:
    def run(optimizer: keras.optimizers.Optimizer) -> np.ndarray:
        variable = keras.Variable(np.linspace(-1, 1, 12).reshape(3, 4))
        for step in range(20):
            optimizer.apply([tf.sin(variable.value * 3 + step)], [variable])
        return variable.numpy()

    np.testing.assert_allclose(run(Adam(0.01)), run(keras.optimizers.Adam(0.01)), atol=1e-6)


def test_the_metric_of_fit_is_the_metric_of_evaluate() -> None:
    rng = np.random.default_rng(2)
    truth = np.concatenate([rng.uniform(0, 63, (12, 14, 2)), rng.integers(0, 3, (12, 14, 1))], -1).astype("f4")
    reference = rng.uniform(0, 40, 12).astype("f4") * (rng.random(12) < 0.8)
    maps = render(truth + rng.normal(0, 4, truth.shape) * [1, 1, 0], (16, 16), 4).astype("f4")
    targets = np.concatenate([truth, np.broadcast_to(reference[:, None, None], (12, 14, 1))], -1).astype("f4")
    metric = CorrectKeypoints(14, LSP14.scored_indices, 0.2)
    for part in (slice(0, 5), slice(5, 12)):
        metric.update_state(targets[part], maps[part])
    from keras_mspose.heatmaps import decode

    found = accuracy(normalised_distances(decode(maps, 4), truth, reference), LSP14, "pck")
    assert 0 < found.mean < 100
    assert float(metric.result()) == pytest.approx(found.mean, abs=1e-4)


def test_shipped_recipes_load_and_mistakes_are_named() -> None:
    assert {"lsp_small", "mpii_paper"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).training.epochs > 1
    for change, said in (("training.epoch=2", "training.epoch: unknown key"), ("training.epochs=x", "valid integer")):
        with pytest.raises(MsposeError, match=said):
            load_recipe("lsp_small", [change])
