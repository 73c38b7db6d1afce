"""Several processes train as one does; when one dies, the others say so, and all go on together."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_mspose import run_log, saved_model, workers
from keras_mspose.errors import MsposeError
from tfrecords_tools import synthetic

# Every batch holds all 8 persons, in any order, so that what a step learns does not depend on who reads whom.
RECIPE = {
    "model": {
        "stacks": 1,
        "channels": 8,
        "input_size": [64, 64],
        "depth": 1,
        "scales": [1],
        "regression": False,
    },
    "data": {"shuffle_buffer": 1, "augment": {"scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0}},
    "training": {
        "epochs": 1,
        "steps_per_epoch": 20,
        "batch_size": 8,
        "learning_rate": 0.001,
        "warmup_steps": 0,
        "decay": "constant",
        "ema": 0.9,
    },
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The arguments of a training but for --out."""
    folder = tmp_path_factory.mktemp("workers")
    synthetic.convert(folder / "data", persons=8, val_persons=5, size=96, workers=1)
    (folder / "tiny.json").write_text(json.dumps(RECIPE))
    return ["train", folder / "tiny.json", "--data", folder / "data"]


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _started(*commands: list[object]) -> list[subprocess.Popen]:
    """A process for each command, together where there are several."""
    cluster = {"worker": [f"localhost:{port}" for port in _ports(len(commands))]}
    found = []
    for index, command in enumerate(commands):
        place = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
        found.append(
            subprocess.Popen(
                [sys.executable, "-m", "keras_mspose.cli", *map(str, command)],
                env=os.environ | (place if len(commands) > 1 else {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return found


def _ended(processes: list[subprocess.Popen]) -> tuple[list[int], list[str]]:
    """Exit code and output of each."""
    try:
        said = [process.communicate(timeout=800)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def _same_result(one: Path, other: Path) -> None:
    for name in (saved_model.LAST, saved_model.BEST):
        first, second = (saved_model.load(run / name)[0].weights for run in (one, other))
        apart = {a.path: np.abs(a.numpy() - b.numpy()).max() for a, b in zip(first, second, strict=True)}
        print(f"{name}: weights differ by {max(apart.values()):.1g} at most")
        assert max(apart.values()) < 1e-3, apart
    rows = [[{k: float(v) for k, v in row.items()} for row in run_log.read_log(run)] for run in (one, other)]
    for a, b in zip(*rows, strict=True):
        # Who fills up the last validation batch adds to the validation losses.
        names = {name for name in a if not (name.startswith("val_") and name.endswith("loss"))} - {"input_waits"}
        assert {name: b[name] for name in names} == pytest.approx({name: a[name] for name in names}, rel=1e-3)


@pytest.mark.slow
def test_two_processes_are_one(start: list[object], tmp_path: Path) -> None:
    for name, count in (("one", 1), ("two", 2)):
        codes, said = _ended(_started(*[[*start, "--out", tmp_path / name]] * count))
        assert codes == [0] * count, said
    assert "epoch 1/1" in said[0] and "trained:" in said[0]
    assert "epoch 1/1" not in said[1] and "trained:" not in said[1]
    _same_result(tmp_path / "one", tmp_path / "two")


@pytest.mark.stress
def test_two_processes_train_the_preset_tiny_as_one_does(start: list[object], tmp_path: Path) -> None:
    """All scales and the regression. The more layers, the further Adam carries what rounding alone has made of
    gradients that are 0, hence the smaller rate; weights over 1 are compared to the largest beside them."""
    recipe = {**RECIPE, "model": {"preset": "tiny"}, "training": {**RECIPE["training"], "learning_rate": 0.0001}}
    (tmp_path / "preset.json").write_text(json.dumps(recipe), encoding="utf-8")
    for name, count in (("one", 1), ("two", 2)):
        train = ["train", tmp_path / "preset.json", *start[2:], "--out", tmp_path / name]
        codes, said = _ended(_started(*[train] * count))
        assert codes == [0] * count, said
    one, two = (saved_model.load(tmp_path / name / saved_model.LAST)[0] for name in ("one", "two"))
    pairs = [(a.path, a.numpy(), b.numpy()) for a, b in zip(one.weights, two.weights, strict=True)]
    apart = {path: np.abs(a - b).max() / max(np.abs(a).max(), 1.0) for path, a, b in pairs}
    print(f"weights differ by {max(apart.values()):.1g} at most")
    assert max(apart.values()) < 1e-3, apart
    crops = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), np.uint8)
    heatmaps = [model(crops, training=False) for model in (one, two)]
    assert len(heatmaps[0]) == 5
    for head in heatmaps[0]:
        np.testing.assert_allclose(heatmaps[0][head], heatmaps[1][head], atol=1e-3)
    (a,), (b,) = (run_log.read_log(tmp_path / name) for name in ("one", "two"))
    for name in (name for name in a if name.endswith("loss") and not name.startswith("val_")):
        assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-3), name


def _first_checkpoint(run: Path, processes: list[subprocess.Popen]) -> None:
    while not list(run.glob("checkpoints/ckpt-*.index")):
        assert all(process.poll() is None for process in processes), _ended(processes)
        time.sleep(0.02)


@pytest.mark.stress
@pytest.mark.parametrize("lost", [0, 1])
def test_one_is_killed_and_all_go_on(start: list[object], tmp_path: Path, lost: int) -> None:
    often = [
        *start,
        "--set",
        "training.checkpoint_steps=1",
        "training.steps_per_epoch=40",
        "training.images_every=1",
        "--out",
    ]
    whole, run = tmp_path / "whole", tmp_path / "killed"
    codes, said = _ended(_started(*[[*often, whole]] * 2))
    assert codes == [0, 0], said

    processes = _started(*[[*often, run]] * 2)
    _first_checkpoint(run, processes)
    processes[lost].kill()
    killed = time.monotonic()
    processes[1 - lost].wait(timeout=60)
    print(f"the other ended after {time.monotonic() - killed:.1f} s")
    codes, said = _ended(processes)
    assert (codes[lost], codes[1 - lost]) == (-signal.SIGKILL, 75), said
    assert f"worker {1 - lost} of 2: another worker is gone" in said[1 - lost]
    assert not (run / saved_model.LAST).exists()

    codes, said = _ended(_started(*[[*often, run]] * 2))
    assert codes == [0, 0], said
    assert re.search(r"resuming .* after epoch 0 of 1, step \d+ of 40", said[0])
    _same_result(whole, run)


@pytest.mark.stress
def test_one_is_asked_to_end_and_all_do(start: list[object], tmp_path: Path) -> None:
    run = tmp_path / "run"
    long = [*start, "--set", "training.checkpoint_steps=5", "training.steps_per_epoch=20000", "--out", run]
    processes = _started(long, long)
    _first_checkpoint(run, processes)
    processes[1].terminate()
    codes, said = _ended(processes)
    assert codes == [75, 75], said
    ends = {re.search(r"stopped by SIGTERM in epoch 1, after step \d+ of 20000", text)[0] for text in said}
    assert len(ends) == 1, ends

    codes, said = _ended(_started(long, [*long, "--set", "training.learning_rate=0.1"]))
    assert codes == [2, 2], said
    assert all("do not have the same recipe and data" in text for text in said)
    codes, said = _ended(_started(*[[*long, "--set", "training.learning_rate=0.1"]] * 2))
    assert codes == [2, 2], said
    assert "holds a run with another" in said[0] and "stopped by worker 0, which says why" in said[1]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}, (1, 2)),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "chief", "index": 0}}, (0, 3)),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 1}}, (2, 3)),
    ],
)
def test_places(config: dict, expected: tuple[int, int]) -> None:
    assert workers.place(json.dumps(config)) == expected


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}',
    ],
)
def test_what_is_no_place_is_named(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(MsposeError, match=r"TF_CONFIG: .* expected .*cluster"):
        workers.Workers.join()


def test_devices_are_those_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}')
    with pytest.raises(MsposeError, match="--devices: not together with TF_CONFIG"):
        workers.Workers.join(["CPU:0"])
