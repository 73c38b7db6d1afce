"""The demo: a page that needs nothing else, going on after a stop, and folders of others left alone."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from keras_mspose import cli, demo, gallery, run_log, training
from keras_mspose.demo_folder import DemoFolder
from keras_mspose.errors import MsposeError
from keras_mspose.evaluation import Evaluation
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import Skeleton

SMALL = {
    "persons": 24,
    "val_persons": 9,
    "changes": [
        "training.epochs=1",
        "training.batch_size=8",
        "training.warmup_steps=1",
        "model.channels=8",
        "model.input_size=[64, 64]",
        "model.depth=1",
        "model.scales=[1]",
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> DemoFolder:
    return DemoFolder.claim(tmp_path / "demo", **SMALL)


@pytest.mark.slow
def test_a_stopped_demo_goes_on_and_its_page_needs_nothing_else(folder: DemoFolder) -> None:
    from export.run import export_run
    from keras_mspose.demo import run_demo
    from tfrecords_tools import synthetic

    def stopped(*_: object, **__: object) -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(folder, render=synthetic.convert, export=stopped)
    assert not (folder.path / "index.html").exists()
    half = json.loads((folder.path / "demo.json").read_text())
    assert not half["finished"] and not half["stages"]["export"]["done"]
    assert half["accuracy"]["persons"] == {"counted": 9, "all": 9} and 0 <= half["baseline"]["mean"] <= 100
    record, network = (folder.path / n for n in ("data/dataset.json", "run/best.keras"))
    before = [p.stat().st_mtime_ns for p in (record, network)]
    folder.release()

    again = DemoFolder.claim(folder.path, **SMALL)
    page = run_demo(again, render=stopped, export=export_run).read_text()
    assert [p.stat().st_mtime_ns for p in (record, network)] == before
    figures = json.loads((folder.path / "demo.json").read_text())
    assert figures["finished"] and figures["export"]["good"] and figures["export"]["compared"] == 8
    assert figures["accuracy"] == half["accuracy"] and figures["baseline"] == half["baseline"]
    for stage in ("render", "train"):
        assert figures["stages"][stage] == half["stages"][stage]
    assert [one["group"] for one in figures["persons"]] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    errors = [one["error"] for one in figures["persons"]]
    assert errors == sorted(errors) and len({one["place"] for one in figures["persons"]}) == 9
    assert list(figures["accuracy"]["heads"]) and {one["name"] for one in figures["formats"]} == {
        "savedmodel",
        "tflite",
        "onnx",
    }
    assert len(figures["epochs"]) == 1 and figures["epochs"][0]["val_accuracy"] == pytest.approx(
        figures["accuracy"]["mean"], abs=1e-4
    )

    assert "://" not in page  # no address at all; base64 knows no colon
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) == 9 + 4 and all(a.startswith("data:image/jpeg;base64,") for a in addresses)
    assert page.count("<svg") == 2 and page.count("<table") == 5
    assert not list(folder.path.glob("**/*partial*"))
    again.release()

    third = DemoFolder.claim(folder.path, **SMALL)
    run_demo(third, render=stopped, export=stopped)  # the export that is there is kept as well
    third.release()


def test_a_full_log_alone_does_not_say_that_training_is_done(
    folder: DemoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the last epoch, after its row and before its network and its checkpoint."""
    trained = []
    monkeypatch.setattr(training, "train", lambda *_: trained.append("again"))
    folder.run.mkdir()
    run_log.write_rows(folder.run, [{"epoch": 0}])
    demo._train(folder, None)
    assert trained == ["again"] and "taken up again" in folder.figures["stages"]["train"]["note"]
    first = dict(folder.figures["stages"]["train"])
    monkeypatch.setattr(demo, "_newest", lambda _: "ckpt-4")  # the same before and after: nothing was left to do
    demo._train(folder, None)
    assert folder.figures["stages"]["train"] == first


def test_a_folder_of_something_else_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert cli.main(["demo", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "not a demo (no demo.json)" in said and said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "other"}', '{"format": "keras_mspose demo/1"}'])
def test_a_marker_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo.json").write_text(content)
    with pytest.raises(MsposeError, match="not of a demo of this version"):
        DemoFolder.claim(tmp_path)
    assert (tmp_path / "demo.json").read_text() == content


def test_a_demo_with_other_settings_is_refused(folder: DemoFolder) -> None:
    folder.release()
    with pytest.raises(MsposeError, match="holds a demo with another persons, recipe, seed;"):
        DemoFolder.claim(folder.path, **{**SMALL, "seed": 1, "persons": 25})


def test_a_file_in_the_way_and_a_negative_seed_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    for arguments, said in (
        (["--out", str(tmp_path / "file")], "no folder to work in"),
        (["--out", str(tmp_path / "file" / "below")], "no folder to work in"),
        (["--out", str(tmp_path / "new"), "--seed", "-1"], "training.seed"),
    ):
        assert cli.main(["demo", *arguments]) == 2
        printed = capsys.readouterr().err
        assert said in printed and printed.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_two_demos_do_not_work_in_one_folder(folder: DemoFolder) -> None:
    with pytest.raises(MsposeError, match="another process works there"):
        DemoFolder.claim(folder.path, **SMALL)
    folder.release()
    DemoFolder.claim(folder.path, **SMALL).release()


def test_what_a_killed_process_left_half_written_is_removed(folder: DemoFolder) -> None:
    folder.release()
    (folder.path / "data.partial-99").mkdir()
    (folder.path / "run").mkdir()
    (folder.path / "run" / "best.partial-99.keras").write_text("half")
    DemoFolder.claim(folder.path, **SMALL).release()
    assert sorted(p.name for p in folder.path.iterdir()) == ["demo.json", "lock", "run"]
    assert not list((folder.path / "run").iterdir())


def test_a_stage_adds_up_its_parts_and_keeps_what_it_has(folder: DemoFolder) -> None:
    stages = folder.figures["stages"]
    with pytest.raises(KeyboardInterrupt), folder.stage("train", "about"):
        raise KeyboardInterrupt
    assert not stages["train"]["done"]
    stages["train"]["seconds"] = 100.0
    with folder.stage("train", "about") as stage:
        stage["note"] = "taken up"
    assert stages["train"]["done"] and 100 <= stages["train"]["seconds"] < 101
    kept = dict(stages["train"])
    with folder.stage("train", "about") as stage:
        stage["kept"] = True
    assert stages["train"] == kept
    with folder.stage("train", "about"):
        pass
    assert stages["train"]["seconds"] < 1 and stages["train"]["note"] == ""
    assert json.loads((folder.path / "demo.json").read_text())["stages"] == stages


def test_persons_are_chosen_by_their_mean_error_and_uncounted_ones_are_not() -> None:
    skeleton = Skeleton(name="two", keypoints=("nose", "tail", "mark"), unscored=("mark",))
    data = RecordSet(Path("nowhere"), "two", skeleton, "pckh", {})
    truth = np.zeros((8, 3, 3))
    truth[..., 2] = 2
    truth[1, 0, 2] = 0  # not labelled: the tail alone counts
    predicted = truth.copy()
    predicted[:, :2, 0] = np.array([5, 3, 1, 4, 2, 0, 9, 6])[:, None]
    predicted[:, 2, 0] = 1000  # not scored
    predicted[1, 0, 0] = 1000
    reference = np.full(8, 10.0)
    reference[6] = 0  # nobody knows this head
    names = [f"{i}.jpg" for i in range(8)]
    ids, origins = np.arange(len(names)), np.tile([0.0, 0, 1], (len(names), 1))
    found = Evaluation(
        "a", {}, predicted, truth, reference, names, ids, origins, [""] * len(ids), origins, "record", "val"
    )
    shown = gallery.choose(found, data, each=2)
    assert [(one.place, one.group) for one in shown] == [
        (5, "best"),
        (2, "best"),
        (4, "median"),
        (1, "median"),
        (0, "worst"),
        (7, "worst"),
    ]
    assert [one.error for one in shown] == pytest.approx([0, 0.1, 0.2, 0.3, 0.5, 0.6])
    assert [(one.right, one.counted) for one in shown] == [(2, 2), (2, 2), (2, 2), (1, 1), (2, 2), (0, 2)]
    assert shown[3].name == "1.jpg"
