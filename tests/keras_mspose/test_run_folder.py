"""A run's folder: what may differ when it goes on, what is said of everything else, and one process at a time."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keras_mspose import run_folder
from keras_mspose.config import from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import LSP14, MPII16

FACTS = Facts(LSP14, "pck", from_dict({}, "test"))


def _split(persons: int, checksum: str) -> dict:
    shard = {"file": "x.tfrecord", "persons": persons, "sha256": checksum}
    return {"persons": persons, "images": persons, "shards": [shard]}


DATA = RecordSet(Path("data/lsp"), "lspet", LSP14, "pck", {"train": _split(90, "a"), "val": _split(10, "b")}, "here")


def _claim(out: Path, *sets: RecordSet) -> None:
    with run_folder.claim(out, FACTS, sets or [DATA]):
        pass


def test_the_same_records_go_on_wherever_they_are(tmp_path: Path) -> None:
    _claim(tmp_path / "run")
    more = {**DATA.splits, "test": _split(5, "c")}
    how = {"source": "there", "options": {"split": "x"}, "notes": {"n": 1}}
    _claim(tmp_path / "run", replace(DATA, folder=tmp_path, splits=more, **how))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"splits": {**DATA.splits, "train": _split(80, "a")}}, "has 80 persons in split 'train', it had 90"),
        ({"splits": {**DATA.splits, "val": _split(10, "c")}}, "has other records in split 'val'"),
        ({"splits": {"train": DATA.splits["train"]}}, "has 0 persons in split 'val', it had 10"),
        ({"skeleton": MPII16}, "has the keypoints right_ankle, .*, it had right_ankle"),
    ],
)
def test_other_records_of_the_same_name_are_refused(change: dict, said: str, tmp_path: Path) -> None:
    _claim(tmp_path)
    with pytest.raises(MsposeError, match=rf"holds a run on other data: {DATA.folder} {said}.*; give the --data it"):
        _claim(tmp_path, replace(DATA, **change))


def test_a_run_from_before_the_data_was_written_down_goes_on(tmp_path: Path) -> None:
    _claim(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    del written["datasets"]
    (tmp_path / "config.json").write_text(json.dumps(written))
    _claim(tmp_path, replace(DATA, splits={"train": _split(1, "z")}))


@pytest.mark.parametrize(("place", "said"), [("file", "no folder to train in"), ("file/below", "no folder to train")])
def test_a_file_is_no_run_folder(place: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MsposeError, match=said):
        _claim(tmp_path / place)


@pytest.mark.parametrize("content", ["{", "[]", "null", "\ud800"])
def test_a_broken_configuration_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(MsposeError, match=r"config\.json: .*restore it, or"):
        _claim(tmp_path)
    assert run_folder.read(tmp_path / "none.json") is None


def test_damaged_facts_of_the_data_are_named(tmp_path: Path) -> None:
    for written in ([{}], [{"skeleton": [], "splits": []}], [None]):
        with pytest.raises(MsposeError, match="what is written of the data is damaged"):
            run_folder.other_data(written, [DATA], ["train"])


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    _claim(tmp_path)
    lock = str(tmp_path / "lock")
    hold = (
        f"import time, filelock\nwith filelock.FileLock({lock!r}):\n    print('held', flush=True)\n    time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(MsposeError, match="another process trains there; wait for it"):
            _claim(tmp_path)
        process.kill()
    _claim(tmp_path)


def test_a_failure_lets_the_folder_go(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_folder.claim(tmp_path, FACTS, [DATA]):
        with pytest.raises(MsposeError, match="another process trains there"):
            _claim(tmp_path)
        raise KeyboardInterrupt
    _claim(tmp_path)


def test_where_there_are_no_locks_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def acquire(_self: object, **_how: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(run_folder.FileLock, "acquire", acquire)
    _claim(tmp_path)
    assert "cannot be locked ([Errno 37] No locks available)" in capsys.readouterr().out
