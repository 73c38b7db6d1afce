"""`--batch auto`: the largest batch whose training step fits into memory, by measuring two small ones."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from keras_mspose import run_folder
from keras_mspose.config import RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.quiet import import_tensorflow
from keras_mspose.records import RecordSet
from keras_mspose.saved_model import Facts

FEW = 4  # persons of the first batch that is measured; the second takes about MORE bytes more
MORE = 2**30
RESERVE = 0.1  # of the memory: what grows with neither batch nor records
BESIDE = 80 * 2**20  # validation, the pipeline's compiled resampling and the log, which the measured steps are without
MEMORY, OWN = Path("/proc/meminfo"), Path("/proc/self/status")  # Linux alone has them
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def bytes_of(text: str) -> int:
    """Bytes that such as `6G` or `800M` stands for.

    Raises:
        MsposeError: it stands for none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not found or not float(found[1]):
        raise MsposeError(f"--memory {text}: expected a size such as 6G or 800M")
    return int(float(found[1]) * UNITS[found[2]])


def with_largest_batch(
    facts: Facts, sets: Sequence[RecordSet], *, memory: int | None = None, devices: list[str] | None = None
) -> RunConfig:
    """The run's configuration with the largest `batch_size` that fits; prints what was measured.

    Training steps of two small batches are run, each in a process of its own, since TensorFlow gives no memory back.
    What a step needs grows linearly with its persons, give or take `RESERVE`. On a CPU come on top the records that are
    held for shuffling, and the batches that the pipeline has at work. A step in parts (`training.accumulate`) needs
    what one of them does.

    Args:
        memory: bytes that may be used, of each GPU or of the machine; what is free now where None.
        devices: as for `training.train`.

    Raises:
        MsposeError: not even the smallest batch fits, or this system does not say how much memory there is.
    """
    if not (MEMORY.is_file() and OWN.is_file()):
        raise MsposeError(f"--batch auto: measures memory by {MEMORY} and {OWN}, which Linux alone has; give --batch N")
    config = facts.config
    small = _measured(facts, FEW, devices)
    limit = memory or small.free
    added = min(max(min(MORE, limit // 4) // small.activations, FEW), 256)  # else noise outweighs what they take
    each = max((_measured(facts, FEW + added, devices).peak - small.peak) / added, 1.0)
    fixed = small.peak - each * FEW
    if not small.gpu:
        fixed += BESIDE + _held(sets, config)
        each += _prepared(sets, config)
    fit = int(((1 - RESERVE) * limit - fixed) // each)  # persons of one device at a time
    at_a_time = small.devices * (config.training.accumulate or 1)
    everybody = sum(one.persons(config.data.train_split) for one in sets)
    batch = min(fit, everybody // at_a_time) * at_a_time
    figures = f"{fixed / 2**20:,.0f} MiB and {each / 2**20:,.1f} MiB a person, of {limit / 2**20:,.0f} MiB"
    if batch < 1:
        raise MsposeError(f"--batch auto: not one person fits: {figures}; use a smaller model or input_size")
    print(f"--batch auto: {batch} persons a step ({figures})")
    return replace(config, training=replace(config.training, batch_size=batch))


def earlier(out: Path) -> int | None:
    """The batch size of a run that is there already: it goes on with its own.

    Raises:
        MsposeError: its `config.json` cannot be read.
    """
    path = out / run_folder.CONFIG
    written = run_folder.read(path)
    return Facts.from_dict(written, str(path)).config.training.batch_size if written is not None else None


@dataclass(frozen=True)
class Measured:
    """Bytes that training steps took of one device at most, that were free before, and that one person's activations
    take by calculation; `devices` there are."""

    peak: int
    free: int
    activations: int
    gpu: bool
    devices: int


def _measured(facts: Facts, persons: int, devices: list[str] | None) -> Measured:
    """Training steps of so many persons at a time on one device, in a process of its own.

    Raises:
        MsposeError: they do not fit, or fail for another reason, which is named.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, facts, persons, devices))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = None
    finally:
        process.join()
    if isinstance(found, Measured):
        return found
    if found is not None or process.exitcode > 0:
        reason = found or f"its process ended with {process.exitcode}"
        raise MsposeError(f"--batch auto: cannot measure a step ({reason}); mend that, or give --batch N")
    raise MsposeError(f"--batch auto: a batch of {persons} did not fit; use a smaller model or input_size")


def _measure(answer: Connection, facts: Facts, persons: int, devices: list[str] | None) -> None:
    """Answer with `Measured`, with the reason why there is none, or with None where memory ran out."""
    try:
        found = _stepped(facts, persons, devices)
    except Exception as error:
        full = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's
        plain = str(error) if isinstance(error, MsposeError) else f"{type(error).__name__}: {error}"
        found = None if full else " ".join(plain.split())[:300]
    answer.send(found)


def _stepped(facts: Facts, persons: int, devices: list[str] | None) -> Measured:
    free = _free_memory()
    import_tensorflow(training=True)
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_mspose.averaging import Average
    from keras_mspose.info import cost
    from keras_mspose.learner import learner_of
    from keras_mspose.model import build_model, inference_model
    from keras_mspose.objective import compile_model

    everywhere = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = devices or [device.name for device in everywhere]
    settings = facts.config.training
    parts = min(settings.accumulate or 1, 2)  # more of them take longer, not more
    settings = replace(settings, accumulate=parts)
    facts = replace(facts, config=replace(facts.config, training=settings))
    keras.config.set_dtype_policy(settings.precision)
    with tf.distribute.MirroredStrategy(names[:1]).scope():
        model = build_model(facts.config.model, len(facts.skeleton))
        learner = learner_of(model, facts)
        compile_model(learner, facts, steps=1)
        average = Average(model, settings.ema) if settings.ema else None
    rng, size = np.random.default_rng(0), facts.config.model.input_size
    crops = rng.integers(0, 256, (parts * persons, *size, 3), np.uint8)
    targets = rng.uniform(1, min(size), (parts * persons, len(facts.skeleton), 4)).astype(np.float32)
    for _ in range(3):
        learner.train_on_batch(crops, dict.fromkeys(learner.output_names, targets))
        if average:
            average.follow()
    gpu = "GPU" in names[0].upper()
    if gpu:
        peak, free = tf.config.experimental.get_memory_info(names[0])["peak"], _free_gpu_memory()
    else:
        peak = _peak_memory()
    activations = cost(model, inference_model(model)).activation_bytes
    return Measured(peak, free, activations, gpu, len(names))


def _peak_memory() -> int:
    """Most bytes that this process has had resident. Its resource usage would begin with that of who started it."""
    lines = OWN.read_text().splitlines()
    return next(int(line.split()[1]) * 2**10 for line in lines if line.startswith("VmHWM:"))


def _free_memory() -> int:
    """Bytes that this machine, or this container, has left."""
    lines = MEMORY.read_text().splitlines()
    left = [int(line.split()[1]) * 2**10 for line in lines if line.startswith("MemAvailable:")]
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and limit.read_text().strip().isdigit():
        left.append(int(limit.read_text()) - int(used.read_text()))
    return min(left)


def _free_gpu_memory() -> int:
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return min(int(line) for line in said) * 2**20


def _held(sets: Sequence[RecordSet], config: RunConfig) -> int:
    """Bytes of the serialised persons that the pipeline holds for shuffling."""
    return config.data.shuffle_buffer * _record_size(sets, config)


def _prepared(sets: Sequence[RecordSet], config: RunConfig) -> int:
    """Bytes of a person of a step in the batches that are prepared meanwhile: record, packed colours, crop."""
    from keras_mspose import pipeline  # loads TensorFlow, which is to be measured

    height, width = config.model.input_size
    return (pipeline.in_flight() + 1) * (_record_size(sets, config) + 7 * height * width)


def _record_size(sets: Sequence[RecordSet], config: RunConfig) -> int:
    files = [Path(file) for one in sets for file in one.files(config.data.train_split)]
    return sum(file.stat().st_size for file in files) // sum(one.persons(config.data.train_split) for one in sets)
