"""The training step against what the machine can do, with and without keeping freed memory, without oneDNN, with its
features computed again (`training.checkpoint_gradients`), and against PyTorch, in turns in one run.

    python benchmarks/training_step.py --json step.json
    python benchmarks/training_step.py --torch-python path/to/venv/bin/python --networks small:32

GFLOP/s are 3 times those of the forward pass: the backward pass multiplies twice. Matrix multiplication is
TensorFlow's, float32, 2048 x 2048, with the same threads. Everything is the best of all rounds; memory is what a side's
process grew by, at its peak, from before its network was built, and is measured at half the batch as well: what grows
with the batch are the features that the backward pass needs, the rest is the program itself, weights, and code made for
the processor. Read the ratios: the rest depends on the machine.
PyTorch (`pip install -e ".[bench]"`) may be installed beside TensorFlow or in an environment of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from roofline import least_seconds
from step_process import Side

from keras_mspose.config import PRESETS
from keras_mspose.result_file import check_writable, write_text

HERE = Path(__file__).parent
KEYPOINTS = 16
EIGEN = "without oneDNN"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["paper:8", "small:32"], help="PRESET:BATCH")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2, help="steps of each side in each round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch-python", default=sys.executable if importlib.util.find_spec("torch") else None)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    check_writable(options.json)
    if options.torch_python is None:
        print("PyTorch is not installed and --torch-python not given: without it")
    results = []
    for network in options.networks:
        preset, _, batch = network.partition(":")
        if preset not in PRESETS or not batch.isdigit():
            parser.error(f"--networks {network}: expected PRESET:BATCH with a preset among {', '.join(PRESETS)}")
        results.append(measure(preset, int(batch), options))
        show(results[-1])
    if options.json:
        write_text(options.json, json.dumps(results, indent=1))


def measure(preset: str, batch: int, options: argparse.Namespace) -> dict:
    """All sides in turns, for one network."""
    given = {"preset": preset, "batch": batch, "threads": options.threads, "keypoints": KEYPOINTS}
    ours = [sys.executable, str(HERE / "tensorflow_step.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TF_ENABLE_ONEDNN_OPTS": "1"}
    commands = {
        "without allocator": [*ours, json.dumps({**given, "keep_memory": False})],
        "ours": [*ours, json.dumps({**given, "keep_memory": True})],
        EIGEN: [*ours, json.dumps({**given, "keep_memory": True})],
        "computed again": [*ours, json.dumps({**given, "keep_memory": True, "recompute": True})],
    }
    if options.torch_python:
        network = json.dumps({**given, **asdict(PRESETS[preset])})
        commands["PyTorch"] = [options.torch_python, str(HERE / "torch_hourglass.py"), network]
    halved = {}
    for name in commands:
        if name not in ("without allocator", EIGEN):
            *command, network = commands[name]
            side = Side([*command, json.dumps({**json.loads(network), "batch": batch // 2})], environment)
            side.wait()
            halved[name] = side.ask("memory")
            side.end()
    sides = {}
    for name, command in commands.items():  # one after the other: building shares no core with building
        sides[name] = Side(command, {**environment, "TF_ENABLE_ONEDNN_OPTS": "0"} if name == EIGEN else environment)
        sides[name].wait()
    seconds, multiplied = {name: [] for name in sides}, []
    for _ in range(options.rounds):
        multiplied += [sides["ours"].ask("matmul") for _ in range(3)]
        for name, side in sides.items():
            seconds[name].append(side.ask(f"step {options.steps}") / options.steps)
    facts = {name: {**side.ask("facts"), "memory_mb": side.ask("memory")} for name, side in sides.items()}
    for name, half in halved.items():
        an_image = (facts[name]["memory_mb"] - half) / (batch - batch // 2)
        facts[name] |= {"memory_mb_an_image": an_image, "memory_mb_besides": half - an_image * (batch // 2)}
    gigabytes = sides["ours"].ask("bandwidth")
    profiles = {name: side.ask("profile") for name, side in sides.items() if name != "PyTorch"}
    for side in sides.values():
        side.end()
    parameters = {fact["trainable_parameters"] for fact in facts.values()}
    if len(parameters) > 1:
        sys.exit(f"not the same network: {parameters} trainable parameters")
    gflop = 3 * batch * facts["without allocator"]["gflop_forward"]
    machine = max(multiplied)
    bound = least_seconds(facts["ours"]["work"], machine, gigabytes)
    for fact in facts.values():
        fact.pop("work", None)
    return {
        "preset": preset,
        "batch": batch,
        "threads": options.threads,
        "matmul_gflops": machine,
        "step_gflop": gflop,
        "trainable_parameters": parameters.pop(),
        "gigabytes_a_second": gigabytes,
        "least_seconds": bound,
        "core_seconds_by_kind": profiles,
        "sides": {
            name: {
                **facts[name],
                "images_a_second": batch / min(found),
                "gflops": gflop / min(found),
                "share_of_matmul": gflop / min(found) / machine,
                "seconds": found,
            }
            for name, found in seconds.items()
        },
    }


def show(found: dict) -> None:
    """One table a network."""
    title = (
        f"{found['preset']}, batch {found['batch']}, {found['threads']} threads: matrix multiplication "
        f"{found['matmul_gflops']:.0f} GFLOP/s, a step {found['step_gflop']:.1f} GFLOP"
    )
    table = Table(title=title, title_justify="left")
    for column in (
        "",
        "images/s",
        "GFLOP/s",
        "of matmul",
        "to the first",
        "peak MB",
        "an image",
        "besides",
        "first step s",
    ):
        table.add_column(column, justify="right" if column else "left")
    first = found["sides"]["without allocator"]["images_a_second"]
    for name, side in found["sides"].items():
        table.add_row(
            f"{name} ({side['version']})",
            f"{side['images_a_second']:.2f}",
            f"{side['gflops']:.1f}",
            f"{side['share_of_matmul']:.0%}",
            f"{side['images_a_second'] / first:.2f}",
            f"{side['memory_mb']:.0f}",
            *(
                f"{side[f'memory_mb_{part}']:.0f}" if f"memory_mb_{part}" in side else ""
                for part in ("an_image", "besides")
            ),
            f"{side['first_step_seconds']:.0f}",
        )
    console = Console(width=120)
    console.print(table)
    profiles = found["core_seconds_by_kind"]
    kinds = Table("core-milliseconds of a step", *profiles)
    for kind in profiles["without allocator"]:
        kinds.add_row(kind, *(f"{1000 * profile[kind]:.0f}" for profile in profiles.values()))
    console.print(kinds)
    total = sum(found["least_seconds"].values())
    parts = ", ".join(f"{1000 * seconds:.0f} ms {kind}" for kind, seconds in found["least_seconds"].items())
    console.print(
        f"roofline, with {found['gigabytes_a_second']:.1f} GB/s of memory: a step takes {1000 * total:.0f} ms at least "
        f"({parts}), which is {found['batch'] / total:.1f} images/s",
        highlight=False,
    )


if __name__ == "__main__":
    main()
