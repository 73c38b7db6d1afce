"""Conversions that stop half way: what is finished stays, the same call goes on, and the bytes are the same."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer

FILES, EACH = 4, 16


class Stop(BaseException):
    """As Ctrl-C is: no error that anything catches."""


@pytest.fixture
def make(jpeg):
    """A maker of persons that says whom it made, and stops at one of them if told."""

    class Maker:
        made: list[int]
        stop_at: int | None = None

        def __call__(self, jobs: Iterator[tuple[str, int]]) -> Iterator[Person]:
            self.made = []
            for _, number in jobs:
                if number == self.stop_at:
                    raise Stop
                self.made.append(number)
                yield Person(f"{number}.jpg", np.full((14, 3), 2.0), jpeg(number), person_id=number)

    return Maker()


def write(out: Path, make, **options) -> None:
    fixed = {"name": "own", "skeleton": LSP14, "metric": "pck", "source": "here", "options": {}}
    jobs = [("val", number) for number in range(EACH * FILES)]
    writer.write(jobs, out, make=make, persons_per_shard=EACH, workers=1, **{**fixed, **options})


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def whole(tmp_path: Path, make) -> dict[str, bytes]:
    """What an uninterrupted conversion writes."""
    write(tmp_path / "whole", make)
    return content(tmp_path / "whole")


@pytest.fixture
def stopped(tmp_path: Path, make, whole) -> Path:
    """OUT of a conversion that was stopped in its third file."""
    make.stop_at = 56
    with pytest.raises(Stop):
        write(tmp_path / "out", make)
    make.stop_at = None
    return tmp_path / "out"


def test_the_same_call_goes_on_and_ends_with_the_same_bytes(stopped: Path, make, whole, capsys) -> None:
    assert not stopped.exists()
    write(stopped, make)
    assert "going on: 2 of 4 record files are finished" in capsys.readouterr().err
    assert make.made == list(range(32, 64))  # nobody of the finished files again
    assert content(stopped) == whole
    assert not stopped.with_name("out.partial").exists()


def test_it_says_what_is_kept(tmp_path: Path, make, capsys) -> None:
    make.stop_at = 56
    with pytest.raises(Stop):
        write(tmp_path / "out", make)
    assert "2 of 4 record files are kept in" in capsys.readouterr().err
    make.stop_at = 2
    with pytest.raises(Stop):
        write(tmp_path / "other", make)
    assert not (tmp_path / "other.partial").exists()  # nothing finished, nothing kept


def test_nobody_else_gets_the_lock_before_all_is_deleted(tmp_path: Path, make, monkeypatch) -> None:
    base, delete, seen = tmp_path / "out.partial", shutil.rmtree, []

    def watched(folder: Path, **how) -> None:
        if base in (folder, *folder.parents):
            with pytest.raises(Timeout), FileLock(base / "lock").acquire(timeout=0):
                pass
            seen.append({path.name for path in base.iterdir()})
        delete(folder, **how)

    monkeypatch.setattr(shutil, "rmtree", watched)
    write(tmp_path / "out", make)
    assert seen[-1] == {"lock"} and not base.exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "unmarked", "half a mark"])
def test_files_that_are_not_what_they_were_are_written_again(damage: str, stopped: Path, make, whole) -> None:
    partial = stopped.with_name("out.partial")
    file, mark = partial / "records/val-00001-of-00004.tfrecord", partial / "val-00001-of-00004.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "gone":
        file.unlink()
    elif damage == "unmarked":
        mark.unlink()
    else:
        mark.write_text(mark.read_text()[:10])
    write(stopped, make)
    assert make.made == [*range(16, 32), *range(32, 64)]
    assert content(stopped) == whole


def test_another_conversion_begins_anew(stopped: Path, make) -> None:
    write(stopped, make, options={"colour": "none"})
    assert make.made == list(range(64))


def test_two_at_once_are_refused(stopped: Path, make) -> None:
    with (
        FileLock(stopped.with_name("out.partial") / "lock"),
        pytest.raises(MsposeError, match="another process is conv"),
    ):
        write(stopped, make)
    write(stopped, make)
    assert make.made == list(range(32, 64))


def test_the_lock_of_a_killed_process_is_none(stopped: Path, make, whole) -> None:
    lock = str(stopped.with_name("out.partial") / "lock")
    hold = (
        f"import time, filelock\nwith filelock.FileLock({lock!r}):\n    print('held', flush=True)\n    time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(MsposeError, match="another process is converting"):
            write(stopped, make)
        process.kill()
    write(stopped, make)
    assert content(stopped) == whole


def test_a_folder_of_that_name_is_left_alone(tmp_path: Path, make) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial/thesis.tex").touch()
    with pytest.raises(MsposeError, match="in the way, and no unfinished conversion"):
        write(tmp_path / "out", make)
    assert content(tmp_path / "out.partial") == {"thesis.tex": b""}


def test_persons_left_out_are_looked_at_again_without_skip_bad(tmp_path: Path, jpeg) -> None:
    broken, stop = 1, 56

    def persons(jobs: Iterator[tuple[str, int]]) -> Iterator[Person]:
        for _, number in jobs:
            if number == stop:
                raise Stop
            yield Person(f"{number}.jpg", np.full((14, 3), 2.0), b"no photograph" if number == broken else jpeg(number))

    with pytest.raises(Stop):
        write(tmp_path / "out", persons, skip_bad=True)
    stop = None
    with pytest.raises(MsposeError, match=r"1\.jpg: broken image"):
        write(tmp_path / "out", persons)
    write(tmp_path / "out", persons, skip_bad=True)
    found = RecordSet.load(tmp_path / "out")
    assert [s["image"] for s in found.notes["skipped"]] == ["1.jpg"]
    assert found.persons("val") == EACH * FILES - 1
