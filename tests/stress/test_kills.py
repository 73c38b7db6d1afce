"""`kill -9` at any moment: no folder that looks whole and is not, and the same command ends well afterwards.

CI kills a few times, `make stress` many times.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.io import savemat

from keras_mspose import run_log, saved_model
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.model import build_model
from keras_mspose.skeleton import MPII16

pytestmark = pytest.mark.slow
RECIPE = {  # as small as a network can be: the starts of many processes are what takes time
    "model": {"stacks": 1, "channels": 4, "input_size": [32, 32], "depth": 1, "scales": [1], "regression": False},
    "data": {"box": "record", "augment": {"colour": 0.0}},
    "training": {
        "epochs": 2,
        "batch_size": 8,
        "checkpoint_steps": 2,
        "deterministic": True,
        "ema": 0.9,
        "decay": "cosine",
        "warmup_steps": 15,
    },
}


def times(short: int, long: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kills", [short, pytest.param(long, marks=pytest.mark.stress)])


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "keras_mspose.cli", *map(str, arguments)]


def killed_after(arguments: list[str], seconds: float) -> bool:
    """Start a command and kill it and its children; whether it still ran."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def finished(arguments: list[str]) -> float:
    """Run to the end, which must be a good one; seconds."""
    started = time.monotonic()
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - started


@times(3, 20)
def test_conversions(kills: int, tmp_path: Path) -> None:
    """Killed and started again, it ends with the bytes of one that ran through."""
    rng, out, source = random.Random(0), tmp_path / "data", tmp_path / "lsp"
    persons = 6000
    (source / "images").mkdir(parents=True)
    for i in range(1, persons + 1):
        path = source / f"images/im{i:05d}.jpg"
        if i <= 20:
            pixels = np.random.default_rng(i).integers(0, 256, (60, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        else:
            os.link(source / f"images/im{i % 20 + 1:05d}.jpg", path)
    joints = np.random.default_rng(0).uniform(5, 55, (14, 3, persons))
    joints[:, 2] = 1
    savemat(source / "joints.mat", {"joints": joints})
    convert = command("convert", "lsp", source)
    whole = finished([*convert, "--out", str(tmp_path / "whole")])
    expected = {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()}
    assert len(expected) > 10

    convert += ["--out", str(out)]
    resumed = 0
    for _ in range(kills):
        killed_after(convert, rng.uniform(0.6, 1) * whole)
        resumed += any((tmp_path / "data.partial").glob("*-of-*.json"))
        if out.exists():
            assert {p.name: p.read_bytes() for p in out.iterdir()} == expected
            shutil.rmtree(out)
    finished(convert)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == expected
    assert not (tmp_path / "data.partial").exists()
    assert resumed or kills < 10  # else nothing was ever half done


def saving(arguments: list[str], run: Path) -> subprocess.Popen:
    """Start a training; it has written a checkpoint since, or has come to its end."""
    newest = run / "checkpoints" / "checkpoint"
    before = newest.stat().st_mtime_ns if newest.exists() else 0
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(arguments, **pipes, text=True, start_new_session=True)
    deadline = time.monotonic() + 800
    while process.poll() is None and not (newest.exists() and newest.stat().st_mtime_ns > before):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@times(3, 20)
def test_trainings(kills: int, tmp_path: Path) -> None:
    """Killed anywhere, and started again, a training ends in the very weights of one that ran through."""
    rng, run, recipe = random.Random(1), tmp_path / "run", tmp_path / "tiny.json"
    finished(command("convert", "synthetic", "--persons", 40, "--out", tmp_path / "data"))
    recipe.write_text(json.dumps(RECIPE))
    steps = f"training.steps_per_epoch={40 + 10 * kills}"  # so many that none ends before it is killed
    arguments = ("train", recipe, "--data", tmp_path / "data", "--set", steps, "--out")
    train = command(*arguments, run)
    unheard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    uninterrupted = subprocess.Popen(command(*arguments, tmp_path / "other"), **unheard)

    process = saving(train, run)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=400)[1]
    assert process.returncode == 75, said
    assert "stopped by SIGTERM in epoch 1, after step" in said and "the same command goes on" in said
    killed, until_saved = 0, 0.0
    for number in range(kills):
        started = time.monotonic()
        if number % 3 == 2:  # before it has written anything: while it starts, or reads the checkpoint
            process = subprocess.Popen(train, **unheard, start_new_session=True)
            time.sleep(rng.uniform(0, until_saved))
        else:
            process = saving(train, run)
            until_saved = time.monotonic() - started
            time.sleep(rng.uniform(0, 0.3))
        killed += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert killed == kills, "the training was too short for so many"
    finished(train)
    assert uninterrupted.wait(timeout=400) == 0

    rows, others = run_log.read_log(run), run_log.read_log(tmp_path / "other")
    assert [int(row["epoch"]) for row in rows] == [0, 1]
    for row in (*rows, *others):
        assert 0 <= float(row.pop("input_waits")) <= 100
    assert rows == others
    for name in (saved_model.BEST, saved_model.LAST):
        a, b = (saved_model.load(folder / name)[0] for folder in (run, tmp_path / "other"))
        for mine, its in zip(a.weights, b.weights, strict=True):
            np.testing.assert_array_equal(mine, its)
    newest = [tf.train.latest_checkpoint(folder / "checkpoints") for folder in (run, tmp_path / "other")]
    assert Path(newest[0]).name == Path(newest[1]).name
    mine, its = (tf.train.load_checkpoint(path) for path in newest)
    beside = {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}  # how often was saved
    names = [name for name in its.get_variable_to_shape_map() if name not in beside]
    assert sum("optimizer" in name for name in names) > 20 and any("average" in name for name in names)
    for name in names:
        np.testing.assert_array_equal(mine.get_tensor(name), its.get_tensor(name), err_msg=name)
    assert not [p for p in run.rglob("*") if "partial" in p.name or "temp" in p.name]


@times(1, 5)
def test_exports(kills: int, tmp_path: Path) -> None:
    rng, out, config = random.Random(2), tmp_path / "out", ModelConfig(1, 4, (32, 32), depth=1, scales=(1,))
    facts = saved_model.Facts(MPII16, "pckh", RunConfig(model=config))
    saved_model.save(build_model(config, 16), tmp_path / "best.keras", facts)
    export = command("export", tmp_path / "best.keras", "--out", out, "--format", "savedmodel", "onnx")
    whole = finished(export)
    for _ in range(kills):
        killed_after([*export, "--overwrite"], rng.uniform(0.3, 1) * whole)
        stands = [p for p in tmp_path.iterdir() if p.name == "out" or p.name.startswith("out.replaced")]
        assert stands and all(json.loads((p / "export.json").read_text())["good"] for p in stands)
    finished([*export, "--overwrite"])
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("out")] == ["out"]
