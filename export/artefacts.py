"""The files of an export: which there are, how each is written, and how each is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export import onnx_file, savedmodel, tflite, web
from export.graph import InferenceGraph, Runner
from keras_mspose.errors import MsposeError

FORMATS = ("savedmodel", "tflite", "onnx")
PRECISIONS = ("float32", "float16", "dynamic", "int8")
CPU, DELEGATE = "cpu", "delegate"  # forms


@dataclass(frozen=True)
class Artefact:
    """One file, or folder of a SavedModel.

    Attributes:
        format: of FORMATS.
        name: among those of its format, such as `model_int8`.
        precision: of PRECISIONS.
        form: `cpu` takes uint8 crops and answers heatmaps and keypoints; `delegate` takes float32 crops of 0 to 255 and
            answers heatmaps.
        path: under the export's folder.
        batch: crops that it takes at a time, 1 or `any`.
    """

    format: str
    name: str
    precision: str
    form: str
    path: str
    batch: int | str


def planned(formats: Sequence[str], precisions: Sequence[str], model: str) -> list[Artefact]:
    """What an export of these formats and precisions holds.

    Args:
        model: name of the model, for the SavedModel's folder. It is float32 whatever the precisions are.

    Raises:
        MsposeError: there is no file of any of these.
    """
    found = []
    if "savedmodel" in formats:
        place = f"{savedmodel.FOLDER}/{model}/{savedmodel.VERSION}"
        found.append(Artefact("savedmodel", "model_float32", "float32", CPU, place, "any"))
    if "tflite" in formats:
        for form, kinds in ((CPU, tflite.PRECISIONS), (DELEGATE, tflite.DELEGATE_PRECISIONS)):
            for precision in (one for one in kinds if one in precisions):
                name = f"{'model' if form == CPU else 'delegate'}_{precision}"
                found.append(Artefact("tflite", name, precision, form, f"{tflite.FOLDER}/{name}.tflite", 1))
    if "onnx" in formats or web.FORMAT in formats:
        wanted = {*(precisions if "onnx" in formats else ()), *((web.PRECISION,) if web.FORMAT in formats else ())}
        for precision in (one for one in onnx_file.PRECISIONS if one in wanted):
            name = f"model_{precision}"
            found.append(Artefact("onnx", name, precision, CPU, f"{onnx_file.FOLDER}/{name}.onnx", "any"))
    if not found:
        kinds = ", ".join(onnx_file.PRECISIONS)
        raise MsposeError(f"{' '.join(formats)} in {' '.join(precisions)}: there is no such file; ONNX is {kinds}")
    return found


def missing(formats: Sequence[str], precisions: Sequence[str]) -> list[str]:
    """The precisions among these that ONNX was asked for and does not come in; TFLite comes in all."""
    return [one for one in precisions if "onnx" in formats and one not in onnx_file.PRECISIONS]


def write(
    one: Artefact, graph: InferenceGraph, folder: Path, calibration: np.ndarray, *, flip: bool, looks: int
) -> None:
    """Write `folder/PATH`; for `flip` and `looks` see `savedmodel.write`, for `calibration` `tflite.write`."""
    path = folder / one.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if one.format == "savedmodel":
        savedmodel.write(graph, path, flip=flip, looks=looks)
    elif one.format == "tflite":
        tflite.write(graph, path, one.precision, calibration, delegate=one.form == DELEGATE)
    else:
        onnx_file.write(graph, path, one.precision, calibration)


def load(one: Artefact, folder: Path, sigma: float, threads: int = 2) -> Runner:
    """What the written file answers to crops (B, H, W, 3) uint8: `heatmaps` (B, h, w, K) and `keypoints` (B, K, 3)."""
    if one.format == "savedmodel":
        return savedmodel.load(folder / one.path)
    if one.format == "tflite":
        return tflite.load(folder / one.path, sigma, threads)
    return onnx_file.load(folder / one.path, threads)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
