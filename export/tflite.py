"""TFLite: what phones and small devices load. One crop at a time, in two forms.

The CPU's (`model_*`) takes uint8 crops and answers heatmaps and keypoints; in int8 heatmaps alone. That for delegates
(`delegate_*`), which refuse the cast and the decoding, takes float32 crops of 0 to 255 and answers heatmaps.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.graph import CROPS, HEATMAPS, KEYPOINTS, Answer, InferenceGraph, Runner
from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE

FOLDER = "tflite"
SIDECAR = "model.json"


PRECISIONS = ("float32", "float16", "dynamic", "int8")
DELEGATE_PRECISIONS = ("float32", "float16")


def write(graph: InferenceGraph, path: Path, precision: str, calibration: np.ndarray, *, delegate: bool) -> None:
    """Write one file.

    Args:
        precision: `float32`; `float16` for the weights; `dynamic` for int8 weights and all else float32; or `int8`, the
            whole network in int8, each channel of a convolution by a scale of its own, without the decoding: of its
            logarithms and places 256 levels would lose what lies between the pixels.
        calibration: (N, H, W, 3) uint8 crops such as the network will see, for int8.
        delegate: the form for delegates, else that for the CPU.
    """
    if delegate:
        function = _heatmaps(graph, tf.float32)
    else:
        function = _heatmaps(graph, tf.uint8) if precision == "int8" else graph.function(1)
    converter = _converter(graph, function, precision)
    if precision == "int8":
        converter.representative_dataset = lambda: ([crop[None]] for crop in calibration)
    path.write_bytes(converter.convert())


def _converter(
    graph: InferenceGraph, function: tf.types.experimental.PolymorphicFunction, precision: str
) -> tf.lite.TFLiteConverter:
    # The graph goes along because it holds the variables: without them the converter answers NaN, and says nothing.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], graph)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter


def _heatmaps(graph: InferenceGraph, kind: tf.DType) -> tf.types.experimental.PolymorphicFunction:
    """The network without the decoding."""
    crops = tf.TensorSpec((1, *graph.network.input_size, 3), kind, name=CROPS)
    return tf.function(lambda crops: {HEATMAPS: graph.network(crops)}, input_signature=[crops], autograph=False)


def write_sidecar(graph: InferenceGraph, folder: Path, facts: dict) -> None:
    """Write `folder/model.json`: what an app has to know beside the files.

    Args:
        facts: the content of `export.json`, of which a part is taken.
    """
    height, width = graph.network.input_size
    content = {
        "labels": list(graph.skeleton.keypoints),
        "skeleton": facts["skeleton"],
        "box": facts["box"],
        "stride": STRIDE,
        "sigma": graph.sigma,
        "photographs": facts["photographs"],
        "normalisation": "none: give grey levels of 0 to 255 as they are; the network scales them itself",
        "forms": {
            "model_*.tflite": {
                "inputs": {CROPS: {"shape": [1, height, width, 3], "dtype": "uint8", "content": "RGB"}},
                "outputs": facts["outputs"],
            },
            "model_int8.tflite": {
                "inputs": {CROPS: {"shape": [1, height, width, 3], "dtype": "uint8", "content": "RGB"}},
                "outputs": {HEATMAPS: facts["outputs"][HEATMAPS]},
            },
            "delegate_*.tflite": {
                "inputs": {CROPS: {"shape": [1, height, width, 3], "dtype": "float32", "content": "RGB, 0 to 255"}},
                "outputs": {HEATMAPS: facts["outputs"][HEATMAPS]},
            },
        },
    }
    (folder / SIDECAR).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(path: Path, sigma: float, threads: int = 2) -> Runner:
    """What a file answers, run crop by crop, to crops (B, H, W, 3) uint8: heatmaps (B, h, w, K), keypoints (B, K, 3).
    Heatmaps alone are decoded in NumPy, as an app does it in its own language."""
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(model_path=str(path), num_threads=threads).get_signature_runner()
    kind = signature.get_input_details()[CROPS]["dtype"]

    def run(crops: np.ndarray) -> Answer:
        found = [signature(**{CROPS: crop[None].astype(kind)}) for crop in crops]
        answer = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        return {KEYPOINTS: codec.decode(answer[HEATMAPS], STRIDE, sigma), **answer}

    return run
