"""The network is the paper's, inference keeps what the answer needs, and a file gives the same network back."""

import subprocess
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import saved_model
from keras_mspose.config import PRESETS, ModelConfig, RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.info import Cost, cost
from keras_mspose.model import answer_name, build_model, head_scale, head_stride, inference_model, removed_layers
from keras_mspose.skeleton import MPII16


def _crops(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def paper() -> Cost:
    """Cost of the paper's network for MPII."""
    model = build_model(PRESETS["paper"], 16)
    return cost(model, inference_model(model))


@pytest.fixture(scope="module")
def two_stacks() -> keras.Model:
    """Two stacks over a crop that is twice as wide as high, with regression."""
    return build_model(ModelConfig(2, 8, (64, 128), scales=(1, 2, 4, 8)), 5)


def test_the_papers_network_is_pinned(paper: Cost) -> None:
    assert (paper.parameters, paper.inference_parameters) == (1_034_256, 1_024_896)
    assert paper.gflops == pytest.approx(2.405793792, rel=1e-9)
    # What inference leaves out are 9 heads of 64 * 16 weights: 3 each of 8, 16 and 32 pixels squared.
    removed = 2 * 3 * 64 * 16 * (8**2 + 16**2 + 32**2) / 1e9
    assert paper.gflops - paper.inference_gflops == pytest.approx(removed, rel=1e-6)


def test_the_papers_heads_are_four_scales_a_stack_and_the_regression(paper: Cost) -> None:
    sizes = {
        f"stack{stack}_gt{scale}": (64 // scale, 64 // scale, 16) for stack in range(1, 5) for scale in (1, 2, 4, 8)
    }
    assert paper.outputs == {**sizes, "regression": (64, 64, 16)}


def test_a_steps_memory_is_weights_and_activations_by_the_crop(paper: Cost) -> None:
    fixed = paper.training_bytes(0)
    assert fixed == paper.weight_bytes > 4 * 4 * 0.95 * paper.parameters
    assert paper.training_bytes(16) - fixed == 16 * paper.activation_bytes == 16 * (paper.training_bytes(1) - fixed)
    assert paper.activation_bytes > 4 * 64 * 64 * 64  # one layer of 64 channels at GT size, at the very least


def test_one_scale_without_regression_is_the_plain_stacked_hourglass() -> None:
    model = build_model(ModelConfig(2, 8, (64, 64), scales=(1,), regression=False), 16)
    assert list(model.output_names) == ["stack1_gt1", "stack2_gt1"]
    assert answer_name(model) == "stack2_gt1"
    assert removed_layers(model) == []
    supervision = {layer.name for layer in model.layers if "_gt" in layer.name or "regression" in layer.name}
    assert supervision == {"stack1_gt1", "stack2_gt1"}


def test_heads_are_named_by_stack_and_scale(two_stacks: keras.Model) -> None:
    assert answer_name(two_stacks) == "regression"
    assert [head_scale(n) for n in ("stack1_gt1", "stack2_gt8", "regression")] == [1, 8, 1]
    assert [head_stride(n) for n in ("stack1_gt1", "stack2_gt8", "regression")] == [4, 32, 4]


def test_the_answer_of_ten_stacks_is_the_tenth() -> None:
    crop = keras.Input((8, 8, 3))
    heads = {f"stack{s}_gt1": keras.layers.Conv2D(1, 1, name=f"stack{s}_gt1")(crop) for s in range(1, 11)}
    assert answer_name(keras.Model(crop, heads)) == "stack10_gt1"


def test_a_rectangular_crop_gives_rectangular_heatmaps(two_stacks: keras.Model) -> None:
    maps = two_stacks(_crops(1, 64, 128, 3))
    for stack in (1, 2):
        for scale in (1, 2, 4, 8):
            assert maps[f"stack{stack}_gt{scale}"].shape == (1, 16 // scale, 32 // scale, 5)
    assert maps["regression"].shape == (1, 16, 32, 5)


def test_inference_keeps_just_what_the_answer_depends_on(two_stacks: keras.Model) -> None:
    variables = two_stacks.trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(two_stacks(_crops(1, 64, 128, 3))["regression"])
    gradients = tape.gradient(total, [v.value for v in variables])
    unused = {v.path for v, g in zip(variables, gradients, strict=True) if g is None}
    assert unused == {v.path for layer in removed_layers(two_stacks) for v in layer.trainable_variables}
    assert {layer.name for layer in removed_layers(two_stacks)} == {f"stack1_gt{scale}" for scale in (2, 4, 8)}

    def weights(layers: list[keras.layers.Layer]) -> int:
        return sum(prod(w.shape) for layer in layers for w in layer.weights)

    needed = [layer for layer in two_stacks.layers if not {v.path for v in layer.trainable_variables} & unused]
    assert inference_model(two_stacks).count_params() == weights(needed)


def test_without_regression_the_last_stacks_small_heads_go_too() -> None:
    model = build_model(ModelConfig(2, 8, (64, 64), depth=2, scales=(1, 2), regression=False), 5)
    assert {layer.name for layer in removed_layers(model)} == {"stack1_gt2", "stack2_gt2"}
    left = [layer.name for layer in inference_model(model).layers if "_gt" in layer.name]
    assert left == ["stack1_gt1", "stack2_gt1"]


def test_inference_gives_the_training_networks_answer(two_stacks: keras.Model) -> None:
    crops = _crops(2, 64, 128, 3)
    np.testing.assert_allclose(inference_model(two_stacks)(crops), two_stacks(crops)["regression"], atol=1e-6)


def test_every_head_learns(two_stacks: keras.Model) -> None:
    with tf.GradientTape() as tape:
        total = tf.add_n([tf.reduce_sum(tf.square(1 - m)) for m in two_stacks(_crops(1, 64, 128, 3)).values()])
    gradients = tape.gradient(total, [v.value for v in two_stacks.trainable_variables])
    assert all(g is not None for g in gradients)


def test_the_regression_begins_with_the_last_stacks_heatmaps(two_stacks: keras.Model) -> None:
    correction = two_stacks.get_layer("regression_correction")
    kept = correction.get_weights()
    correction.set_weights([np.zeros_like(w) for w in kept])
    maps = two_stacks(_crops(1, 64, 128, 3))
    correction.set_weights(kept)
    np.testing.assert_array_equal(maps["regression"], maps["stack2_gt1"])


@pytest.fixture
def bfloat16() -> Iterator[None]:
    """Layers compute in bfloat16 while a test runs."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_heads_stay_float32_under_mixed_precision(bfloat16: None, tiny_config: ModelConfig) -> None:
    model = build_model(tiny_config, 16)
    assert model.get_layer("stack1_top_conv").compute_dtype == "bfloat16"
    maps = model(_crops(2, 64, 64, 3), training=True)
    assert {m.dtype for m in maps.values()} == {tf.float32}
    assert all(np.isfinite(m).all() for m in maps.values())
    assert {v.dtype for v in model.variables} <= {"float32", "uint32", "int64"}


@pytest.fixture(scope="module")
def saved(tiny_model: keras.Model, tiny_config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.keras` file of the tiny network, with its facts."""
    path = tmp_path_factory.mktemp("run") / "best.keras"
    saved_model.save(tiny_model, path, saved_model.Facts(MPII16, "pckh", RunConfig(model=tiny_config)))
    return path


def test_a_file_gives_the_same_network_and_its_facts(
    saved: Path, tiny_model: keras.Model, tiny_config: ModelConfig
) -> None:
    crops = _crops(2, 64, 64, 3)
    expected = tiny_model(crops)
    assert [p.name for p in saved.parent.iterdir()] == ["best.keras"]
    again, facts = saved_model.load(str(saved.parent))
    assert saved_model.find(saved) == saved_model.find(saved.parent) == saved
    assert facts == saved_model.Facts(MPII16, "pckh", RunConfig(model=tiny_config))
    found = again(crops)
    assert found.keys() == expected.keys()
    for name, maps in expected.items():
        np.testing.assert_array_equal(found[name], maps)


def test_keras_loads_the_file_without_custom_objects(saved: Path, tiny_model: keras.Model) -> None:
    crops = _crops(2, 64, 64, 3)
    again = keras.saving.load_model(saved)
    np.testing.assert_array_equal(again(crops)["regression"], tiny_model(crops)["regression"])


def test_loading_needs_no_other_import(saved: Path) -> None:
    code = f"from keras_mspose import saved_model; saved_model.load({str(saved)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def test_the_file_holds_weights_and_no_optimizer(tiny_config: ModelConfig, tmp_path: Path) -> None:
    model = build_model(tiny_config, 16)
    facts = saved_model.Facts(MPII16, "pckh", RunConfig(model=tiny_config))
    saved_model.save(model, tmp_path / "plain.keras", facts)
    model.compile(optimizer="adam", loss={name: "mse" for name in model.output_names})
    model.optimizer.build(model.trainable_variables)
    saved_model.save(model, tmp_path / "trained.keras", facts)
    sizes = [(tmp_path / name).stat().st_size for name in ("plain.keras", "trained.keras")]
    assert sizes[1] < 1.1 * sizes[0]


def test_a_released_name_is_found_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = saved_model.find("lsp14-small")
    assert file.is_file() and file.stat().st_size < 8e6
    (tmp_path / "lsp14-small").mkdir()  # a folder of one's own comes first
    with pytest.raises(MsposeError, match="not a run"):
        saved_model.find("lsp14-small")


def test_files_that_are_no_network_are_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(MsposeError, match="no such file or folder"):
        saved_model.load(tmp_path / "absent")
    with pytest.raises(MsposeError, match=r"not a run \(no best\.keras or last\.keras"):
        saved_model.load(tmp_path)
    cut = tmp_path / "cut.keras"
    cut.write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(MsposeError, match=r"cut\.keras: damaged or not a \.keras file"):
        saved_model.load(cut)
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plain.save(tmp_path / "other.keras")
    with pytest.raises(MsposeError, match=r"other\.keras: a \.keras file without mspose\.json"):
        saved_model.load(tmp_path / "other.keras")
