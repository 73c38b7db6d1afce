"""What `mspose export` does: write the inference network, check each file against Keras, say what was left out."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from export import onnx_file, parity, savedmodel, tflite
from export.graph import CROPS, HEATMAPS, KEYPOINTS, InferenceGraph
from keras_mspose import __version__, result_folder, saved_model
from keras_mspose.errors import MsposeError
from keras_mspose.layers import STRIDE
from keras_mspose.model import removed_layers
from keras_mspose.saved_model import Facts

INDEX = "export.json"
FORMATS = {"savedmodel": savedmodel, "tflite": tflite, "onnx": onnx_file}
OURS = {INDEX, *(module.FILE.split("/")[0] for module in FORMATS.values())}


def export_run(
    run: Path, out: Path, formats: Sequence[str], *, images: np.ndarray | None = None, overwrite: bool = False
) -> dict:
    """Export a run's best network.

    Args:
        run: run folder or `.keras` file.
        out: folder to write; appears whole or not at all.
        formats: of `savedmodel`, `tflite`, `onnx`.
        images: (N, H, W, 3) uint8 crops to compare on, of the network's input size; eight drawn ones where None.
        overwrite: replace an earlier export.

    Returns:
        The content of `export.json`. `good` is false where a file is beyond its tolerance; it is kept all the same, so
        that it can be looked at.

    Raises:
        MsposeError: not a run, an unknown format, images of another shape, or `out` is taken or cannot be written.
    """
    run, out = saved_model.find(run), Path(out).resolve()
    if not formats or set(formats) - set(FORMATS):
        raise MsposeError(f"formats {list(formats)}: expected one or more of {', '.join(FORMATS)}")
    result_folder.claim(out, overwrite=overwrite, ours=OURS.__contains__, index=INDEX, what="exports")
    model, facts = saved_model.load(run)
    crops = _crops(images, model)
    console = Console()
    removed = removed_layers(model)
    parameters = sum(layer.count_params() for layer in removed)
    names = ", ".join(layer.name for layer in removed) or "-"
    console.print(f"left out {len(removed)} layers, {parameters:,} parameters: {names}", highlight=False)

    graph = InferenceGraph(model, facts.config.training.sigma)
    with console.status("asking Keras itself, to compare with"):
        expected = parity.reference(model, facts, crops)
    with result_folder.whole(out) as partial:
        written = {name: _write(name, graph, partial, crops, expected, console) for name in dict.fromkeys(formats)}
        report = {
            "good": all(entry["good"] for entry in written.values()),
            "formats": written,
            "compared": {
                "crops": len(crops),
                "drawn": images is None,
                "with": "Keras in float32, run eagerly, and the NumPy decoding",
            },
            "removed": {"layers": [layer.name for layer in removed], "parameters": parameters},
            **_facts(graph, facts, expected[HEATMAPS].shape[1:3]),
            "exported_from": run.name,
        }
        (partial / INDEX).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _print(written, console)
    verdict = "written to" if report["good"] else "NOT GOOD, kept for a look in"
    console.print(f"{verdict} {out}", highlight=False, soft_wrap=True)
    return report


def _crops(images: np.ndarray | None, model: keras.Model) -> np.ndarray:
    size = tuple(model.inputs[0].shape[1:3])
    if images is None:
        return parity.drawn_crops(size)
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != (*size, 3) or not len(images):
        wanted = f"(N, {size[0]}, {size[1]}, 3) uint8 with N at least 1"
        raise MsposeError(f"images to compare on are {images.shape} {images.dtype}, expected {wanted}")
    return images


def _write(
    name: str, graph: InferenceGraph, partial: Path, crops: np.ndarray, expected: parity.Answer, console: Console
) -> dict:
    """Write one format, compare it, and answer its entry of `export.json`."""
    module, started = FORMATS[name], time.monotonic()
    with console.status(f"{name}: writing"):
        run = module.write(graph, partial)
    with console.status(f"{name}: comparing with Keras"):
        found = parity.compare(parity.answers(run, crops), expected, graph.sigma)
    path = partial / module.FILE
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    console.print(f"{name}: written and compared in {time.monotonic() - started:.0f} s", highlight=False)
    return {"path": module.FILE, "bytes": sum(f.stat().st_size for f in files), "batch": module.BATCH, **asdict(found)}


def _facts(graph: InferenceGraph, facts: Facts, heatmap_size: tuple[int, int]) -> dict:
    """What a user of the files has to know, beside what was measured."""
    keypoints = len(facts.skeleton)
    return {
        "input": {
            "name": CROPS,
            "shape": ["batch", *graph.input_size, 3],
            "dtype": "uint8",
            "content": "RGB, 0 to 255, the crop about one person",
        },
        "outputs": {
            HEATMAPS: {"shape": ["batch", *heatmap_size, keypoints], "dtype": "float32"},
            KEYPOINTS: {
                "shape": ["batch", keypoints, 3],
                "dtype": "float32",
                "content": "x, y in crop pixels, the first pixel's centre at 0, 0; score, the heatmap's peak",
            },
        },
        "input_size": list(graph.input_size),
        "stride": STRIDE,
        "sigma": graph.sigma,
        "box": facts.config.data.box,
        "skeleton": facts.skeleton.to_dict(),
        "parameters": graph.parameters,
        "precision": {"trained": facts.config.training.precision, "exported": "float32"},
        "tolerance": {
            "heatmaps": parity.HEATMAP_TOLERANCE,
            "heatmaps_of": "the highest peak, or of 1 where all are lower",
            "keypoints_px": parity.KEYPOINT_TOLERANCE,
        },
        "versions": {
            "keras_mspose": __version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "onnx_opset": onnx_file.OPSET,
            **{name: version(name) for name in ("keras", "numpy", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")},
        },
    }


def _print(written: dict[str, dict], console: Console) -> None:
    columns = ("format", "MB", "heatmaps", "keypoints px", "flipped", "verdict")
    table = Table(*columns, title="against Keras, largest difference")
    for name, entry in written.items():
        differences = (entry["heatmap_difference"], entry["keypoint_difference_px"])
        cells = ("no number" if value is None else f"{value:.1e}" for value in differences)
        verdict = "good" if entry["good"] else "BEYOND TOLERANCE"
        table.add_row(name, f"{entry['bytes'] / 1e6:.2f}", *cells, str(entry["flipped_peaks"]), verdict)
    console.print(table)
