"""Curves of runs: what is read, what is drawn, and what is refused."""

from pathlib import Path

import cv2
import pytest

from keras_mspose.cli import main
from keras_mspose.plot_run import read_curves

HEADS = "loss,regression_loss,regression_pck,stack1_gt1_loss"
HEADER = f"epoch,{HEADS}," + ",".join(f"val_{name}" for name in HEADS.split(","))


def _run(folder: Path, rows: list[str]) -> Path:
    folder.mkdir()
    (folder / "log.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def test_the_best_epoch_is_named_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _run(
        tmp_path / "run",
        ["0,9,4,10,5,8,3,20,5", "1,7,3,20,4,7,3,nan,4", "2,6,3,30,3,6.5,3,42.5,3.5", "3,5,2,33,3,6,3,41,3"],
    )
    curves = read_curves(run)
    assert curves.best == (3, 42.5) and list(curves.heads) == ["regression", "stack1_gt1"]
    assert main(["plot", str(run)]) == 0
    assert "42.50 after epoch 3 of 4" in capsys.readouterr().out
    picture = cv2.imread(str(run / "curves.png"))
    assert len({tuple(pixel) for pixel in picture.reshape(-1, 3)[::7].tolist()}) > 20  # lines in colours, not a blank


def test_several_runs_on_one_picture(tmp_path: Path) -> None:
    runs = [_run(tmp_path / name, ["0,9,4,10,5,8,3,20,5", "1,7,3,20,4,7,3,25,4"]) for name in "ab"]
    assert main(["plot", *map(str, runs), "--out", str(tmp_path / "both.png")]) == 0
    assert (tmp_path / "both.png").is_file() and not (runs[0] / "curves.png").exists()


@pytest.mark.parametrize(
    ("rows", "said"), [([], "no epoch is finished"), (["0,9,4,10,5,8,3,oops,5"], "line 2, val_regression_pck: 'oops'")]
)
def test_what_is_no_log(rows: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _run(tmp_path / "run", rows)
    assert main(["plot", str(run)]) == 2
    assert said in capsys.readouterr().err and not (run / "curves.png").exists()


def test_a_folder_without_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path)]) == 2
    assert "expected a run folder" in capsys.readouterr().err
