"""What `mspose export` does: write the inference network, check each artefact against Keras, say what was left out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from export.formats import WRITERS
from export.graph import InferenceGraph
from keras_mspose import saved_model
from keras_mspose.errors import MsposeError
from keras_mspose.layers import STRIDE
from keras_mspose.model import removed_layers

INDEX = "export.json"
HEATMAP_TOLERANCE = 1e-3  # of the peak, or of 1 where peaks are lower
KEYPOINT_TOLERANCE = 0.01  # crop pixels


def export_run(
    run: Path, out: Path, formats: Sequence[str], *, images: np.ndarray | None = None, overwrite: bool = False
) -> dict:
    """Export a run's best network.

    Args:
        run: run folder or `.keras` file.
        out: folder to write; appears whole or not at all.
        formats: of `savedmodel`, `tflite`, `onnx`.
        images: (N, H, W, 3) uint8 crops to compare on; eight drawn ones where None.
        overwrite: replace an earlier export.

    Returns:
        The content of `export.json`. `good` is false where an artefact is beyond its tolerance; it is kept all the
        same, so that it can be looked at.

    Raises:
        MsposeError: not a run, or `out` is taken.
    """
    model, facts = saved_model.load(run)
    if out.exists() and any(out.iterdir()) and not (overwrite and (out / INDEX).is_file()):
        raise MsposeError(f"{out}: not empty; choose another --out, or --overwrite to replace an earlier export")
    removed = removed_layers(model)
    console = Console()
    parameters = sum(layer.count_params() for layer in removed)
    console.print(
        f"left out {len(removed)} layers, {parameters:,} parameters: {', '.join(r.name for r in removed) or '-'}"
    )
    crops = _drawn_crops(facts.config.model.input_size) if images is None else images
    graph = InferenceGraph(model, facts)
    expected = {name: value.numpy() for name, value in graph.serve(crops).items()}
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        results = {}
        for name in formats:
            console.print(f"writing {name} ...")
            results[name] = _compare(WRITERS[name](graph, partial)(crops), expected)
            results[name]["bytes"] = sum(f.stat().st_size for f in partial.glob(_FILES[name]) if f.is_file())
        report = {
            "good": all(r["good"] for r in results.values()),
            "formats": results,
            "tolerance": {"heatmaps": HEATMAP_TOLERANCE, "keypoints_px": KEYPOINT_TOLERANCE},
            "removed": {"layers": [r.name for r in removed], "parameters": parameters},
            "parameters": graph.parameters,
            "input_size": list(facts.config.model.input_size),
            "stride": STRIDE,
            "sigma": facts.config.training.sigma,
            "skeleton": facts.skeleton.to_dict(),
        }
        (partial / INDEX).write_text(json.dumps(report, indent=1), encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _print(results, console)
    console.print(f"{'written to' if report['good'] else 'NOT GOOD, kept for a look in'} {out}")
    return report


_FILES = {"savedmodel": "savedmodel/**/*", "tflite": "model.tflite", "onnx": "model.onnx"}


def _compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict:
    """Largest differences; keypoints whose peak moved between near-equal maxima are counted, not measured."""
    heat = float(np.abs(found["heatmaps"] - expected["heatmaps"]).max())
    flat = [
        maps["heatmaps"].reshape(len(maps["heatmaps"]), -1, maps["heatmaps"].shape[-1]) for maps in (found, expected)
    ]
    flipped = flat[0].argmax(axis=1) != flat[1].argmax(axis=1)
    distance = np.linalg.norm(found["keypoints"][..., :2] - expected["keypoints"][..., :2], axis=-1)
    pixels = float(distance[~flipped].max(initial=0.0))
    limit = HEATMAP_TOLERANCE * max(1.0, float(np.abs(expected["heatmaps"]).max()))
    good = heat <= limit and pixels <= KEYPOINT_TOLERANCE
    return {
        "good": good,
        "heatmap_difference": heat,
        "keypoint_difference_px": pixels,
        "flipped_peaks": int(flipped.sum()),
    }


def _drawn_crops(size: tuple[int, int], count: int = 8) -> np.ndarray:
    """Seeded smooth blobs: pictures with edges and shades, as photographs have."""
    rng = np.random.default_rng(0)
    height, width = size
    coarse = rng.integers(0, 256, (count, 9, 9, 3), np.uint8)
    return np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse])


def _print(results: dict[str, dict], console: Console) -> None:
    table = Table(
        "format",
        "MB",
        "heatmaps",
        "keypoints px",
        "flipped peaks",
        "verdict",
        title="against Keras, largest difference",
    )
    for name, r in results.items():
        row = (f"{r['bytes'] / 1e6:.2f}", f"{r['heatmap_difference']:.1e}", f"{r['keypoint_difference_px']:.1e}")
        table.add_row(name, *row, str(r["flipped_peaks"]), "good" if r["good"] else "BEYOND TOLERANCE")
    console.print(table)
