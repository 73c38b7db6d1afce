"""TFLite: what phones and small devices load. Float32 weights, one crop at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from export.graph import CROPS, HEATMAPS, KEYPOINTS, Answer, InferenceGraph, Runner

FILE = "model.tflite"
BATCH = 1  # crops that it takes at a time


def write(graph: InferenceGraph, folder: Path) -> Runner:
    """Write `folder/model.tflite`, whose only signature names its tensors.

    Returns:
        What the written file answers, run crop by crop, to crops (B, H, W, 3) uint8: heatmaps (B, h, w, K), keypoints
        (B, K, 3).
    """
    from ai_edge_litert.interpreter import Interpreter

    function = graph.function(1).get_concrete_function()
    # The graph goes along because it holds the variables: without them the converter answers NaN, and says nothing.
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], graph).convert()
    file = folder / FILE
    file.write_bytes(content)
    signature = Interpreter(model_path=str(file)).get_signature_runner()

    def run(crops: np.ndarray) -> Answer:
        found = [signature(**{CROPS: crop[None]}) for crop in crops]
        return {name: np.concatenate([one[name] for one in found]) for name in (HEATMAPS, KEYPOINTS)}

    return run
