"""How fast is one crop, by every way that there is? Milliseconds, GFLOP/s, and the share of matrix multiplication.

    python benchmarks/inference.py --prepare --exports /tmp/inference --data data/lsp    # once, some minutes
    python benchmarks/inference.py --exports /tmp/inference --json figures.json

Two networks: the released `lsp14-small` (128 px), and the preset `paper` (256 px) with random weights, whose accuracy
nobody asks for. Every runtime has a process of its own, bound to as many cores as it has threads; within one run they
take turns for several rounds, and what is printed is the median of all calls. Matrix multiplication is the best of
NumPy's, TensorFlow's and PyTorch's, 1024 x 1024 in float32, in the same turns. GFLOP are those of the network as Keras
has it; what merging convolutions saved counts as speed.

PyTorch is another Python's where it is not installed beside the rest: `--torch-python ENV/bin/python`, or the variable
MSPOSE_TORCH_PYTHON; without it its rows are left out. Its network has the same layers and weights, and is checked to
answer the same heatmaps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from inference_worker import MATMUL, MATRICES
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
PHOTOGRAPH = (1280, 720)  # width and height
RUNTIMES = ("tensorflow", "tflite", "onnx", "numpy", "torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exports", type=Path, required=True, help="folder for the two exported networks")
    parser.add_argument("--prepare", action="store_true", help="export them, and measure nothing")
    parser.add_argument("--data", type=Path, help="record folder of LSP, to calibrate int8 by")
    parser.add_argument("--networks", nargs="+", default=["lsp14-small", "paper"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each way in each round")
    parser.add_argument("--torch-python", default=os.environ.get("MSPOSE_TORCH_PYTHON"), help="that has torch")
    parser.add_argument("--torch-compile", action="store_true", help="torch.compile as well, minutes before it starts")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    if options.prepare:
        for name in options.networks:
            prepare(name, options.exports / name, options.data)
        return
    facts = {name: json.loads((options.exports / name / "network.json").read_text()) for name in options.networks}
    found = {threads: measure(options, threads) for threads in options.threads}
    report = {str(threads): summary(times, facts) for threads, times in found.items()}
    for threads, figures in report.items():
        show(figures, threads, facts)
    if options.json:
        options.json.write_text(json.dumps({"networks": facts, "threads": report}, indent=1) + "\n", encoding="utf-8")


def prepare(name: str, folder: Path, data: Path | None) -> None:
    """Export a network into `folder`, and describe it for PyTorch."""
    from keras_mspose.quiet import import_tensorflow

    import_tensorflow()
    from export.parity import drawn_crops
    from export.run import export_run
    from keras_mspose import saved_model
    from keras_mspose.config import PRESETS, RunConfig
    from keras_mspose.info import cost
    from keras_mspose.model import build_model, inference_model
    from keras_mspose.skeleton import MPII16

    with tempfile.TemporaryDirectory() as scratch:
        network = name
        if name in PRESETS:
            network = Path(scratch, f"{name}.keras")
            random = build_model(PRESETS[name], len(MPII16))
            saved_model.save(random, network, saved_model.Facts(MPII16, "pckh", RunConfig(model=PRESETS[name])))
        own = data if name not in PRESETS else None  # records have another skeleton than the preset's
        formats = ["savedmodel", "tflite", "onnx"]
        export_run(network, folder / "export", formats, data=own, overwrite=True)
    model, _ = saved_model.load(folder / "export/network.keras")
    inference = inference_model(model)
    crop = drawn_crops(tuple(model.inputs[0].shape[1:3]), 1)
    np.save(folder / "crop.npy", crop)
    np.save(folder / "heatmaps.npy", inference(crop, training=False).numpy())
    photograph(folder)
    layers, weights = describe(inference)
    np.savez(folder / "layers.npz", **weights)
    (folder / "layers.json").write_text(json.dumps(layers), encoding="utf-8")
    facts = {"gflop": cost(model, inference).inference_gflops, "parameters": inference.count_params()}
    (folder / "network.json").write_text(json.dumps(facts), encoding="utf-8")


def photograph(folder: Path) -> None:
    """A photograph such as MPII has, with a person's box over most of its height."""
    import cv2

    from export.parity import drawn_crops

    width, height = PHOTOGRAPH
    pixels = drawn_crops((height, width), 1)[0]
    noise = np.random.default_rng(0).normal(0, 12, pixels.shape)  # so that it has a photograph's bytes
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / "photograph.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])
    np.save(folder / "box.npy", np.array([[(width - 1) / 2, (height - 1) / 2, 0.8 * height]], np.float32))


def describe(network: object) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Layers of a functional Keras model for `inference_torch.Network`: what each is, takes and weighs."""
    import keras

    names = {id(layer.output): layer.name for layer in network.layers}
    names[id(network.inputs[0])] = ""
    layers, weights = [], {}
    for layer in network.layers[1:]:
        inputs = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
        one = {"name": layer.name, "inputs": [names[id(tensor)] for tensor in inputs]}
        if isinstance(layer, keras.layers.Conv2D):
            one |= {"kind": "convolution", "stride": layer.strides[0]}
        elif isinstance(layer, keras.layers.BatchNormalization):
            one |= {"kind": "normalisation", "epsilon": layer.epsilon}
        elif isinstance(layer, keras.layers.UpSampling2D):
            one |= {"kind": "up", "factor": layer.size[0], "how": layer.interpolation}
        elif isinstance(layer, keras.layers.MaxPooling2D):
            one |= {"kind": "pool", "factor": layer.pool_size[0]}
        elif isinstance(layer, keras.layers.Rescaling):
            one |= {"kind": "rescaling", "scale": layer.scale, "offset": layer.offset}
        else:
            one |= {"kind": {"ReLU": "relu", "Add": "add", "Concatenate": "concatenate"}[type(layer).__name__]}
        arrays = layer.get_weights()
        one["weights"] = len(arrays)
        weights |= {f"{layer.name}/{i}": array for i, array in enumerate(arrays)}
        layers.append(one)
    return layers, weights


def measure(options: argparse.Namespace, threads: int) -> dict[str, list[float]]:
    """Seconds of every call by way, all ways in turns."""
    workers = [start(runtime, options, threads) for runtime in RUNTIMES]
    workers = [worker for worker in workers if worker is not None]
    times: dict[str, list[float]] = {}
    try:
        ways = [(worker, json.loads(worker.stdout.readline())) for worker in workers]
        for _ in range(options.rounds):
            for worker, names in ways:
                for name in names:
                    worker.stdin.write(json.dumps([name, options.seconds]) + "\n")
                    worker.stdin.flush()
                    times.setdefault(name, []).extend(json.loads(worker.stdout.readline()))
    finally:
        for worker in workers:
            worker.stdin.close()
            worker.wait()
    return times


def start(runtime: str, options: argparse.Namespace, threads: int) -> subprocess.Popen | None:
    """A worker, or None for PyTorch where there is none."""
    python = sys.executable
    if runtime == "torch" and not find_spec("torch"):
        if not options.torch_python:
            print("no PyTorch: give --torch-python or MSPOSE_TORCH_PYTHON", file=sys.stderr)
            return None
        python = options.torch_python
    command = [python, str(HERE / "inference_worker.py"), runtime, "--threads", str(threads)]
    command += ["--folder", str(options.exports)] + ["--compile"] * options.torch_compile
    limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    log = open(options.exports / f"{runtime}{threads}.log", "w")  # noqa: SIM115  the worker's, for its whole life
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **limits},  # from the start: NumPy reads them as it is imported
    )


def summary(times: dict[str, list[float]], facts: dict[str, dict]) -> dict:
    """Figures by way; of a network's ways with GFLOP/s and the share of matrix multiplication."""
    best = {name: min(seconds) for name, seconds in times.items() if name.startswith(MATMUL)}
    matmul = 2 * MATRICES**3 / min(best.values()) / 1e9
    rows = {}
    for name, seconds in times.items():
        if name in best:
            continue
        network = name.split(": ")[0]
        row = {
            "median_ms": 1e3 * statistics.median(seconds),
            "p95_ms": 1e3 * float(np.percentile(seconds, 95)),
            "best_ms": 1e3 * min(seconds),
            "calls": len(seconds),
        }
        if "JPEG" not in name:
            row["gflops"] = facts[network]["gflop"] / statistics.median(seconds)
            row["share"] = row["gflops"] / matmul
        rows[name] = row
    return {"matmul_gflops": {name: 2 * MATRICES**3 / s / 1e9 for name, s in best.items()}, "ways": rows}


def show(figures: dict, threads: str, facts: dict[str, dict]) -> None:
    """One table a number of threads, and what the goals say."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    title = f"{threads} thread{'s' if threads != '1' else ''}; {MATMUL}, GFLOP/s, best: "
    title += ", ".join(f"{name.split(', ')[1]} {value:.0f}" for name, value in figures["matmul_gflops"].items())
    table = Table("way", title=title, title_justify="left")
    for column in ("median ms", "p95", "best", "GFLOP/s", "of matmul"):
        table.add_column(column, justify="right")
    for name, row in sorted(figures["ways"].items(), key=lambda item: (item[0].split(": ")[0], item[1]["median_ms"])):
        speed = (f"{row['gflops']:.0f}", f"{100 * row['share']:.0f} %") if "gflops" in row else ("", "")
        table.add_row(name, *(f"{row[key]:.2f}" for key in ("median_ms", "p95_ms", "best_ms")), *speed)
    console.print(table)
    for network in facts:
        for line in goals(network, figures["ways"]):
            console.print(f"{network}: {line}", highlight=False)


def goals(network: str, ways: dict[str, dict]) -> list[str]:
    """Ratios that say how near a network is to its goals."""
    own = {name.split(": ")[1]: row["median_ms"] for name, row in ways.items() if name.startswith(f"{network}: ")}
    files = {name: ms for name, ms in own.items() if name.startswith(("TFLite", "onnxruntime")) and "JPEG" not in name}
    best = min(files, key=files.get)
    lines = [f"best file {best}, {files[best]:.2f} ms, {1e3 / files[best]:.0f} a second"]
    eager = min((ms for name, ms in own.items() if name.startswith("PyTorch eager")), default=None)
    if eager:
        lines.append(f"PyTorch eager in its better layout takes {eager / files[best]:.2f} times the best file")
    for runtime, bare in (("SavedModel", "SavedModel"), ("onnxruntime", "onnxruntime model_float32")):
        share = own[f"{runtime}, JPEG to keypoints"] / (own[bare] + own["decoding the JPEG alone"])
        lines.append(f"JPEG to keypoints takes {share:.2f} times the bare {bare} and the decoding")
    int8, float32 = own["TFLite model_int8"], own["TFLite model_float32"]
    lines.append(f"TFLite int8 takes {int8 / float32:.2f} times float32")
    return lines


if __name__ == "__main__":
    main()
