"""What docs/mobile.md says: both forms of TFLite answer as Keras does where there is nothing but LiteRT and NumPy. The
heatmaps of the form for delegates are decoded as the page has it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import parity
from export.run import export_run
from keras_mspose import saved_model
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.model import build_model
from keras_mspose.skeleton import LSP14

pytestmark = pytest.mark.slow
ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "keras_mspose", "export", "tfrecords_tools", "cv2", "scipy",
                                  "onnx", "onnxruntime"}:
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Refused())
import json
from pathlib import Path
import numpy as np
folder, out = Path(sys.argv[1]), sys.argv[2]
crops = np.load(sys.argv[3])
"""
LITERT = """
from ai_edge_litert.interpreter import Interpreter

def ask(name, crops):
    interpreter = Interpreter(model_path=str(folder / f"tflite/{name}.tflite"))
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    run = interpreter.get_signature_runner()
    answers = [run(crops=crop[None]) for crop in crops]
    return {key: np.concatenate([one[key] for one in answers]) for key in answers[0]}

said = json.loads((folder / "tflite/model.json").read_text())
stride, sigma = said["stride"], said["sigma"]

# docs/mobile.md, line by line
def vertex(before, peak, after):
    floor = 1e-3 * abs(peak) + 1e-12
    middle, curvature = np.log(max(peak, floor)), 1 / sigma**2
    high = None if after is None else np.log(max(after, floor))
    low = 2 * middle - high - curvature if before is None else np.log(max(before, floor))
    up = 2 * middle - low - curvature if high is None else high
    return min(max((up - low) / (2 * max(2 * middle - low - up, 1e-6)), -0.5), 0.5)

def decode(maps, k):
    rows, columns, _ = maps.shape
    value = lambda r, c: maps[r, c, k] if 0 <= r < rows and 0 <= c < columns else None
    row, column = np.unravel_index(maps[..., k].argmax(), (rows, columns))
    peak = maps[row, column, k]
    x = column + vertex(value(row, column - 1), peak, value(row, column + 1))
    y = row + vertex(value(row - 1, column), peak, value(row + 1, column))
    return (x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5, peak

found = ask("model_float32", crops)
maps = ask("delegate_float32", crops.astype(np.float32))["heatmaps"]
decoded = np.array([[decode(one, k) for k in range(len(said["labels"]))] for one in maps])
np.savez(out, keypoints=found["keypoints"], heatmaps=found["heatmaps"], decoded=decoded)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, parity.Answer]:
    """An export, crops beside it, and what Keras answers to them. The network's peaks lie at borders too."""
    folder = tmp_path_factory.mktemp("alone")
    config = RunConfig(model=ModelConfig(1, 8, (32, 48), depth=1, scales=(1,), regression=False))
    facts = saved_model.Facts(LSP14, "pck", config)
    model = build_model(config.model, len(LSP14))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if "_gt" in layer.name:
            layer.set_weights([rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
    saved_model.save(model, folder / "best.keras", facts)
    export_run(folder, folder / "out", ["tflite"], precisions=["float32"])
    crops = parity.drawn_crops((32, 48), 4)
    np.save(folder / "crops.npy", crops)
    return folder, parity.reference(model, facts, crops)


def test_with_litert_alone(exported: tuple[Path, parity.Answer], tmp_path: Path) -> None:
    folder, expected = exported
    arguments = [str(folder / "out"), str(tmp_path / "found.npz"), str(folder / "crops.npy")]
    done = subprocess.run([sys.executable, "-c", ALONE + LITERT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["heatmaps"], expected["heatmaps"], atol=1e-4)
    np.testing.assert_allclose(found["keypoints"], expected["keypoints"], atol=0.01)
    np.testing.assert_allclose(found["decoded"], expected["keypoints"], atol=0.01)
    columns, rows = expected["keypoints"][..., 0], expected["keypoints"][..., 1]
    assert (columns < 2).any() or (columns > 45).any() or (rows < 2).any() or (rows > 29).any()  # at a border
