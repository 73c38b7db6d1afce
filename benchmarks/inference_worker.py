"""One runtime on some threads, asked over standard input for timed calls. Started by `inference.py`, one process each,
so that every runtime has the threads it was given and the ways can take turns.

    python benchmarks/inference_worker.py onnx --threads 1 --folder exports

The first line that it prints names its ways, as JSON. Then it takes lines `[way, seconds]` and answers each with the
calls' seconds. `torch` may run in another Python than the rest: nothing of the project is imported there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Ways = dict[str, Callable[[], object]]
MATRICES = 1024  # rows and columns of the matrix multiplication
MATMUL = "matrix multiplication"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", choices=("tensorflow", "tflite", "onnx", "torch", "numpy"))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="what `inference.py` prepared, by network")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    answers = os.fdopen(os.dup(1), "w")  # what runtimes print on their own goes to standard error
    os.dup2(2, 1)
    networks = sorted(path for path in options.folder.iterdir() if (path / "layers.json").is_file())
    build = {"tensorflow": tensorflow, "tflite": tflite, "onnx": onnx, "numpy": numpy}.get(options.runtime)
    ways = build(networks, options.threads) if build else torch(networks, options.threads, options.compile)
    for way in ways.values():
        for _ in range(5):
            way()
    print(json.dumps(list(ways)), file=answers, flush=True)
    for line in sys.stdin:
        way, seconds = json.loads(line)
        print(json.dumps(timed(ways[way], seconds)), file=answers, flush=True)


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call, for about so long, after one that does not count."""
    call()
    found = []
    while sum(found) < seconds or len(found) < 3:
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def crop(folder: Path) -> np.ndarray:
    """(1, H, W, 3) uint8, the same for every way."""
    return np.load(folder / "crop.npy")


def tensorflow(networks: list[Path], threads: int) -> Ways:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from keras_mspose import saved_model
    from keras_mspose.model import inference_model

    a = tf.random.normal((MATRICES, MATRICES))
    ways: Ways = {f"{MATMUL}, TensorFlow": lambda: tf.linalg.matmul(a, a).numpy()}
    for folder in networks:
        jpeg, box = tf.constant([(folder / "photograph.jpg").read_bytes()]), tf.constant(np.load(folder / "box.npy"))
        network = inference_model(saved_model.load(folder / "export/network.keras")[0])
        fed, loaded = crop(folder), tf.saved_model.load(str(next(folder.glob("export/savedmodel/*/1"))))
        tensor, signatures = tf.constant(fed), loaded.signatures
        named = {
            "Keras predict": lambda n=network, x=fed: n.predict(x, verbose=0),
            "Keras model(x)": lambda n=network, x=tensor: n(x, training=False).numpy(),
            "SavedModel": lambda s=signatures, x=tensor, _=loaded: s["crops"](crops=x)["keypoints"].numpy(),
            "SavedModel, JPEG to keypoints": lambda s=signatures, i=jpeg, b=box: s["serving_boxes"](
                image_bytes=i, boxes=b
            )["keypoints"].numpy(),
            "decoding the JPEG alone": lambda i=jpeg: tf.io.decode_jpeg(i[0]).numpy(),
        }
        ways |= {f"{folder.name}: {name}": way for name, way in named.items()}
    return ways


def tflite(networks: list[Path], threads: int) -> Ways:
    from ai_edge_litert.interpreter import Interpreter

    def caller(file: Path, fed: np.ndarray) -> Callable[[], object]:
        interpreter = Interpreter(model_path=str(file), num_threads=threads)
        interpreter.allocate_tensors()
        taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()
        fed = fed.astype(taken["dtype"])

        def call() -> list[np.ndarray]:
            interpreter.set_tensor(taken["index"], fed)
            interpreter.invoke()
            return [interpreter.get_tensor(tensor["index"]) for tensor in given]

        return call

    files = [(folder, file) for folder in networks for file in sorted(folder.glob("export/tflite/*.tflite"))]
    return {f"{folder.name}: TFLite {file.stem}": caller(file, crop(folder)) for folder, file in files}


def onnx(networks: list[Path], threads: int) -> Ways:
    import onnxruntime

    from keras_mspose import PoseEstimator

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1

    def caller(file: Path, fed: np.ndarray) -> Callable[[], object]:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"crops": fed})

    def estimating(folder: Path) -> Callable[[], object]:
        estimator = PoseEstimator.load(folder / "export/onnx/model_float32.onnx", threads=threads)
        jpeg, box = (folder / "photograph.jpg").read_bytes(), np.load(folder / "box.npy")
        return lambda: estimator.predict(jpeg, box)

    files = [(folder, file) for folder in networks for file in sorted(folder.glob("export/onnx/*.onnx"))]
    ways = {f"{folder.name}: onnxruntime {file.stem}": caller(file, crop(folder)) for folder, file in files}
    return ways | {f"{folder.name}: onnxruntime, JPEG to keypoints": estimating(folder) for folder in networks}


def numpy(networks: list[Path], threads: int) -> Ways:
    a = np.random.default_rng(0).normal(size=(MATRICES, MATRICES)).astype(np.float32)
    return {f"{MATMUL}, NumPy": lambda: a @ a}


def torch(networks: list[Path], threads: int, compiled: bool) -> Ways:
    import torch
    from inference_torch import load

    torch.set_num_threads(threads)
    a = torch.randn(MATRICES, MATRICES)
    ways: Ways = {f"{MATMUL}, PyTorch": lambda: a @ a}

    def caller(network: object, x: torch.Tensor) -> Callable[[], object]:
        def call() -> object:
            with torch.inference_mode():
                return network(x).numpy()

        return call

    for folder in networks:
        network, last = load(folder), load(folder).to(memory_format=torch.channels_last)
        x = torch.from_numpy(crop(folder).transpose(0, 3, 1, 2).astype(np.float32))
        error = np.abs(caller(network, x)() - np.load(folder / "heatmaps.npy").transpose(0, 3, 1, 2)).max()
        if not error < 1e-3:
            raise SystemExit(f"{folder.name}: the PyTorch network is another one, its heatmaps differ by {error}")
        x_last = x.to(memory_format=torch.channels_last)
        ways[f"{folder.name}: PyTorch eager"] = caller(network, x)
        ways[f"{folder.name}: PyTorch eager, channels last"] = caller(last, x_last)
        if compiled:
            ways[f"{folder.name}: PyTorch compiled"] = caller(torch.compile(last), x_last)
    return ways


if __name__ == "__main__":
    main()
