"""What `mspose export` does: write the inference network, check each file against Keras, say what was left out."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from export import artefacts, crops_of_records, onnx_file, onnxruntime_web, parity, savedmodel, tflite, web
from export.artefacts import FORMATS, PRECISIONS, Artefact
from export.graph import CROPS, HEATMAPS, KEYPOINTS, InferenceGraph
from export.index import INDEX, NETWORK, files
from export.operations import operations
from keras_mspose import __version__, geometry, result_folder, saved_model
from keras_mspose.errors import MsposeError
from keras_mspose.layers import STRIDE
from keras_mspose.model import inference_model, removed_layers
from keras_mspose.saved_model import BEST, LAST, Facts

OURS = {INDEX, NETWORK, *FORMATS, web.FORMAT}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def export_run(
    run: Path,
    out: Path,
    formats: Sequence[str],
    *,
    precisions: Sequence[str] = PRECISIONS,
    data: Path | None = None,
    name: str | None = None,
    flip: bool = False,
    looks: int = geometry.LOOKS,
    web_runtime: Path | None = None,
    overwrite: bool = False,
) -> dict:
    """Export a run's best network.

    Args:
        run: run folder, `.keras` file or released name.
        out: folder to write; appears whole or not at all.
        formats: of FORMATS, or `web`, which brings the float32 ONNX file along.
        precisions: of PRECISIONS, for TFLite and ONNX.
        data: record folder, whose training crops calibrate int8 and whose validation crops files are compared on;
            drawn ones where None.
        name: of the model; the run's own where None.
        flip, looks: how the SavedModel's signatures and `mspose serve` look at photographs, see `savedmodel.write`.
        web_runtime: folder of the npm package onnxruntime-web, for `web`; fetched by npm where None.
        overwrite: replace an earlier export.

    Returns:
        The content of `export.json`. `good` is false where a file is beyond its tolerance; it is kept all the same, so
        that it can be looked at.

    Raises:
        MsposeError: not a run, an unknown format or precision, formats that come in none of the precisions, records of
            another skeleton, `out` is taken or cannot be written, or onnxruntime-web cannot be had.
    """
    file, out = saved_model.find(run), Path(out).resolve()
    _check(formats, (*FORMATS, web.FORMAT), "formats")
    _check(precisions, PRECISIONS, "precisions")
    name = model_name(file) if name is None else name
    if not NAME.fullmatch(name):
        raise MsposeError(f"name {name!r}: expected letters, digits, and _ . - behind the first")
    if looks < 1:
        raise MsposeError(f"looks is {looks}, expected 1 or more")
    planned = artefacts.planned(formats, precisions, name)
    runtime = onnxruntime_web.find(web_runtime) if web.FORMAT in formats else None
    result_folder.claim(out, overwrite=overwrite, ours=OURS.__contains__, index=INDEX, what="exports")
    model, facts = saved_model.load(file)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for precision in artefacts.missing(formats, precisions):
        console.print(f"ONNX in {precision}: there is none, not written", highlight=False)
    compared, calibration, source = _crops(data, facts, planned, console)
    removed = removed_layers(model)
    parameters = sum(layer.count_params() for layer in removed)
    names = ", ".join(layer.name for layer in removed) or "-"
    console.print(f"left out {len(removed)} layers, {parameters:,} parameters: {names}", highlight=False)

    graph = InferenceGraph(model, facts)
    with console.status("asking Keras itself, to compare with"):
        expected = parity.reference(model, facts, compared)
    written: dict[str, dict] = {one.format: {} for one in planned}
    with result_folder.whole(out) as partial:
        for one in planned:
            started = time.monotonic()
            with console.status(f"{one.path}: writing"):
                artefacts.write(one, graph, partial, calibration, flip=flip, looks=looks)
            with console.status(f"{one.path}: comparing with Keras"):
                runner = artefacts.load(one, partial, graph.sigma)
                found = parity.compare(parity.answers(runner, compared), expected, graph.sigma, one.precision)
            seconds = time.monotonic() - started
            console.print(f"{one.path}: written and compared in {seconds:.0f} s", highlight=False, soft_wrap=True)
            written[one.format][one.name] = _entry(one, partial, found)
        report = {
            "name": name,
            "good": all(entry["good"] for entry in files({"formats": written})),
            "formats": written,
            "compared": {"crops": len(compared), **source, "with": "Keras in float32, and the NumPy decoding"},
            "removed": {"layers": [layer.name for layer in removed], "parameters": parameters},
            "parameters": {"before": inference_model(model).count_params(), "exported": graph.network.parameters},
            **_facts(graph, facts, expected[HEATMAPS].shape[1:3]),
            "exported_from": file.name,
            "photographs": {"flip_test": flip, "looks_without_box": looks},
        }
        shutil.copyfile(file, partial / NETWORK)
        if "savedmodel" in formats:
            size, heatmaps = graph.network.input_size, expected[HEATMAPS].shape[1:3]
            report["signatures"] = savedmodel.contract(len(facts.skeleton), size, heatmaps, flip=flip, looks=looks)
        if "tflite" in formats:
            tflite.write_sidecar(graph, partial / tflite.FOLDER, report)
        if runtime is not None:
            report["web"] = web.write(partial, runtime, report)
        (partial / INDEX).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _print(report, console)
    verdict = "written to" if report["good"] else "NOT GOOD, kept for a look in"
    console.print(f"{verdict} {out}", highlight=False, soft_wrap=True)
    return report


def model_name(file: Path) -> str:
    """What a `.keras` file's network is called: by its run folder, or by itself where it is no run's best or last."""
    return file.resolve().parent.name if file.name in (BEST, LAST) else file.stem


def _check(given: Sequence[str], known: Sequence[str], what: str) -> None:
    if not given or set(given) - set(known):
        raise MsposeError(f"{what} {list(given)}: expected one or more of {', '.join(known)}")


def _crops(
    data: Path | None, facts: Facts, planned: list[Artefact], console: Console
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Crops to compare on, crops to calibrate by, and where they are from."""
    size = facts.config.model.input_size
    if data is not None:
        compared, calibration = crops_of_records.read(data, facts)
        return compared, calibration, {"drawn": False, "data": Path(data).name, "calibrated_on": len(calibration)}
    if any(one.precision == "int8" for one in planned):
        console.print(
            "[yellow]int8 is calibrated on drawn crops, good for a look at size and speed alone; "
            "--data RECORDS calibrates it on photographs[/yellow]"
        )
    drawn = parity.drawn_crops(size, crops_of_records.CALIBRATION)
    return drawn[: crops_of_records.COMPARED], drawn, {"drawn": True, "data": None, "calibrated_on": len(drawn)}


def _entry(one: Artefact, folder: Path, found: parity.Parity) -> dict:
    """Of one file, for `export.json`."""
    about = {key: value for key, value in asdict(one).items() if key not in ("format", "name")}
    kinds = operations(one.format, folder / one.path)
    return {**about, "bytes": artefacts.size(folder / one.path), "operations": kinds, **asdict(found)}


def _facts(graph: InferenceGraph, facts: Facts, heatmap_size: tuple[int, int]) -> dict:
    """What a user of the files has to know, beside what was measured."""
    keypoints = len(facts.skeleton)
    return {
        "input": {
            "name": CROPS,
            "shape": ["batch", *graph.network.input_size, 3],
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
        "input_size": list(graph.network.input_size),
        "stride": STRIDE,
        "sigma": graph.sigma,
        "box": facts.config.data.box,
        "skeleton": facts.skeleton.to_dict(),
        "trained_in": facts.config.training.precision,
        "tolerance": {
            "heatmaps": parity.HEATMAP_TOLERANCES,
            "heatmaps_of": "the highest peak, or of 1 where all are lower",
            "keypoints_px": parity.KEYPOINT_TOLERANCES,
        },
        "versions": {
            "keras_mspose": __version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "onnx_opset": onnx_file.OPSET,
            **{name: version(name) for name in ("keras", "numpy", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert")},
        },
    }


def _print(report: dict, console: Console) -> None:
    columns = ("file", "MB", "operations", "heatmaps", "keypoints px", "flipped", "verdict")
    table = Table(title="against Keras, largest difference", title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=column == "file", justify="left" if column == "file" else "right")
    for entry in files(report):
        differences = (entry["heatmap_difference"], entry["keypoint_difference_px"])
        cells = ("no number" if value is None else f"{value:.1e}" for value in differences)
        verdict = "good" if entry["good"] else "BEYOND TOLERANCE"
        count = str(sum(entry["operations"].values()))
        table.add_row(entry["path"], f"{entry['bytes'] / 1e6:.2f}", count, *cells, str(entry["flipped_peaks"]), verdict)
    console.print(table)
    for entry in files(report):
        kinds = ", ".join(f"{count} {kind}" for kind, count in entry["operations"].items())
        console.print(f"{entry['path']}: {kinds}", highlight=False, style="dim")
