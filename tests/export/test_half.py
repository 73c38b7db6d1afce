"""Files in half precision decode in float32: nearly empty heatmaps, whose logarithms half precision does not know."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from export import onnx_file
from export.graph import InferenceGraph
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import MPII16

pytestmark = pytest.mark.slow
CONFIG = ModelConfig(1, 8, (32, 48), depth=1, scales=(1,), regression=False)
CROPS = np.random.default_rng(1).integers(0, 256, (4, 32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def answers(as_trained: Callable[..., keras.Model], tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Makes what the float32 and the float16 file answer where heatmaps are `scale` times as high."""
    graph = InferenceGraph(as_trained(CONFIG), Facts(MPII16, "pckh", RunConfig(model=CONFIG)))
    weights = graph.network.weights["stack1_gt1"]
    trained = [variable.numpy() for variable in weights]
    folder = tmp_path_factory.mktemp("half")

    def answer(scale: float) -> list[dict[str, np.ndarray]]:
        for variable, value in zip(weights, trained, strict=True):
            variable.assign(scale * value)
        (folder / "model_float32.onnx").unlink(missing_ok=True)
        found = []
        for precision in ("float32", "float16"):
            path = folder / f"model_{precision}.onnx"
            onnx_file.write(graph, path, precision, CROPS)
            found.append(onnx_file.load(path)(CROPS))
        return found

    return answer


def test_empty_heatmaps_have_the_same_keypoints(answers: Callable) -> None:
    float32, float16 = answers(0.0)
    assert not float32["heatmaps"].any() and np.isfinite(float16["keypoints"]).all()
    np.testing.assert_allclose(float16["keypoints"], float32["keypoints"], atol=0.1)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_low_heatmaps_are_decoded_as_in_float32(scale: float, answers: Callable) -> None:
    float32, float16 = (one["keypoints"] for one in answers(scale))
    assert np.isfinite(float16).all() and np.abs(float16[..., 2]).max() > 0
    apart = np.abs(float16 - float32)[..., :2]
    near = apart.max(axis=-1) < 2  # of equal maxima half precision may take the other, any distance away
    assert near.mean() > (0.9 if scale == 1 else 0.5)
    assert np.median(apart[near]) < 0.1
