"""`--batch auto`: the line through two measurements, the limits about it, and one real measurement."""

from dataclasses import replace
from pathlib import Path

import pytest

from keras_mspose import batch_size
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


def test_a_cpu_also_holds_the_records_that_are_shuffled(dots, monkeypatch) -> None:
    held = sum(Path(file).stat().st_size for file in dots.records.files("train")) * 4096 // 500
    facts = _facts(dots.records)
    facts = replace(facts, config=replace(facts.config, data=replace(facts.config.data, shuffle_buffer=4096)))
    _found(dots, monkeypatch, 500 * MIB, gpu=False)  # puts the measurement in place
    found = with_largest_batch(facts, [dots.records], memory=500 * MIB)
    assert found.training.batch_size == int((350 * MIB - held) // (10 * MIB))


def test_what_fits_nobody_is_said(dots, monkeypatch) -> None:
    with pytest.raises(MsposeError, match=r"not one person fits: 100 MiB and 10\.0 MiB a person, of 110 MiB"):
        _found(dots, monkeypatch, 110 * MIB)


def test_a_run_keeps_its_batch(dots, tmp_path: Path) -> None:
    assert earlier(tmp_path) is None
    write_json(tmp_path / "config.json", _facts(dots.records, batch_size=24).to_dict())
    assert earlier(tmp_path) == 24


@pytest.mark.slow
def test_more_memory_holds_more_persons(dots, monkeypatch) -> None:
    """Really measured, in processes of their own, of a step in parts whose features are computed again."""
    facts = _facts(dots.records, accumulate=3, checkpoint_gradients=True)
    small, large = (batch_size._measured(facts, persons, ["CPU:0"]) for persons in (4, 260))
    assert 200 * MIB < small.peak < large.peak < small.free
    assert not small.gpu and small.devices == 1
    each = (large.peak - small.peak) / 256
    assert 0.02 * MIB < each < 10 * MIB  # 64 px and 8 channels
