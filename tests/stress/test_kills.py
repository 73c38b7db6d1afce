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
from PIL import Image
from scipy.io import savemat

from keras_mspose import saved_model, training
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.model import build_model
from keras_mspose.skeleton import MPII16

pytestmark = pytest.mark.slow
RECIPE = {
    "model": {"stacks": 1, "channels": 4, "input_size": [32, 32], "depth": 1, "scales": [1]},
    "data": {"box": "record"},
    "training": {"epochs": 4, "batch_size": 8, "steps_per_epoch": 10, "decay": "constant"},
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
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=400)
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


@times(1, 5)
def test_trainings(kills: int, tmp_path: Path) -> None:
    rng, run, recipe = random.Random(1), tmp_path / "run", tmp_path / "tiny.json"
    finished(command("convert", "synthetic", "--persons", 40, "--out", tmp_path / "data"))
    recipe.write_text(json.dumps(RECIPE))
    train = command("train", recipe, "--data", tmp_path / "data", "--out", run)
    uninterrupted = command("train", recipe, "--data", tmp_path / "data", "--out", tmp_path / "other")
    whole = finished(uninterrupted)
    for _ in range(kills):
        if not killed_after(train, rng.uniform(0.2, 1.1) * whole):
            break
    finished(train)
    rows, others = training.read_log(run), training.read_log(tmp_path / "other")
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for row, other in zip(rows, others, strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=1e-3)
    a, b = (saved_model.load(folder / "last.keras")[0] for folder in (run, tmp_path / "other"))
    crops = rng.randbytes(32 * 32 * 3)
    crop = np.frombuffer(crops, np.uint8).reshape(1, 32, 32, 3)
    np.testing.assert_allclose(a(crop)["regression"], b(crop)["regression"], atol=1e-3)


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
