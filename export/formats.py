"""Writers and runners of the three formats. A runner takes crops (B, H, W, 3) uint8 and answers as the graph does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.graph import InferenceGraph

OPSET = 18  # the highest that tf2onnx writes
Runner = Callable[[np.ndarray], dict[str, np.ndarray]]


def write_savedmodel(graph: InferenceGraph, out: Path) -> Runner:
    """`out/savedmodel/1/`, as TF Serving wants it, signature `serving_default` from `crops`; any batch size."""
    folder = out / "savedmodel" / "1"
    tf.saved_model.save(graph, str(folder), signatures={"serving_default": graph.serve})
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return lambda crops: {name: value.numpy() for name, value in serve(crops=tf.constant(crops)).items()}


def write_tflite(graph: InferenceGraph, out: Path) -> Runner:
    """`out/model.tflite`, float32 weights, one crop at a time."""
    one = tf.TensorSpec((1, *graph.serve.input_signature[0].shape[1:]), tf.uint8, name="crops")
    function = tf.function(graph._answer, input_signature=[one]).get_concrete_function()
    file = out / "model.tflite"
    file.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], graph).convert())
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    crop = interpreter.get_input_details()[0]["index"]
    outputs = {len(d["shape"]): d["index"] for d in interpreter.get_output_details()}

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        found = []
        for image in crops:
            interpreter.set_tensor(crop, image[None])
            interpreter.invoke()
            found.append([interpreter.get_tensor(outputs[rank])[0] for rank in (4, 3)])
        heatmaps, keypoints = (np.stack(part) for part in zip(*found, strict=True))
        return {"heatmaps": heatmaps, "keypoints": keypoints}

    return run


def write_onnx(graph: InferenceGraph, out: Path) -> Runner:
    """`out/model.onnx`; any batch size."""
    import onnx
    import onnxruntime
    import tf2onnx

    file = out / "model.onnx"
    tf2onnx.convert.from_function(graph.serve, graph.serve.input_signature, opset=OPSET, output_path=str(file))
    onnx.checker.check_model(str(file))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    outputs = {len(o.shape): o.name for o in session.get_outputs()}

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        heatmaps, keypoints = session.run([outputs[4], outputs[3]], {session.get_inputs()[0].name: crops})
        return {"heatmaps": heatmaps, "keypoints": keypoints}

    return run


WRITERS = {"savedmodel": write_savedmodel, "tflite": write_tflite, "onnx": write_onnx}
