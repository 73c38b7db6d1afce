"""A trained network in any form on disk, asked for heatmaps. TensorFlow is loaded for two of them alone.

.keras, run folder, released name    Keras
SavedModel                           TensorFlow
.onnx                                onnxruntime
.tflite                              ai-edge-litert
exported folder                      its ONNX file, else TFLite, else SavedModel; float32 before the smaller ones
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mspose import geometry, saved_model
from keras_mspose.cores import own_cores
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

INDEX = "export.json"  # of an exported folder
SIDECAR = "model.json"  # beside TFLite files
SAVED_MODEL = "saved_model.pb"
CROPS, HEATMAPS = "crops", "heatmaps"  # tensor names of every exported form
PREFERRED = ("onnx/model_float32", "tflite/model_float32", "onnx/model_float16", "tflite/model_float16", "savedmodel/")
Forward = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Network:
    """A network that is ready to run. Threads may call it side by side.

    Attributes:
        file: the file, or folder of a SavedModel, that was loaded.
        forward: crops (B, H, W, 3) uint8 to heatmaps (B, h, w, K) float32.
        skeleton: of the K keypoints.
        input_size: (H, W) of a crop.
        stride: crop pixels a heatmap pixel.
        sigma: that the heatmaps were trained with, heatmap pixels.
        looks: at a photograph that comes without a box.
    """

    file: Path
    forward: Forward
    skeleton: Skeleton
    input_size: tuple[int, int]
    stride: int
    sigma: float
    looks: int = geometry.LOOKS


def find(path: str | Path) -> Path:
    """The file, or folder of a SavedModel, that a path or a released name means.

    Raises:
        MsposeError: nothing of the forms above.
    """
    path = Path(path)
    if path.suffix in (".onnx", ".tflite") and path.is_file():
        return path
    if (path / INDEX).is_file():
        return _best_of(path)
    if path.is_dir() and not any((path / name).is_file() for name in (saved_model.BEST, saved_model.LAST)):
        folders = [found.parent for depth in ("", "*/", "*/*/") for found in path.glob(depth + SAVED_MODEL)]
        if len(folders) == 1:
            return folders[0]
    try:
        return saved_model.find(path)
    except MsposeError as error:
        forms = "also read: an exported folder, a SavedModel folder, a .tflite or .onnx file"
        raise MsposeError(f"{error}; {forms}") from error


def load(path: str | Path, threads: int = 0) -> Network:
    """Read a network in any of the forms above.

    Args:
        path: file, folder or released name.
        threads: of one call, in onnxruntime and LiteRT; 0: one for each core.

    Raises:
        MsposeError: nothing of those forms, a damaged file, or an exported file whose skeleton is not to be found.
    """
    file = find(path)
    threads = threads or len(own_cores())
    if file.suffix == ".keras":
        network = _keras(file)
    else:
        facts = _facts(file)
        try:
            if file.suffix == ".onnx":
                forward = _onnx(file, threads)
            elif file.suffix == ".tflite":
                forward = _tflite(file, threads)
            else:
                forward = _savedmodel(file)
        except Exception as error:  # each runtime has types of its own
            why = " ".join(str(error).split())[:200]
            raise MsposeError(f"{file}: cannot be loaded ({type(error).__name__}: {why}); export again") from error
        network = Network(file, forward, **facts)
    _try(network)
    return network


def _try(network: Network) -> None:
    """One blank crop: its answer must be what the facts say, and the first call, which is slow, is done with."""
    height, width = network.input_size
    expected = (1, height // network.stride, width // network.stride, len(network.skeleton))
    try:
        found = network.forward(np.zeros((1, height, width, 3), np.uint8)).shape
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise MsposeError(f"{network.file}: cannot be run ({type(error).__name__}: {why})") from error
    if found != expected:
        raise MsposeError(f"{network.file}: answers heatmaps {found}, where its {INDEX} says {expected}; export again")


def _best_of(folder: Path) -> Path:
    """The file of an export that runs with the fewest libraries and loses the least."""
    try:
        formats = json.loads((folder / INDEX).read_text(encoding="utf-8"))["formats"]
        paths = {f"{kind}/{name}": entry["path"] for kind, found in formats.items() for name, entry in found.items()}
        paths = {name: folder / path for name, path in paths.items() if (folder / path).exists()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"{folder / INDEX}: damaged ({error!r}); export again") from error
    if not paths:
        raise MsposeError(f"{folder}: none of the files that {INDEX} names is there; export again")
    order = {name: next((i for i, start in enumerate(PREFERRED) if name.startswith(start)), 9) for name in paths}
    return paths[min(paths, key=lambda name: (order[name], name))]


def _facts(file: Path) -> dict:
    """What `export.json`, in one of the folders above an exported file, or `model.json` beside it, says of it."""
    file = file.resolve()
    places = [file.parent / SIDECAR, *(folder / INDEX for folder in file.parents[:3])]
    place = next((place for place in places if place.is_file()), None)
    if place is None:
        raise MsposeError(
            f"{file}: an exported network without its {INDEX}, which names the keypoints; "
            f"keep the file in its folder, or copy {INDEX} beside it"
        )
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        size = said.get("input_size") or next(iter(said["forms"].values()))["inputs"][CROPS]["shape"][1:3]
        looks = said.get("photographs", {}).get("looks_without_box", geometry.LOOKS)
        return {
            "skeleton": Skeleton.from_dict(said["skeleton"]),
            "input_size": (int(size[0]), int(size[1])),
            "stride": int(said["stride"]),
            "sigma": float(said["sigma"]),
            "looks": int(looks),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"{place}: damaged, or of another version ({error!r}); export again") from error


def _onnx(file: Path, threads: int) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning would take from those that decode and draw.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda crops: session.run([HEATMAPS], {CROPS: crops})[0]


def _tflite(file: Path, threads: int) -> Forward:
    """One crop at a time; an interpreter must not be shared, so each thread has its own."""
    from ai_edge_litert.interpreter import Interpreter

    local = threading.local()

    def forward(crops: np.ndarray) -> np.ndarray:
        if not hasattr(local, "run"):
            local.run = Interpreter(model_path=str(file), num_threads=threads).get_signature_runner()
        kind = local.run.get_input_details()[CROPS]["dtype"]
        return np.concatenate([local.run(**{CROPS: crop[None].astype(kind)})[HEATMAPS] for crop in crops])

    return forward


def _savedmodel(folder: Path) -> Forward:
    from keras_mspose.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    run = loaded.signatures[CROPS]

    def forward(crops: np.ndarray) -> np.ndarray:
        _ = loaded  # holds the variables, which the signature only points at
        return run(**{CROPS: tf.constant(crops)})[HEATMAPS].numpy()

    return forward


def _keras(file: Path) -> Network:
    saved_model.facts(file)  # a file that is no good is told before TensorFlow is waited for
    from keras_mspose.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    from keras_mspose.layers import STRIDE
    from keras_mspose.model import inference_model

    model, facts = saved_model.load(file)
    network, size = inference_model(model), facts.config.model.input_size
    signature = [tf.TensorSpec((None, *size, 3), tf.uint8)]
    run = tf.function(lambda crops: network(crops, training=False), input_signature=signature)
    return Network(
        file, lambda crops: run(tf.constant(crops)).numpy(), facts.skeleton, size, STRIDE, facts.config.training.sigma
    )
