"""Exports answer as Keras does, hold the inference network alone, and never stand half-written."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf

from export.run import export_run
from keras_mspose import saved_model
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.layers import BatchNorm
from keras_mspose.model import build_model, inference_model
from keras_mspose.skeleton import MPII16

FORMATS = ("savedmodel", "tflite", "onnx")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose normalisation and heads are far from their start, so that wrong folding shows."""
    rng = np.random.default_rng(0)
    config = ModelConfig(2, 8, (64, 64), depth=2, scales=(1, 2))
    model = build_model(config, 16)
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif "_gt" in layer.name or layer.name == "regression_correction":
            layer.set_weights([rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    folder = tmp_path_factory.mktemp("run")
    saved_model.save(model, folder / "best.keras", saved_model.Facts(MPII16, "pckh", RunConfig(model=config)))
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    export_run(run, run / "export", FORMATS)
    return run / "export"


def test_every_format_answers_as_keras_does(exported: Path) -> None:
    report = json.loads((exported / "export.json").read_text())
    assert report["good"] and set(report["formats"]) == set(FORMATS)
    for name, found in report["formats"].items():
        assert found["keypoint_difference_px"] < 0.01 and found["flipped_peaks"] == 0, name
    assert report["removed"]["layers"] == ["stack1_gt2"]


def test_no_weight_of_a_supervision_head_is_left(run: Path, exported: Path) -> None:
    parameters = inference_model(saved_model.load(run)[0]).count_params()
    checkpoint = tf.train.load_checkpoint(str(exported / "savedmodel/1/variables/variables"))
    shapes = [s for name, s in checkpoint.get_variable_to_shape_map().items() if "OBJECT_GRAPH" not in name]
    assert sum(int(np.prod(s)) for s in shapes if s) == parameters
    network = onnx.load(exported / "model.onnx").graph
    constants = sum(int(np.prod(i.dims)) for i in network.initializer if i.data_type == onnx.TensorProto.FLOAT)
    assert 0.5 * parameters < constants <= parameters + 64
    for file in ("savedmodel/1/saved_model.pb", "model.onnx", "model.tflite"):
        written = (exported / file).read_bytes()
        assert b"stack1_gt1" in written and b"stack1_gt2" not in written, file


def test_any_batch_size_and_a_taken_folder(run: Path, exported: Path, tmp_path: Path) -> None:
    serve = tf.saved_model.load(str(exported / "savedmodel/1")).signatures["serving_default"]
    crops = np.random.default_rng(1).integers(0, 255, (3, 64, 64, 3), np.uint8)
    three, one = serve(crops=tf.constant(crops)), serve(crops=tf.constant(crops[:1]))
    np.testing.assert_allclose(three["heatmaps"][:1], one["heatmaps"], atol=1e-5)
    with pytest.raises(MsposeError, match="not empty"):
        export_run(run, exported, ["onnx"])
    with pytest.raises(MsposeError, match="not a run"):
        export_run(tmp_path, tmp_path / "out", ["onnx"])
    assert not (tmp_path / "out").exists()
