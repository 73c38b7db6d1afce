"""A training step with the features kept, and with each stack's computed again (`training.checkpoint_gradients`), each
in a process of its own, in turns.

    python benchmarks/checkpointing.py --json checkpointing.json

Memory is what a process grew by at its peak, from before its network was built: with it some hundred megabytes of
TensorFlow's own, that no batch adds to. What a person adds is the slope from 2 to 4 times the batch. Time is the
processor's, of all cores together, of the fastest step, so that other programs on the machine weigh little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from keras_mspose.quiet import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from step_process import resident  # noqa: E402

from keras_mspose import allocator  # noqa: E402
from keras_mspose.config import ModelConfig, RunConfig, TrainingConfig  # noqa: E402
from keras_mspose.learner import learner_of  # noqa: E402
from keras_mspose.model import build_model  # noqa: E402
from keras_mspose.objective import compile_model  # noqa: E402
from keras_mspose.result_file import check_writable, write_text  # noqa: E402
from keras_mspose.saved_model import Facts  # noqa: E402
from keras_mspose.skeleton import MPII16  # noqa: E402

KEYPOINTS = 16
SIDES = {"kept": False, "computed again": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=int, default=4)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--size", type=int, default=128, help="height and width of a crop in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options, SIDES[options.side])))
        return
    check_writable(options.json)
    found = {}
    for side in SIDES:
        command = [sys.executable, *sys.argv, "--side", side]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found[side] = json.loads(done.stdout.splitlines()[-1])
    show(found, options)
    if options.json:
        network = {key: getattr(options, key) for key in ("stacks", "channels", "size", "batch", "steps")}
        write_text(options.json, json.dumps({**network, "sides": found}, indent=1))


def measure(options: argparse.Namespace, checkpoint_gradients: bool) -> dict:
    """One side, in this process."""
    allocator.keep_freed_memory()
    tf.constant(0.0)  # TensorFlow's own memory is in place from here on
    before, _ = resident()
    model = ModelConfig(options.stacks, options.channels, (options.size, options.size))
    settings = TrainingConfig(batch_size=options.batch, checkpoint_gradients=checkpoint_gradients)
    keras.utils.set_random_seed(0)
    facts = Facts(MPII16, "pckh", RunConfig(model=model, training=settings))
    learner = learner_of(build_model(model, KEYPOINTS), facts)
    compile_model(learner, facts, steps=1)
    sizes = [options.batch] * (1 + options.steps) + [2 * options.batch, 4 * options.batch]
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (max(sizes), options.size, options.size, 3), np.uint8)
    targets = rng.uniform(1, options.size, (max(sizes), KEYPOINTS, 4)).astype(np.float32)
    persons = tf.data.Dataset.from_tensor_slices((crops, dict.fromkeys(learner.output_names, targets)))
    numbers = tf.data.Dataset.from_tensor_slices(np.int64(sizes))
    batches = numbers.flat_map(lambda size: persons.take(size).batch(max(sizes)))  # traced once, for every size
    meter = Meter()
    learner.fit(batches, steps_per_epoch=len(sizes), verbose=0, shuffle=False, callbacks=[meter])
    peaks = [(peak - before) / 1e6 for peak in meter.peaks]
    return {
        "memory_mb": peaks[-3],
        "memory_mb_a_person": (peaks[-1] - peaks[-2]) / (2 * options.batch),
        "core_seconds": meter.seconds[1:-2],
        "first_step_core_seconds": meter.seconds[0],
        "losses": meter.losses,
    }


class Meter(keras.callbacks.Callback):
    """Seconds of the processor, peak memory in bytes, and mean loss so far, after every step."""

    def __init__(self):
        super().__init__()
        self.seconds, self.peaks, self.losses = [], [], []

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self.started = time.process_time()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.seconds.append(time.process_time() - self.started)
        self.peaks.append(resident()[1])
        self.losses.append(float(logs["loss"]))


def show(found: dict[str, dict], options: argparse.Namespace) -> None:
    """Both sides as a table."""
    title = f"{options.stacks} stacks, {options.channels} channels, {options.size} px, batch {options.batch}"
    table = Table(title=title, title_justify="left")
    columns = {
        "peak MB": lambda side: side["memory_mb"],
        "MB a person": lambda side: side["memory_mb_a_person"],
        "core-seconds a step": lambda side: min(side["core_seconds"]),
        "of the first": lambda side: side["first_step_core_seconds"],
        "loss": lambda side: side["losses"][-1],
    }
    table.add_column("features")
    for column in columns:
        table.add_column(column, justify="right")
    for name, side in found.items():
        table.add_row(name, *(f"{figure(side):.4g}" for figure in columns.values()))
    kept, again = found.values()
    table.add_row("ratio", *(f"{figure(again) / figure(kept):.3g}" for figure in columns.values()))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
