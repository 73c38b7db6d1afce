"""SavedModel: what TF Serving and TensorFlow itself load. Any batch size.

`savedmodel/NAME/1/` has three signatures: `serving_default` takes encoded photographs, `serving_boxes` those and a box
for each (a signature's inputs are never optional), and `crops` takes crops as every other format does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from export import warm_up
from export.graph import CROPS, HEATMAPS, KEYPOINTS, Answer, InferenceGraph, Runner
from export.photographs import BOXES, IMAGE_BYTES

FOLDER = "savedmodel"
VERSION = "1"
DEFAULT, BOXED = "serving_default", "serving_boxes"


def write(graph: InferenceGraph, path: Path, *, flip: bool, looks: int) -> None:
    """Write the SavedModel, with warm-up requests in it.

    Args:
        path: `.../NAME/1`, where NAME is the model's name, as clients of TF Serving are to say it.
        flip: photographs are looked at mirrored too, and the heatmaps averaged.
        looks: at a photograph that comes without a box.

    Raises:
        OSError: the disk is full or may not be written, as the other formats raise it.
    """
    whole, boxed = graph.photographs(flip=flip, looks=looks)
    signatures = {DEFAULT: whole, BOXED: boxed, CROPS: graph.function(None)}
    try:
        tf.saved_model.save(graph, str(path), signatures=signatures)
        warm_up.write(path, path.parent.name, graph.network.input_size)
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError) as error:
        raise OSError(" ".join(error.message.split())) from error


def contract(keypoints: int, size: tuple[int, int], heatmaps: tuple[int, int], *, flip: bool, looks: int) -> dict:
    """What the signatures take and give, for `export.json`."""
    in_photograph = {
        KEYPOINTS: {
            "shape": ["batch", keypoints, 3],
            "dtype": "float32",
            "content": "x, y in the photograph's pixels, score; a JPEG is upright, as its EXIF orientation says",
        }
    }
    encoded = {
        "shape": ["batch"],
        "dtype": "string",
        "content": "whole files: JPEG, PNG, GIF or BMP of at most 80 megapixels; in TF Serving's REST {'b64': ...}",
    }
    boxes = {
        "shape": ["batch", 3],
        "dtype": "float32",
        "content": "centre x, centre y, side of the square about the person, photograph pixels, a JPEG upright as its "
        "EXIF orientation says; a side of 0 or below stands for the whole photograph",
    }
    how = {"flip_test": flip, "looks_without_box": looks}
    return {
        DEFAULT: {"inputs": {IMAGE_BYTES: encoded}, "outputs": in_photograph, **how},
        BOXED: {"inputs": {IMAGE_BYTES: encoded, BOXES: boxes}, "outputs": in_photograph, **how},
        CROPS: {
            "inputs": {CROPS: {"shape": ["batch", *size, 3], "dtype": "uint8"}},
            "outputs": {
                KEYPOINTS: {"shape": ["batch", keypoints, 3], "dtype": "float32", "content": "in crop pixels"},
                HEATMAPS: {"shape": ["batch", *heatmaps, keypoints], "dtype": "float32"},
            },
        },
    }


def load(path: Path) -> Runner:
    """What the signature `crops` answers to crops (B, H, W, 3) uint8: heatmaps (B, h, w, K), keypoints (B, K, 3)."""
    loaded = tf.saved_model.load(str(path))

    def run(crops: np.ndarray) -> Answer:
        found = loaded.signatures[CROPS](**{CROPS: tf.constant(crops)})
        return {name: value.numpy() for name, value in found.items()}

    run.loaded = loaded  # keeps the variables, which the signature only points at
    return run
