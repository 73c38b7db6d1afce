"""What a written network is made of: operations by their kind, as its own runtime names them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

# What holds a value or passes it on and computes nothing
PASSIVE = {"Const", "Placeholder", "Identity", "IdentityN", "NoOp", "ReadVariableOp", "VarHandleOp", "Constant"}


def operations(format: str, path: Path) -> dict[str, int]:
    """How many operations of each kind one crop goes through, the most frequent first."""
    kinds = {"savedmodel": _of_savedmodel, "tflite": _of_tflite, "onnx": _of_onnx}[format](path)
    return dict(Counter(kind for kind in kinds if kind not in PASSIVE).most_common())


def _of_savedmodel(path: Path) -> list[str]:
    """The signature `crops` alone: those for photographs are pipelines of their own about the same network."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    (graph,) = SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    nodes = {node.name: node for node in graph.graph_def.node}
    output = next(iter(graph.signature_def["crops"].outputs.values())).name
    kinds, calls = [], [nodes[output.partition(":")[0]]]
    while calls:
        node = calls.pop()
        if "PartitionedCall" in node.op:
            calls.extend(functions[node.attr["f"].func.name])
        else:
            kinds.append(node.op)
    return kinds


def _of_tflite(path: Path) -> list[str]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    # Old files keep the code in a byte, new ones in 32 bits beside it
    return [names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes]


def _of_onnx(path: Path) -> list[str]:
    import onnx

    return [node.op_type for node in onnx.load(path).graph.node]
