"""Exports answer as Keras does, hold the inference network alone, and never stand half-written."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export import onnx_file, savedmodel
from export.graph import InferenceGraph, Runner
from export.run import export_run
from keras_mspose import cli, saved_model
from keras_mspose import heatmaps as codec
from keras_mspose.config import ModelConfig, RunConfig, TrainingConfig
from keras_mspose.errors import MsposeError
from keras_mspose.layers import BatchNorm
from keras_mspose.model import build_model, inference_model
from keras_mspose.skeleton import MPII16, Skeleton

FORMATS = ("savedmodel", "tflite", "onnx")
HALVES = ("mixed_bfloat16", "mixed_float16")
PLAIN = ModelConfig(1, 8, (32, 48), depth=1, scales=(1,), regression=False)


def trained(config: ModelConfig, precision: str = "float32") -> keras.Model:
    """A network whose normalisation and heads are far from their start, so that wrong folding shows."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    try:
        model = build_model(config, 16)
    finally:
        keras.config.set_dtype_policy("float32")
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif "_gt" in layer.name or layer.name == "regression_correction":
            layer.set_weights([rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    return model


def write_run(folder: Path, config: ModelConfig, precision: str = "float32") -> Path:
    whole = RunConfig(model=config, training=TrainingConfig(precision=precision))
    model = trained(config, precision)
    saved_model.save(model, folder / "best.keras", saved_model.Facts(MPII16, "pckh", whole))
    return folder


def crops(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), ModelConfig(2, 8, (64, 64), depth=2, scales=(1, 2)))


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    export_run(run, run / "export", FORMATS)
    return run / "export"


@pytest.mark.slow
def test_every_format_answers_as_keras_does(exported: Path) -> None:
    report = json.loads((exported / "export.json").read_text())
    assert report["good"] and set(report["formats"]) == set(FORMATS)
    for name, found in report["formats"].items():
        assert found["keypoint_difference_px"] < 0.01 and found["flipped_peaks"] == 0, name
    assert report["removed"]["layers"] == ["stack1_gt2"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_any_batch_size_and_a_taken_folder(run: Path, exported: Path, tmp_path: Path) -> None:
    serve = tf.saved_model.load(str(exported / "savedmodel/1")).signatures["serving_default"]
    batch = crops(3, 64, 64)
    three, one = serve(crops=tf.constant(batch)), serve(crops=tf.constant(batch[:1]))
    assert three["keypoints"].shape == (3, 16, 3) and one["keypoints"].shape == (1, 16, 3)
    np.testing.assert_allclose(three["heatmaps"][:1], one["heatmaps"], atol=1e-5)
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))
    for fed, expected in ((batch, three), (batch[:1], one)):
        heatmaps, keypoints = session.run(["heatmaps", "keypoints"], {"crops": fed})
        np.testing.assert_allclose(heatmaps, expected["heatmaps"], atol=1e-4)
        np.testing.assert_allclose(keypoints, expected["keypoints"], atol=1e-3)
    with pytest.raises(MsposeError, match="not empty"):
        export_run(run, exported, ["onnx"])
    with pytest.raises(MsposeError, match="not a run"):
        export_run(tmp_path, tmp_path / "out", ["onnx"])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_up_sampling_is_one_operation(run: Path, exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = inference_model(saved_model.load(run)[0])
    up = [layer.interpolation for layer in network.layers if isinstance(layer, keras.layers.UpSampling2D)]
    operations = [node.op_type for node in onnx.load(exported / "model.onnx").graph.node]
    assert operations.count("Resize") == len(up) and "Tile" not in operations and "Expand" not in operations
    tf.lite.experimental.Analyzer.analyze(str(exported / "model.tflite"))
    listed = capfd.readouterr().out
    assert listed.count(" RESIZE_NEAREST_NEIGHBOR(") == up.count("nearest") and " TILE(" not in listed


@pytest.mark.slow
def test_index_says_all_that_a_user_needs(exported: Path) -> None:
    report = json.loads((exported / "export.json").read_text())
    interpreter = Interpreter(model_path=str(exported / report["formats"]["tflite"]["path"]))
    assert interpreter.get_signature_list()["serving_default"] == {
        "inputs": [report["input"]["name"]],
        "outputs": list(report["outputs"]),
    }
    assert report["input"]["shape"] == ["batch", 64, 64, 3] and report["input"]["dtype"] == "uint8"
    assert report["outputs"]["heatmaps"]["shape"] == ["batch", 16, 16, 16]
    assert (report["stride"], report["sigma"], report["box"]) == (4, 1.0, "record")
    assert Skeleton.from_dict(report["skeleton"]) == MPII16 and report["tolerance"]["keypoints_px"] == 0.01
    assert report["versions"]["tensorflow"] == tf.__version__
    for entry in report["formats"].values():
        assert (exported / entry["path"]).exists() and entry["bytes"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", HALVES)
def test_runs_of_half_precision_export_in_float32(precision: str, tmp_path: Path) -> None:
    config = ModelConfig(1, 8, (32, 48), depth=2, scales=(1, 2))
    write_run(tmp_path, config, precision)
    report = export_run(tmp_path, tmp_path / "export", FORMATS)
    assert report["good"] and set(report["formats"]) == set(FORMATS)
    assert report["precision"] == {"trained": precision, "exported": "float32"}
    batch = crops(2, 32, 48)
    heatmaps, _ = onnxruntime.InferenceSession(str(tmp_path / "export/model.onnx")).run(
        ["heatmaps", "keypoints"], {"crops": batch}
    )
    float32 = inference_model(trained(config))(batch, training=False).numpy()
    half = inference_model(saved_model.load(tmp_path)[0])(batch, training=False).numpy()
    scale = np.abs(float32).max()
    assert np.abs(heatmaps - float32).max() < 1e-5 * scale < np.abs(half - float32).max()


@pytest.mark.slow
def test_without_regression_the_last_stack_loses_its_heads_too(tmp_path: Path) -> None:
    write_run(tmp_path, ModelConfig(2, 8, (32, 32), depth=2, scales=(1, 2), regression=False))
    report = export_run(tmp_path, tmp_path / "export", ["onnx"])
    assert report["good"]
    assert report["removed"] == {"layers": ["stack1_gt2", "stack2_gt2"], "parameters": 2 * (8 * 16 + 16)}
    assert b"_gt2" not in (tmp_path / "export/model.onnx").read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a single output, which is the answer; and its crops are wider than high."""
    return write_run(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture(scope="module")
def plain_exported(plain: Path) -> Path:
    export_run(plain, plain / "export", FORMATS)
    return plain / "export"


@pytest.mark.slow
def test_a_single_output_loses_nothing_and_need_not_be_square(plain_exported: Path) -> None:
    report = json.loads((plain_exported / "export.json").read_text())
    assert report["good"] and set(report["formats"]) == set(FORMATS)
    assert report["removed"] == {"layers": [], "parameters": 0}
    assert report["input_size"] == [32, 48] and report["outputs"]["heatmaps"]["shape"] == ["batch", 8, 12, 16]
    batch = crops(3, 32, 48)
    heatmaps = trained(PLAIN)(batch, training=False)["stack1_gt1"].numpy()
    serve = tf.saved_model.load(str(plain_exported / "savedmodel/1")).signatures["serving_default"]
    expected = codec.decode(heatmaps, 4)
    np.testing.assert_allclose(serve(crops=tf.constant(batch))["keypoints"], expected, atol=1e-3)


@pytest.mark.slow
def test_crops_of_the_user_are_compared_and_wrong_ones_refused(plain: Path, tmp_path: Path) -> None:
    report = export_run(plain, tmp_path / "out", ["savedmodel"], images=crops(11, 32, 48))
    assert report["good"] and report["compared"]["crops"] == 11 and not report["compared"]["drawn"]
    for wrong in (crops(2, 48, 32), crops(0, 32, 48), crops(2, 32, 48).astype(np.float32), crops(1, 32, 48)[0]):
        with pytest.raises(MsposeError, match=r"expected \(N, 32, 48, 3\) uint8"):
            export_run(plain, tmp_path / "other", ["savedmodel"], images=wrong)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_broken_file_is_called_not_good(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = savedmodel.write

    def broken(graph: InferenceGraph, folder: Path) -> Runner:
        graph.weights[0].assign(graph.weights[0] * 1.01)
        return write(graph, folder)

    monkeypatch.setattr(savedmodel, "write", broken)
    arguments = ["export", str(plain), "--format", "savedmodel", "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    assert "BEYOND TOLERANCE" in capsys.readouterr().out
    report = json.loads((tmp_path / "out/export.json").read_text())
    assert not report["good"] and not report["formats"]["savedmodel"]["good"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["decoding", "network"])
def test_a_fault_of_the_shared_graph_is_seen(
    fault: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "decoding":
        shifted = SimpleNamespace(decode=lambda maps, stride, sigma: codec.decode(maps, stride, sigma) + 0.02)
        monkeypatch.setattr("export.graph.codec", shifted)
    else:
        monkeypatch.setattr("export.graph.inference_model", lambda model: _mirrored(inference_model(model)))
    report = export_run(plain, tmp_path / "out", ["savedmodel"])
    assert not report["good"]


def _mirrored(network: keras.Model) -> keras.Model:
    swapped = keras.layers.Permute((2, 1, 3), name="swap")(network.outputs[0])
    back = keras.layers.Reshape(network.outputs[0].shape[1:], name="back")(swapped)
    return keras.Model(network.inputs[0], back)


@pytest.mark.slow
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_export_leaves_the_earlier_one(
    failure: type[BaseException], plain: Path, plain_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in plain.rglob("*") if path.is_file()}

    def interrupted(graph: InferenceGraph, folder: Path) -> Runner:
        (folder / "model.onnx").write_bytes(b"half")
        raise failure("interrupted")

    before = content()
    monkeypatch.setattr(onnx_file, "write", interrupted)
    with pytest.raises(failure, match="interrupted"):
        export_run(plain, plain_exported, ["onnx"], overwrite=True)
    assert content() == before and sorted(p.name for p in plain.iterdir()) == ["best.keras", "export"]


@pytest.mark.slow
def test_overwrite_replaces_all_of_an_earlier_export(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "export.json").write_text("{}")
    (out / "model.tflite").write_bytes(b"earlier")
    assert cli.main(["export", str(plain), "--format", "savedmodel", "--out", str(out), "--overwrite"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "savedmodel"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


@pytest.mark.slow
def test_a_full_disk_is_said_in_a_line(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left\non device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    assert cli.main(["export", str(plain), "--format", "savedmodel", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_is_no_run_or_no_format_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "not a run" in said and said.count("\n") == 1
    (tmp_path / "best.keras").touch()
    with pytest.raises(MsposeError, match="expected one or more of savedmodel, tflite, onnx"):
        export_run(tmp_path, tmp_path / "out", ["coreml"])
    assert not (tmp_path / "out").exists()
