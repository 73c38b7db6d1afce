"""ONNX: what onnxruntime, OpenVINO, TensorRT and browsers load. Any batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.graph import CROPS, HEATMAPS, KEYPOINTS, Answer, InferenceGraph, Runner

FILE = "model.onnx"
BATCH = "any"  # crops that it takes at a time
OPSET = 18  # the highest that tf2onnx writes


def write(graph: InferenceGraph, folder: Path) -> Runner:
    """Write `folder/model.onnx`.

    Returns:
        What the written file answers in onnxruntime to crops (B, H, W, 3) uint8: heatmaps (B, h, w, K), keypoints
        (B, K, 3).
    """
    import onnx
    import onnxruntime
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(graph.function(None), [graph.crops(None)], opset=OPSET)
    for tensor in (*model.graph.input, *model.graph.output):
        # Each has an unknown of its own by now; one name says that they are the same
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    file = folder / FILE
    onnx.save(model, file)
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(crops: np.ndarray) -> Answer:
        heatmaps, keypoints = session.run([HEATMAPS, KEYPOINTS], {CROPS: crops})
        return {HEATMAPS: heatmaps, KEYPOINTS: keypoints}

    return run
