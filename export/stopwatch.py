"""How fast one file answers, in a process of its own that has its runtime and NumPy and nothing else of ours.

    python export/stopwatch.py tflite model.tflite --threads 1 --calls 100

prints one line of JSON. A process of its own, because TensorFlow takes its threads once, and because what else a
process has loaded changes both. Imports nothing of this project: it shows that the file needs none of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

WARM_UP = 10  # calls before the first that counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=("savedmodel", "tflite", "onnx"))
    parser.add_argument("path")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    loader = {"savedmodel": savedmodel, "tflite": tflite, "onnx": onnx}[options.format]
    prepare = loader(options.threads)
    started = time.perf_counter()
    call = prepare(options.path)
    loaded = time.perf_counter()
    call()
    first = time.perf_counter()
    for _ in range(WARM_UP):
        call()
    seconds = []
    for _ in range(options.calls):
        before = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - before)
    print(
        json.dumps(
            {
                "threads": options.threads,
                "calls": options.calls,
                "load_ms": 1e3 * (loaded - started),
                "first_ms": 1e3 * (first - loaded),
                "median_ms": 1e3 * float(np.median(seconds)),
                "p95_ms": 1e3 * float(np.percentile(seconds, 95)),
                "best_ms": 1e3 * min(seconds),
            }
        )
    )


def crop(shape: list[int], kind: np.dtype) -> np.ndarray:
    """One crop of noise, of a file's own shape and type."""
    return np.random.default_rng(0).integers(0, 256, [1, *shape[1:]]).astype(kind)


def tflite(threads: int) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    def prepare(path: str) -> Callable[[], None]:
        interpreter = Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()
        fed = crop(list(taken["shape"]), taken["dtype"])

        def call() -> None:
            interpreter.set_tensor(taken["index"], fed)
            interpreter.invoke()
            for tensor in given:
                interpreter.get_tensor(tensor["index"])

        return call

    return prepare


def onnx(threads: int) -> Callable:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1

    def prepare(path: str) -> Callable[[], None]:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        taken = session.get_inputs()[0]
        fed = {taken.name: crop(taken.shape, np.uint8)}
        return lambda: session.run(None, fed)

    return prepare


def savedmodel(threads: int) -> Callable:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)

    def prepare(path: str) -> Callable[[], None]:
        loaded = tf.saved_model.load(path)
        signature = loaded.signatures["crops"]
        taken = signature.structured_input_signature[1]["crops"]
        fed = tf.constant(crop(taken.shape.as_list(), np.uint8))

        def call(keep: object = loaded) -> None:  # the signature alone does not keep the variables
            for tensor in signature(crops=fed).values():
                tensor.numpy()

        return call

    return prepare


if __name__ == "__main__":
    main()
