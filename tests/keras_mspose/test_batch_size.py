"""`--batch auto`: the line through two measurements, the limits about it, and one real measurement."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keras_mspose import batch_size, pipeline
from keras_mspose.batch_size import Measured, bytes_of, earlier, with_largest_batch
from keras_mspose.config import RunConfig, from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.result_file import write_json
from keras_mspose.saved_model import Facts

MIB = 2**20
TINY = {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1, 2]}


def _facts(data: RecordSet, **training: object) -> Facts:
    return Facts(data.skeleton, data.metric, from_dict({"model": TINY, "training": training}, "tiny"))


@pytest.mark.parametrize(
    ("text", "expected"), [("6G", 6 * 2**30), ("1.5 GiB", 3 * 2**29), ("800m", 800 * MIB), ("123", 123)]
)
def test_sizes(text: str, expected: int) -> None:
    assert bytes_of(text) == expected


@pytest.mark.parametrize("text", ["", "G", "-1G", "6X", "0", "lots"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(MsposeError, match=r"--memory .*: expected a size such as 6G"):
        bytes_of(text)


def _found(
    dots, monkeypatch: pytest.MonkeyPatch, memory: int, *, devices: int = 1, gpu: bool = True, **training: object
) -> RunConfig:
    """100 MiB and 10 MiB a person were measured."""

    def measured(_facts: Facts, persons: int, _devices: object) -> Measured:
        return Measured((100 + 10 * persons) * MIB, 1000 * MIB, 9 * MIB, gpu, devices)

    monkeypatch.setattr(batch_size, "_measured", measured)
    monkeypatch.setattr(RecordSet, "persons", lambda _self, _split: 500)
    return with_largest_batch(_facts(dots.records, **training), [dots.records], memory=memory, devices=None)


def test_a_system_that_does_not_tell_is_named(dots, monkeypatch) -> None:
    monkeypatch.setattr(batch_size, "MEMORY", Path("/nowhere/meminfo"))
    with pytest.raises(MsposeError, match=r"--batch auto: measures memory by .*Linux.*give --batch N"):
        with_largest_batch(_facts(dots.records), [dots.records])


def test_a_tenth_is_left_and_the_rest_filled(dots, monkeypatch, capsys) -> None:
    assert _found(dots, monkeypatch, 500 * MIB).training.batch_size == 35  # (450 - 100) / 10
    assert "35 persons a step (100 MiB and 10.0 MiB a person, of 500 MiB)" in capsys.readouterr().out
    assert _found(dots, monkeypatch, 0).training.batch_size == 80  # what is free: (900 - 100) / 10


def test_devices_multiply_it_and_the_data_ends_it(dots, monkeypatch) -> None:
    assert _found(dots, monkeypatch, 500 * MIB, devices=2).training.batch_size == 2 * 35
    assert _found(dots, monkeypatch, 9000 * MIB).training.batch_size == 500
    assert _found(dots, monkeypatch, 9000 * MIB, devices=3).training.batch_size == 498


def test_parts_multiply_it_too(dots, monkeypatch) -> None:
    found = _found(dots, monkeypatch, 500 * MIB, devices=2, accumulate=3).training
    assert (found.batch_size, found.accumulate) == (2 * 3 * 35, 3)
    assert _found(dots, monkeypatch, 9000 * MIB, devices=3, accumulate=4).training.batch_size == 492  # of 500 persons


def test_a_cpu_also_holds_what_is_shuffled_and_what_is_prepared(dots, monkeypatch) -> None:
    record = sum(Path(file).stat().st_size for file in dots.records.files("train")) // 500
    facts = _facts(dots.records)
    facts = replace(facts, config=replace(facts.config, data=replace(facts.config.data, shuffle_buffer=4096)))
    _found(dots, monkeypatch, 500 * MIB, gpu=False)  # puts the measurement in place
    monkeypatch.setattr(pipeline, "own_cores", lambda: [0, 1, 2])
    found = with_largest_batch(facts, [dots.records], memory=500 * MIB)
    each = 10 * MIB + (3 + 2 + 1) * (record + 7 * 64 * 64)  # three at work, two wait, one is trained on
    assert found.training.batch_size == int((350 * MIB - batch_size.BESIDE - 4096 * record) // each)


def test_what_fits_nobody_is_said(dots, monkeypatch) -> None:
    with pytest.raises(MsposeError, match=r"not one person fits: 100 MiB and 10\.0 MiB a person, of 110 MiB"):
        _found(dots, monkeypatch, 110 * MIB)


def test_a_run_keeps_its_batch(dots, tmp_path: Path) -> None:
    assert earlier(tmp_path) is None
    write_json(tmp_path / "config.json", _facts(dots.records, batch_size=24).to_dict())
    assert earlier(tmp_path) == 24


def test_a_broken_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(MsposeError, match=r"config\.json: cannot be read"):
        earlier(tmp_path)


@pytest.mark.parametrize(
    ("child", "said"),
    [
        (lambda *_: os.kill(os.getpid(), signal.SIGKILL), "a batch of 4 did not fit"),
        (lambda answer, *_: answer.send(None), "a batch of 4 did not fit"),
        (lambda answer, *_: answer.send("big.keras: no such file"), r"cannot measure a step \(big\.keras: no such"),
        (lambda *_: os._exit(3), "its process ended with 3"),
    ],
)
def test_only_memory_is_called_memory(child, said: str, dots, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _kind: fork)
    monkeypatch.setattr(batch_size, "_measure", child)
    with pytest.raises(MsposeError, match=said):
        batch_size._measured(_facts(dots.records), 4, None)


def test_the_reason_of_a_failure_is_handed_over(dots, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    batch_size._measure(theirs, _facts(dots.records, teacher="nowhere/large.keras"), 4, None)
    assert "nowhere/large.keras: no such file" in ours.recv()
    for error, told in ((MemoryError(), None), (RuntimeError("no\n device"), "RuntimeError: no device")):

        def fails(*_: object, error: Exception = error) -> Measured:
            raise error

        monkeypatch.setattr(batch_size, "_stepped", fails)
        batch_size._measure(theirs, _facts(dots.records), 4, None)
        assert ours.recv() == told


@pytest.mark.slow
def test_more_memory_holds_more_persons(dots, monkeypatch) -> None:
    """Really measured, in processes of their own, of a step in parts whose features are computed again."""
    facts = _facts(dots.records, accumulate=3, checkpoint_gradients=True)
    small, large = (batch_size._measured(facts, persons, ["CPU:0"]) for persons in (4, 260))
    assert 200 * MIB < small.peak < large.peak < small.free
    assert not small.gpu and small.devices == 1
    each = (large.peak - small.peak) / 256
    assert 0.02 * MIB < each < 10 * MIB  # 64 px and 8 channels


@pytest.mark.stress
def test_what_it_finds_stays_within_the_memory_that_was_given(tmp_path: Path) -> None:
    """Training at the batch that was found, in a process whose largest memory is read at its end."""
    from tfrecords_tools import synthetic

    limit, model = 1400, {**TINY, "input_size": [256, 256], "channels": 16}
    synthetic.convert(tmp_path / "people", persons=200, val_persons=2, workers=1)
    training = {"epochs": 1, "steps_per_epoch": 4, "val_persons": 2}
    (tmp_path / "r.json").write_text(json.dumps({"model": model, "data": {"box": "joints"}, "training": training}))
    code = "import sys; from keras_mspose.cli import main; code = main(sys.argv[1:])"
    code += "; print(open('/proc/self/status').read()); sys.exit(code)"
    line = ["train", tmp_path / "r.json", "--data", tmp_path / "people", "--out", tmp_path / "run", "--batch", "auto"]
    command = [sys.executable, "-c", code, *map(str, line), "--memory", f"{limit}M"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    batch = int(re.search(r"--batch auto: (\d+) persons a step", done.stdout)[1])
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) / 1024
    print(f"{batch} persons, {peak:.0f} of {limit} MiB")
    assert 4 <= batch < 200 and peak < limit
