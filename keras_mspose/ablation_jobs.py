"""The runs of an ablation, one after the other or several side by side.

A small network's steps do not fill many cores: two runs on a core each get further than one after the other on both.
Each of several has a process of its own, which this module is when it is called: `python -m keras_mspose.ablation_jobs`
takes one run's JSON from standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keras_mspose.config import RunConfig, from_dict
from keras_mspose.cores import own_cores, warn_of_slow
from keras_mspose.errors import MsposeError
from keras_mspose.interruption import CODES, TRY_AGAIN, Interrupted, wishes
from keras_mspose.records import RecordSet

EVERY = 0.5  # seconds between looks at the processes


@dataclass(frozen=True)
class Run:
    """One training and its measurement.

    Attributes:
        config: the recipe, with the seed.
        data: the record folder; measured on its validation split.
        folder: of the run.
        measured: file for its `distance_file`; there once the run is done.
        flip: measure with the flip test.
    """

    config: RunConfig
    data: Path
    folder: Path
    measured: Path
    flip: bool

    @property
    def name(self) -> str:
        """Its cell and seed."""
        return f"{self.folder.parent.name}, seed {self.config.training.seed}"

    @property
    def log(self) -> Path:
        """What its own process says; beside the folder, which is to be a run's alone."""
        return self.folder.parent / f"{self.folder.name}.log"


def train_and_measure(run: Run, devices: list[str] | None) -> float:
    """Train in this process, or go on with it, and write how far off the validation persons' keypoints are.

    Args:
        devices: see `training.train`.

    Returns:
        The mean accuracy.
    """
    import keras

    from keras_mspose import mixing, saved_model, training
    from keras_mspose.distance_file import write_distances
    from keras_mspose.evaluation import evaluate
    from keras_mspose.metrics import normalised_distances

    keras.utils.clear_session()  # else dozens of networks stay in memory
    data = RecordSet.load(run.data)
    training.train(run.config, data, run.folder, devices=devices)
    model, facts = saved_model.load(run.folder / saved_model.LAST)
    data = mixing.alone(data, run.config.data)
    *_, found = evaluate(model, facts, data, flip=run.flip)
    distances = normalised_distances(found.predicted, found.truth, found.reference)
    write_distances(run.measured, distances, data.metric, data.skeleton)
    print(f"measured: {found.accuracy.mean:.2f}")
    return found.accuracy.mean


def side_by_side(
    runs: Sequence[Run],
    jobs: int,
    devices: list[str] | None,
    tell: Callable[[Sequence[Run]], None] = lambda active: None,
) -> Iterator[Run]:
    """Do `train_and_measure` of all, so many at a time in processes of their own, and give each as it ends.

    Args:
        jobs: at least 1; each has its share of the cores.
        devices: are dealt out to the jobs; one of several jobs where there are fewer. All GPUs, or the CPU, where None.
        tell: is given the runs under way, twice a second.

    Raises:
        MsposeError: there are fewer cores than jobs, or a run failed; then the others are stopped and can go on.
        Interrupted: asked for from outside, or a run was.
    """
    cores = own_cores()
    if not 1 <= jobs <= len(cores):
        raise MsposeError(f"--jobs: expected 1 to {len(cores)}, the number of cores; got {jobs}")
    devices = _gpus() if devices is None else devices
    for precision in sorted({run.config.training.precision for run in runs}):
        warn_of_slow(precision, devices)  # a run's own warning is in its log
    todo, active = list(runs), {}
    with wishes() as wish:
        try:
            while todo or active:
                for job in set(range(jobs)) - set(active):
                    if todo:
                        run = todo.pop(0)
                        active[job] = run, _begin(run, cores[job::jobs], _share(devices, job, jobs))
                tell([run for run, _ in active.values()])
                time.sleep(EVERY)
                if wish.signal:
                    raise Interrupted(
                        f"stopped by {wish.signal.name}; the runs are saved, the same command goes on",
                        CODES[wish.signal],
                    )
                for job, (run, process) in list(active.items()):
                    if process.poll() is not None:
                        del active[job]
                        _check(run, process.returncode)
                        yield run
        finally:
            for _, process in active.values():
                process.terminate()  # it saves, and ends
            for _, process in active.values():
                process.wait()


def _gpus() -> list[str]:
    import tensorflow as tf

    return [gpu.name.removeprefix("/physical_device:") for gpu in tf.config.list_physical_devices("GPU")]


def _share(devices: list[str], job: int, jobs: int) -> list[str] | None:
    return (devices[job::jobs] or [devices[job % len(devices)]]) if devices else None


def _begin(run: Run, cores: list[int], devices: list[str] | None) -> subprocess.Popen:
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    places = {"data": str(run.data), "folder": str(run.folder), "measured": str(run.measured)}
    about = {"config": run.config.to_dict(), **places, "flip": run.flip, "cores": cores, "devices": devices}
    with open(run.log, "ab") as log:
        command = [sys.executable, "-m", "keras_mspose.ablation_jobs"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
    with suppress(BrokenPipeError):  # it has ended already, and its log says why
        process.stdin.write(json.dumps(about).encode())
        process.stdin.close()
    return process


def _check(run: Run, code: int) -> None:
    if code in CODES.values():
        raise Interrupted(f"{run.folder}: its process was asked to stop; the same command goes on", TRY_AGAIN)
    if code:
        said = run.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise MsposeError(
            f"{run.folder}: failed with code {code}, see {run.log}: {said[-1] if said else 'nothing said'}"
        )


def _main() -> int:
    given = json.loads(sys.stdin.read())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, given["cores"])  # before TensorFlow counts them
    from keras_mspose.quiet import import_tensorflow

    import_tensorflow(training=True)
    places = (Path(given[key]) for key in ("data", "folder", "measured"))
    run = Run(from_dict(given["config"], "its recipe"), *places, given["flip"])
    try:
        train_and_measure(run, given["devices"])
    except MsposeError as error:
        print(error)
        return 2
    except Interrupted as why:
        print(why)
        return why.code
    return 0


if __name__ == "__main__":
    sys.exit(_main())
