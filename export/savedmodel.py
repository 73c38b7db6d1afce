"""SavedModel: what TF Serving and TensorFlow itself load. Any batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from export.graph import CROPS, Answer, InferenceGraph, Runner

FILE = "savedmodel/1"  # TF Serving is given the folder `savedmodel` and takes its highest number
BATCH = "any"  # crops that it takes at a time
SIGNATURE = "serving_default"


def write(graph: InferenceGraph, folder: Path) -> Runner:
    """Write `folder/savedmodel/1/` with the signature `serving_default`.

    Returns:
        What loads the written file answers to crops (B, H, W, 3) uint8: heatmaps (B, h, w, K), keypoints (B, K, 3).

    Raises:
        OSError: the disk is full or may not be written, as the other formats raise it.
    """
    path = str(folder / FILE)
    try:
        tf.saved_model.save(graph, path, signatures={SIGNATURE: graph.function(None)})
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError) as error:
        raise OSError(" ".join(error.message.split())) from error
    loaded = tf.saved_model.load(path)

    def run(crops: np.ndarray) -> Answer:
        found = loaded.signatures[SIGNATURE](**{CROPS: tf.constant(crops)})
        return {name: value.numpy() for name, value in found.items()}

    return run
