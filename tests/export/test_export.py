"""Exports answer as Keras does, hold the inference network alone, and never stand half-written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export import artefacts, onnx_file
from export.artefacts import FORMATS, PRECISIONS
from export.graph import InferenceGraph
from export.index import files, read_index
from export.run import export_run, model_name
from keras_mspose import cli, network, saved_model
from keras_mspose import heatmaps as codec
from keras_mspose.config import ModelConfig, RunConfig, TrainingConfig
from keras_mspose.errors import MsposeError
from keras_mspose.layers import BatchNorm
from keras_mspose.model import inference_model
from keras_mspose.skeleton import MPII16, Skeleton

Network = Callable[..., keras.Model]
HALVES = ("mixed_bfloat16", "mixed_float16")
PLAIN = ModelConfig(1, 8, (32, 48), depth=1, scales=(1,), regression=False)


def write_run(folder: Path, model: keras.Model, config: ModelConfig, precision: str = "float32") -> Path:
    whole = RunConfig(model=config, training=TrainingConfig(precision=precision))
    saved_model.save(model, folder / "best.keras", saved_model.Facts(MPII16, "pckh", whole))
    return folder


def crops(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def run(as_trained: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ModelConfig(2, 8, (64, 64), depth=2, scales=(1, 2))
    return write_run(tmp_path_factory.mktemp("run"), as_trained(config), config)


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    export_run(run, run / "export", FORMATS, name="tiny", looks=2)
    return run / "export"


SAVED, TFLITE, ONNX = "savedmodel/tiny/1", "tflite/model_float32.tflite", "onnx/model_float32.onnx"


@pytest.mark.slow
def test_every_file_answers_as_keras_does(exported: Path) -> None:
    report = read_index(exported)
    assert report["good"] and set(report["formats"]) == set(FORMATS)
    assert set(report["formats"]["tflite"]) == {
        *(f"model_{p}" for p in PRECISIONS),
        "delegate_float32",
        "delegate_float16",
    }
    assert set(report["formats"]["onnx"]) == {f"model_{p}" for p in ("float32", "float16", "int8")}
    for found in files(report):
        if found["precision"] == "float32":
            assert found["keypoint_difference_px"] < 0.01 and found["flipped_peaks"] == 0, found["path"]
    assert report["removed"]["layers"] == ["stack1_gt2"]


@pytest.mark.slow
def test_no_weight_of_a_supervision_head_or_a_normalisation_is_left(run: Path, exported: Path) -> None:
    parameters = inference_model(saved_model.load(run)[0]).count_params()
    report = read_index(exported)
    left = report["parameters"]["exported"]
    assert report["parameters"]["before"] == parameters and 0.5 * parameters < left < parameters
    checkpoint = tf.train.load_checkpoint(str(exported / SAVED / "variables/variables"))
    shapes = [s for name, s in checkpoint.get_variable_to_shape_map().items() if "OBJECT_GRAPH" not in name]
    assert sum(int(np.prod(s)) for s in shapes if s) == left
    network = onnx.load(exported / ONNX).graph
    constants = sum(int(np.prod(i.dims)) for i in network.initializer if i.data_type == onnx.TensorProto.FLOAT)
    assert left <= constants <= left + 64
    for file in (f"{SAVED}/saved_model.pb", ONNX, TFLITE):
        written = (exported / file).read_bytes()
        assert b"stack2_gt1" in written and b"stack1_gt" not in written, file


@pytest.mark.slow
def test_operations_are_few_and_none_is_of_training_or_of_64_bits(run: Path, exported: Path) -> None:
    network = inference_model(saved_model.load(run)[0])
    kinds = {entry["path"]: entry["operations"] for entry in files(read_index(exported))}
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in network.layers) - 2  # three join into one
    up = [layer for layer in network.layers if isinstance(layer, keras.layers.UpSampling2D)]
    nearest = sum(layer.interpolation == "nearest" for layer in up)
    assert kinds[ONNX]["Conv"] == kinds[SAVED]["Conv2D"] == kinds[TFLITE]["CONV_2D"] == convolutions
    assert kinds[ONNX]["Transpose"] == 2 and kinds[ONNX]["Resize"] == len(up)
    assert kinds[TFLITE]["RESIZE_NEAREST_NEIGHBOR"] == nearest
    unwanted = {"FusedBatchNormV3", "BatchNormalization", "Identity", "Tile", "TILE", "Expand", "BROADCAST_TO"}
    assert not any(unwanted & set(found) for found in kinds.values())
    types = {tensor["dtype"] for tensor in Interpreter(model_path=str(exported / TFLITE)).get_tensor_details()}
    assert np.float64 not in types
    inferred = onnx.shape_inference.infer_shapes(onnx.load(exported / ONNX)).graph
    assert onnx.TensorProto.DOUBLE not in {value.type.tensor_type.elem_type for value in inferred.value_info}
    assert onnx.TensorProto.DOUBLE not in {constant.data_type for constant in inferred.initializer}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_gpu_delegates_take_every_operation(precision: str, exported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = exported / f"tflite/delegate_{precision}.tflite"
    tf.lite.experimental.Analyzer.analyze(str(file), gpu_compatibility=True)
    assert "compatible with GPU delegate" in (said := capfd.readouterr().out) and "NOT compatible" not in said
    signature = Interpreter(model_path=str(file)).get_signature_runner()
    assert signature.get_input_details()["crops"]["dtype"] == np.float32
    assert list(signature.get_output_details()) == ["heatmaps"]


@pytest.mark.slow
def test_int8_files_compute_in_int8_and_decode_in_float32(exported: Path) -> None:
    interpreter = Interpreter(model_path=str(exported / "tflite/model_int8.tflite"))
    tensors = {tensor["name"]: tensor for tensor in interpreter.get_tensor_details()}
    weights = [t for t in tensors.values() if t["dtype"] == np.int8 and len(t["quantization_parameters"]["scales"]) > 1]
    convolutions = read_index(exported)["formats"]["tflite"]["model_int8"]["operations"]["CONV_2D"]
    assert len(weights) == convolutions  # by channel, each of them
    details = interpreter.get_signature_runner().get_output_details()
    assert {name: detail["dtype"] for name, detail in details.items()} == {"heatmaps": np.float32}
    quantised = onnx.load(exported / "onnx/model_int8.onnx").graph
    makers = {output: node for node in quantised.node for output in node.output}
    inputs = [makers[node.input[1]] for node in quantised.node if node.op_type == "Conv"]
    assert inputs and {node.op_type for node in inputs} == {"DequantizeLinear"}
    logarithms = [makers[node.input[0]].op_type for node in quantised.node if node.op_type == "Log"]
    assert logarithms and "DequantizeLinear" not in logarithms


@pytest.mark.slow
def test_any_batch_size_and_a_taken_folder(run: Path, exported: Path, tmp_path: Path) -> None:
    loaded = tf.saved_model.load(str(exported / SAVED))
    serve = loaded.signatures["crops"]
    batch = crops(3, 64, 64)
    three, one = serve(crops=tf.constant(batch)), serve(crops=tf.constant(batch[:1]))
    assert three["keypoints"].shape == (3, 16, 3) and one["keypoints"].shape == (1, 16, 3)
    np.testing.assert_allclose(three["heatmaps"][:1], one["heatmaps"], atol=1e-5)
    session = onnxruntime.InferenceSession(str(exported / ONNX))
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
def test_index_and_sidecar_say_all_that_a_user_needs(exported: Path) -> None:
    report = read_index(exported)
    interpreter = Interpreter(model_path=str(exported / TFLITE))
    assert interpreter.get_signature_list()["serving_default"] == {
        "inputs": [report["input"]["name"]],
        "outputs": list(report["outputs"]),
    }
    assert report["name"] == "tiny" and report["compared"]["drawn"]
    assert report["input"]["shape"] == ["batch", 64, 64, 3] and report["input"]["dtype"] == "uint8"
    assert report["outputs"]["heatmaps"]["shape"] == ["batch", 16, 16, 16]
    assert (report["stride"], report["sigma"], report["box"]) == (4, 1.0, "record")
    assert Skeleton.from_dict(report["skeleton"]) == MPII16 and report["tolerance"]["keypoints_px"]["float32"] == 0.01
    assert report["versions"]["tensorflow"] == tf.__version__
    for entry in files(report):
        assert artefacts.size(exported / entry["path"]) == entry["bytes"] > 0 and sum(entry["operations"].values()) > 50
    loaded = tf.saved_model.load(str(exported / SAVED)).signatures
    for name, said in report["signatures"].items():
        assert set(loaded[name].structured_input_signature[1]) == set(said["inputs"])
        assert set(loaded[name].structured_outputs) == set(said["outputs"])
    sidecar = json.loads((exported / "tflite/model.json").read_text())
    assert sidecar["labels"] == list(MPII16.keypoints) and Skeleton.from_dict(sidecar["skeleton"]) == MPII16
    assert {network.load(exported / file).looks for file in (SAVED, TFLITE, ONNX)} == {2}


ALONE = """
import sys
class Blocker:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is not to be had here")
sys.meta_path.insert(0, Blocker())
import numpy as np
crops = np.load("{crops}")
{ask}
np.savez("{answer}", heatmaps=heatmaps, keypoints=keypoints)
"""
OURS = {"keras_mspose", "tfrecords_tools", "export"}
RUNTIMES = {
    "savedmodel": (
        OURS,
        """
import tensorflow as tf
loaded = tf.saved_model.load("{file}")
found = loaded.signatures["crops"](crops=tf.constant(crops))
heatmaps, keypoints = found["heatmaps"].numpy(), found["keypoints"].numpy()
""",
    ),
    "onnx": (
        OURS | {"tensorflow", "keras", "onnx", "tf2onnx", "cv2", "scipy"},
        """
import onnxruntime
session = onnxruntime.InferenceSession("{file}")
heatmaps, keypoints = session.run(["heatmaps", "keypoints"], {{"crops": crops}})
""",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("format", "file"), [("savedmodel", SAVED), ("onnx", ONNX)])
def test_a_file_needs_its_runtime_and_numpy_alone(
    format: str, file: str, run: Path, exported: Path, tmp_path: Path
) -> None:
    batch, (blocked, ask) = crops(2, 64, 64), RUNTIMES[format]
    np.save(tmp_path / "crops.npy", batch)
    script = ALONE.format(
        blocked=blocked,
        crops=tmp_path / "crops.npy",
        answer=tmp_path / "answer.npz",
        ask=ask.format(file=exported / file),
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=True, cwd=tmp_path, capture_output=True)
    expected = inference_model(saved_model.load(run)[0])(batch, training=False).numpy()
    with np.load(tmp_path / "answer.npz") as found:
        np.testing.assert_allclose(found["heatmaps"], expected, atol=1e-4 * np.abs(expected).max())
        np.testing.assert_allclose(found["keypoints"], codec.decode(expected, 4), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("precision", HALVES)
def test_runs_of_half_precision_export_in_float32(precision: str, as_trained: Network, tmp_path: Path) -> None:
    config = ModelConfig(1, 8, (32, 48), depth=2, scales=(1, 2))
    write_run(tmp_path, as_trained(config, precision), config, precision)
    report = export_run(tmp_path, tmp_path / "export", ["onnx"], precisions=["float32"])
    assert report["good"] and report["trained_in"] == precision
    batch = crops(2, 32, 48)
    heatmaps, _ = onnxruntime.InferenceSession(str(tmp_path / "export" / ONNX)).run(
        ["heatmaps", "keypoints"], {"crops": batch}
    )
    float32 = inference_model(as_trained(config))(batch, training=False).numpy()
    half = inference_model(saved_model.load(tmp_path)[0])(batch, training=False).numpy()
    scale = np.abs(float32).max()
    assert np.abs(heatmaps - float32).max() < 1e-5 * scale < np.abs(half - float32).max()


@pytest.mark.slow
def test_without_regression_the_last_stack_loses_its_heads_too(as_trained: Network, tmp_path: Path) -> None:
    config = ModelConfig(2, 8, (32, 32), depth=2, scales=(1, 2), regression=False)
    write_run(tmp_path, as_trained(config), config)
    report = export_run(tmp_path, tmp_path / "export", ["onnx"], precisions=["float32"])
    assert report["good"]
    assert report["removed"] == {"layers": ["stack1_gt2", "stack2_gt2"], "parameters": 2 * (8 * 16 + 16)}
    assert b"_gt2" not in (tmp_path / "export" / ONNX).read_bytes()


@pytest.fixture(scope="module")
def plain(as_trained: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a single output, which is the answer; and its crops are wider than high."""
    return write_run(tmp_path_factory.mktemp("plain"), as_trained(PLAIN), PLAIN)


@pytest.fixture(scope="module")
def plain_exported(plain: Path) -> Path:
    export_run(plain, plain / "export", FORMATS, precisions=["float32"], name="plain")
    return plain / "export"


@pytest.mark.slow
def test_a_single_output_loses_nothing_and_need_not_be_square(plain_exported: Path, as_trained: Network) -> None:
    report = read_index(plain_exported)
    assert report["good"] and set(report["formats"]) == set(FORMATS)
    assert report["removed"] == {"layers": [], "parameters": 0}
    assert report["input_size"] == [32, 48] and report["outputs"]["heatmaps"]["shape"] == ["batch", 8, 12, 16]
    batch = crops(3, 32, 48)
    heatmaps = as_trained(PLAIN)(batch, training=False)["stack1_gt1"].numpy()
    loaded = tf.saved_model.load(str(plain_exported / "savedmodel/plain/1"))
    found = loaded.signatures["crops"](crops=tf.constant(batch))["keypoints"]
    np.testing.assert_allclose(found, codec.decode(heatmaps, 4), atol=1e-3)


@pytest.mark.slow
def test_a_broken_file_is_called_not_good(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = onnx_file.write

    def broken(graph: InferenceGraph, *arguments: object) -> None:
        kernel, _ = next(iter(graph.network.weights.values()))
        kernel.assign(kernel * 1.01)
        write(graph, *arguments)

    monkeypatch.setattr(onnx_file, "write", broken)
    out = tmp_path / "out"
    arguments = ["export", str(plain), "--format", "onnx", "--precision", "float32", "--out", str(out)]
    assert cli.main(arguments) == 1
    assert "BEYOND TOLERANCE" in capsys.readouterr().out
    report = read_index(out)
    assert not report["good"] and not report["formats"]["onnx"]["model_float32"]["good"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["decoding", "network"])
def test_a_fault_of_the_shared_graph_is_seen(
    fault: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "decoding":
        shifted = SimpleNamespace(decode=lambda maps, stride, sigma: codec.decode(maps, stride, sigma) + 0.02)
        monkeypatch.setattr("export.graph.codec", shifted)
    else:
        monkeypatch.setattr("export.graph.inference_model", _without_a_bias)
    report = export_run(plain, tmp_path / "out", ["onnx"], precisions=["float32"])
    assert not report["good"]


def _without_a_bias(model: keras.Model) -> keras.Model:
    network = inference_model(keras.models.clone_model(model))
    network.set_weights(inference_model(model).get_weights())
    layer = next(layer for layer in network.layers if isinstance(layer, BatchNorm))
    gamma, beta, mean, variance = layer.get_weights()
    layer.set_weights([gamma, 0 * beta, mean, variance])
    return network


@pytest.mark.slow
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_export_leaves_the_earlier_one(
    failure: type[BaseException], plain: Path, plain_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in plain.rglob("*") if path.is_file()}

    def interrupted(graph: InferenceGraph, path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise failure("interrupted")

    before = content()
    monkeypatch.setattr(onnx_file, "write", interrupted)
    with pytest.raises(failure, match="interrupted"):
        export_run(plain, plain_exported, ["onnx"], overwrite=True)
    assert content() == before and sorted(p.name for p in plain.iterdir()) == ["best.keras", "export"]


@pytest.mark.slow
def test_overwrite_replaces_all_of_an_earlier_export(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "tflite").mkdir(parents=True)
    (out / "export.json").write_text("{}")
    (out / "tflite/model_float32.tflite").write_bytes(b"earlier")
    arguments = ["export", str(plain), "--format", "onnx", "--precision", "float32", "--out", str(out), "--overwrite"]
    assert cli.main(arguments) == 0
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "network.keras", "onnx"]
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
    for wrong, match in (
        ({"formats": ["coreml"]}, "expected one or more of savedmodel, tflite, onnx"),
        ({"precisions": ["int4"]}, "expected one or more of float32, float16, dynamic, int8"),
        ({"precisions": ["dynamic"]}, "onnx in dynamic: there is no such file; ONNX is float32, float16, int8"),
        ({"name": "a/b"}, "expected letters, digits"),
        ({"looks": 0}, "expected 1 or more"),
    ):
        with pytest.raises(MsposeError, match=match):
            export_run(tmp_path, tmp_path / "out", **{"formats": ["onnx"], **wrong})
    assert not (tmp_path / "out").exists()


def test_what_does_not_come_in_a_precision_is_known() -> None:
    assert artefacts.missing(FORMATS, PRECISIONS) == ["dynamic"]
    assert not artefacts.missing(["tflite"], PRECISIONS)


def test_a_network_is_called_by_its_run_or_its_file(tmp_path: Path) -> None:
    assert model_name(tmp_path / "lsp/best.keras") == "lsp"
    assert model_name(tmp_path / "weights/lsp14-small.keras") == "lsp14-small"
