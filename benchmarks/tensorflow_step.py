"""Our training step as a process: `python tensorflow_step.py '{"preset": "small", "keep_memory": true, ...}'` serves as
`step_process` says."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from keras_mspose.quiet import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from roofline import work  # noqa: E402
from stages import own_times  # noqa: E402
from step_process import MATRIX, serve  # noqa: E402

from keras_mspose.allocator import keep_freed_memory  # noqa: E402
from keras_mspose.config import PRESETS  # noqa: E402
from keras_mspose.info import cost  # noqa: E402
from keras_mspose.learner import Learner  # noqa: E402
from keras_mspose.losses import HeatmapLoss  # noqa: E402
from keras_mspose.model import build_model, head_scale, inference_model  # noqa: E402
from keras_mspose.optimizer import Adam  # noqa: E402

# In the profiler's names of events; the first that fits. oneDNN's threads show as ParallelFor.
KINDS = {
    "waiting": r"Run$|BlockUntilReady|Await|Process|Execute|EagerCopy|FunctionRun|one_step|Train|TFE_|Eager",
    "convolutions": r"Conv2D|ParallelFor",
    "batch normalisation": r"BatchNorm",
    "pooling and enlarging": r"MaxPool|Resize|Tile|Reshape",
    "optimizer": r"Adam",
    "sums and ReLU": r"AddN|AddV2|Relu|BiasAdd|Mul$|Sub$|Sum$|Square",
}
PROFILED = 4  # steps


def profile(step: Callable[[], None]) -> dict[str, float]:
    """Core-seconds of a step by kind of operation, without waiting."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, options=options)
        for _ in range(PROFILED):
            step()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    found = dict.fromkeys((*KINDS, "rest"), 0.0)
    for name, seconds in own_times(space).items():
        found[next((kind for kind, sign in KINDS.items() if re.search(sign, name)), "rest")] += seconds / PROFILED
    del found["waiting"]
    return found


def make() -> tuple:
    """Step, multiplication and facts for the settings in the command line."""
    given = json.loads(sys.argv[1])
    tf.config.threading.set_intra_op_parallelism_threads(given["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(given["threads"])
    keras.utils.set_random_seed(0)
    config = PRESETS[given["preset"]]
    model = build_model(config, given["keypoints"])
    found = cost(model, inference_model(model))
    if given["keep_memory"]:
        keep_freed_memory()
    heads = list(model.output_names)
    if given.get("recompute"):
        model = Learner(model, recompute=True)
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
        "work": work(model, batch),
    }
    return lambda: model.train_on_batch(crops, targets), lambda: tf.matmul(matrix, matrix).numpy(), facts


def bandwidth() -> float:
    """1e9 bytes a second that memory gives and takes together, adding 1 to 256 MB: the best of several."""
    numbers, best = tf.zeros([2**26]), 0.0
    for _ in range(8):
        started = time.perf_counter()
        numbers = numbers + 1.0
        best = max(best, 2 * 4 * 2**26 / (time.perf_counter() - started) / 1e9)
    return best


if __name__ == "__main__":
    serve(make, profile, bandwidth)
