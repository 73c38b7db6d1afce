"""ONNX: what onnxruntime, OpenVINO, TensorRT and browsers load. Any batch size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.graph import CROPS, HEATMAPS, KEYPOINTS, Answer, InferenceGraph, Runner

if TYPE_CHECKING:
    import onnx
    from onnxruntime.transformers.onnx_model import OnnxModel

FOLDER = "onnx"
OPSET = 18  # the highest that tf2onnx writes
PRECISIONS = ("float32", "float16", "int8")
QUANTISED = ["Conv", "Add", "MaxPool", "Resize", "Concat"]  # what onnxruntime computes in int8


def write(graph: InferenceGraph, path: Path, precision: str, calibration: np.ndarray) -> None:
    """Write one file.

    Args:
        precision: `float32`, `float16` or `int8`. The decoding is float32 in each.
        calibration: (N, H, W, 3) uint8 crops such as the network will see, for int8.
    """
    import onnx

    float32 = path.with_name("model_float32.onnx")
    model = onnx.load(float32) if float32.is_file() else _converted(graph)
    if precision == "float16":
        model = _halved(model)
    elif precision == "int8":
        model = _quantised(model, calibration)
    onnx.save(model, path)
    onnx.checker.check_model(str(path), full_check=True)


def _converted(graph: InferenceGraph) -> onnx.ModelProto:
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(graph.function(None), [graph.crops(None)], opset=OPSET)
    for tensor in (*model.graph.input, *model.graph.output):
        # Each has an unknown of its own by now; one name says that they are the same
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Half precision for the network alone: half a pixel's hundredth is lost in 128 already."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    decoding = _decoding(model)
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=decoding))
    _straighten(half, set(decoding))
    half.topological_sort()  # it appends the casts that it adds
    return half.model


def _straighten(half: OnnxModel, decoding: set[str]) -> None:
    """Let the decoding's nodes hand each other float32. The converter has each of their outputs go through half
    precision and back, where 1e-12, which keeps logarithms finite, is 0."""
    makers, outputs = half.output_name_to_node(), half.get_graphs_output_names()

    def made_by_cast(name: str) -> onnx.NodeProto | None:
        node = makers.get(name)
        return node if node is not None and node.op_type == "Cast" and node.name not in decoding else None

    for up in half.nodes():
        if up.op_type != "Cast" or (down := made_by_cast(up.input[0])) is None:
            continue
        before, after = down.input[0], up.output[0]
        if before not in makers or makers[before].name not in decoding:
            continue
        half.remove_node(up)
        if after in outputs:  # which keeps its name
            half.replace_output_of_all_nodes(before, after)
            half.replace_input_of_all_nodes(before, after)
        else:
            half.replace_input_of_all_nodes(after, before)
    half.prune_graph()  # the casts to half precision


def _quantised(model: onnx.ModelProto, calibration: np.ndarray) -> onnx.ModelProto:
    """Static quantisation by channel, as quantise and dequantise nodes about what is computed in int8."""
    import tempfile

    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Crops(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            crop = next(self._left, None)
            return None if crop is None else {CROPS: crop[None]}

    with tempfile.TemporaryDirectory() as scratch:
        float32, prepared, quantised = (Path(scratch, f"{name}.onnx") for name in ("float32", "prepared", "int8"))
        onnx.save(model, float32)
        quant_pre_process(str(float32), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantised),
            Crops(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            nodes_to_exclude=_decoding(onnx.load(prepared)),
            per_channel=True,
            # Without VNNI, sums of two products of 8 bits run over 16; weights of 7 bits do not
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(quantised)


def _decoding(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that the heatmaps do not need."""
    makers = {output: node for node in model.graph.node for output in node.output}
    needed, open_ones = set(), [HEATMAPS]
    while open_ones:
        node = makers.get(open_ones.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            open_ones.extend(node.input)
    return [node.name for node in model.graph.node if node.name not in needed]


def load(path: Path, threads: int = 2) -> Runner:
    """What a file answers in onnxruntime to crops (B, H, W, 3) uint8: heatmaps (B, h, w, K), keypoints (B, K, 3)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(crops: np.ndarray) -> Answer:
        heatmaps, keypoints = session.run([HEATMAPS, KEYPOINTS], {CROPS: crops})
        return {HEATMAPS: heatmaps, KEYPOINTS: keypoints}

    return run
