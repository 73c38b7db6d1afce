"""Our training step, plain or fast, as a process: `python tensorflow_step.py '{"preset": "small", "fast": true, ...}'`
serves as `step_process` says."""

from __future__ import annotations

import json
import sys

from keras_mspose.quiet import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from step_process import MATRIX, serve  # noqa: E402

from keras_mspose.allocator import keep_freed_memory  # noqa: E402
from keras_mspose.config import PRESETS  # noqa: E402
from keras_mspose.fast_network import FastNetwork  # noqa: E402
from keras_mspose.info import cost  # noqa: E402
from keras_mspose.losses import HeatmapLoss  # noqa: E402
from keras_mspose.model import build_model, head_scale, inference_model  # noqa: E402
from keras_mspose.optimizer import Adam  # noqa: E402


def make() -> tuple:
    """Step, multiplication and facts for the settings in the command line."""
    given = json.loads(sys.argv[1])
    tf.config.threading.set_intra_op_parallelism_threads(given["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(given["threads"])
    keras.utils.set_random_seed(0)
    config = PRESETS[given["preset"]]
    model = build_model(config, given["keypoints"])
    found = cost(model, inference_model(model))
    if given["fast"]:
        keep_freed_memory()
        model = FastNetwork(model.inputs[0], model.output, name=model.name)
    heads = list(model.output_names)
    model.compile(Adam(1e-4), {head: HeatmapLoss(head_scale(head)) for head in heads}, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    rng, batch = np.random.default_rng(0), given["batch"]
    crops = rng.integers(0, 255, (batch, *config.input_size, 3), np.uint8)
    keypoints = np.full((batch, given["keypoints"], 4), 2, np.float32)
    keypoints[..., :2] = rng.uniform(0, config.input_size[0], (batch, given["keypoints"], 2))
    targets = dict.fromkeys(heads, tf.constant(keypoints))
    matrix = tf.random.normal((MATRIX, MATRIX))
    facts = {
        "version": f"TensorFlow {tf.__version__}",
        "trainable_parameters": int(sum(np.prod(weight.shape) for weight in model.trainable_weights)),
        "gflop_forward": found.gflops,
    }
    return lambda: model.train_on_batch(crops, targets), lambda: tf.matmul(matrix, matrix).numpy(), facts


if __name__ == "__main__":
    serve(make)
