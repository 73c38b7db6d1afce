"""Several processes train as one does; when one dies, the others say so, and all go on together."""

import json
import os
import re
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

RECIPE = {
    "model": {"preset": "tiny", "input_size": [64, 64], "depth": 2, "channels": 8, "scales": [1, 2]},
    "data": {"augment": {"scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0}},
    "training": {
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 0.002,
        "decay": "constant",
        "checkpoint_minutes": 0.005,
    },
}


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _start(arguments: list[object], count: int) -> list[subprocess.Popen]:
    """The same training in `count` processes, on loopback; in this one's manner where 1."""
    command = [sys.executable, "-m", "keras_mspose.cli", *map(str, arguments)]
    cluster = {"worker": [f"localhost:{port}" for port in _ports(count)]}
    found = []
    for index in range(count):
        place = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        found.append(subprocess.Popen(command, env=os.environ | (place if count > 1 else {}), **pipes))
    return found


def _end(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """(exit code, what was printed) of each."""
    said = [process.communicate(timeout=1500) for process in processes]
    return [(process.returncode, "".join(text)) for process, text in zip(processes, said, strict=True)]


def _newest(run: Path) -> str:
    path = run / "checkpoints" / "checkpoint"
    return path.read_text().splitlines()[0] if path.exists() else ""


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    """The order of one process is not that of two; where every batch holds everybody, all steps are the same."""
    recipe, data = tmp_path / "tiny.json", tmp_path / "data"
    synthetic.convert(data, persons=8, val_persons=5)
    recipe.write_text(json.dumps(RECIPE))
    arguments = ["train", recipe, "--data", data, "--set", "training.steps_per_epoch=20", "--out"]
    for name, count in (("one", 1), ("two", 2)):
        for code, said in _end(_start([*arguments, tmp_path / name], count)):
            assert code == 0, said
    one, two = (saved_model.load(tmp_path / name)[0] for name in ("one", "two"))
    for mine, its in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-3)
    (a,), (b,) = (run_log.read_log(tmp_path / name) for name in ("one", "two"))
    assert {key: float(value) for key, value in b.items()} == pytest.approx(
        {key: float(value) for key, value in a.items()}, rel=1e-3, abs=1e-3
    )

    run = tmp_path / "killed"
    arguments = ["train", recipe, "--data", data, "--set", "training.steps_per_epoch=2000", "--out", run]
    processes = _start(arguments, 2)
    while not _newest(run):
        assert all(process.poll() is None for process in processes), _end(processes)
        time.sleep(0.1)
    processes[1].kill()
    (code, said), _ = _end(processes)
    assert code == 75, said
    assert "worker 0 of 2: another worker is gone" in said and "same command" in said

    before = _newest(run)
    processes = _start(arguments, 2)
    while _newest(run) == before:
        assert all(process.poll() is None for process in processes), _end(processes)
        time.sleep(0.1)
    processes[0].terminate()  # one is asked to end: both save and end
    ended = _end(processes)
    assert [code for code, _ in ended] == [75, 75], ended
    assert all(re.search(r"resuming .* after epoch 0 of 1, step \d+ of 2000", said) for _, said in ended)
    assert "stopped by SIGTERM" in ended[0][1] and "stopped by another worker" in ended[1][1]


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
def test_what_is_no_place_is_named(config: str) -> None:
    with pytest.raises(MsposeError, match=r"TF_CONFIG: .* expected .*cluster"):
        workers.place(config)
