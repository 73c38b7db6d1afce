"""A result's folder appears whole or not at all, and what killed processes left is mended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_mspose import result_folder
from keras_mspose.errors import MsposeError

INDEX, OURS = "export.json", {"export.json", "model.onnx"}


@pytest.fixture(scope="module")
def dead() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def export(path: Path, text: str) -> Path:
    path.mkdir()
    (path / INDEX).write_text(text)
    return path


def claim(out: Path, overwrite: bool = True) -> None:
    result_folder.claim(out, overwrite=overwrite, ours=OURS.__contains__, index=INDEX, what="exports")


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def test_the_new_export_takes_the_place_of_the_old(tmp_path: Path) -> None:
    out = export(tmp_path / "out", "old")
    with result_folder.whole(out) as partial:
        (partial / INDEX).write_text("new")
        assert (out / INDEX).read_text() == "old"
    assert (out / INDEX).read_text() == "new" and names(tmp_path) == ["out"]


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failed_renaming_brings_the_old_back(
    failing: int, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = export(tmp_path / "out", "old")
    rename, calls = Path.rename, []

    def fails(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == failing:
            raise error("no")
        return rename(path, target)

    with pytest.raises(MsposeError if error is OSError else error), result_folder.whole(out) as partial:
        (partial / INDEX).write_text("new")
        monkeypatch.setattr(Path, "rename", fails)
    assert (out / INDEX).read_text() == "old" and names(tmp_path) == ["out"]


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path: Path, dead: int) -> None:
    out = export(tmp_path / "out", "old")
    living = f"out.partial-{os.getppid()}"
    for name in (f"out.partial-{dead}", f"out.partial-{os.getpid()}", f"out.replaced-{dead}", living, "out.partial-x"):
        (tmp_path / name).mkdir()
    claim(out)
    assert names(tmp_path) == sorted(["out", living, "out.partial-x"])


def test_an_export_that_a_killed_process_moved_aside_comes_back(tmp_path: Path, dead: int) -> None:
    export(tmp_path / f"out.replaced-{dead}", "old")
    (tmp_path / f"out.partial-{dead}").mkdir()
    with pytest.raises(MsposeError, match="not empty"):
        claim(tmp_path / "out", overwrite=False)
    assert (tmp_path / "out" / INDEX).read_text() == "old" and names(tmp_path) == ["out"]


def test_a_folder_of_anything_else_is_never_touched(tmp_path: Path) -> None:
    out = export(tmp_path / "out", "old")
    (out / "notes.txt").touch()
    with pytest.raises(MsposeError, match=r"holds notes\.txt"):
        claim(out)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model.onnx").touch()
    with pytest.raises(MsposeError, match=r"has no export\.json"):
        claim(tmp_path / "other")
    with pytest.raises(MsposeError, match="is a file"):
        claim(out / "notes.txt")
    assert names(out) == [INDEX, "notes.txt"]


def test_a_place_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MsposeError, match="cannot be written"), result_folder.whole(tmp_path / "file/out"):
        pass
