"""`mspose evaluate` with sizes, choices and a report: what it says agrees with itself, and nothing is half written."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_mspose import cli, evaluation, gallery, plots, saved_model
from keras_mspose.config import RunConfig, from_dict
from keras_mspose.metrics import accuracy, normalised_distances
from keras_mspose.model import build_model
from keras_mspose.records import Person
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer

CONFIG: RunConfig = from_dict(
    {
        "model": {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1, 2]},
        "data": {"box": "joints"},
    },
    "report",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network with regression."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("run")
    saved_model.save(build_model(CONFIG.model, 14), folder / "best.keras", saved_model.Facts(LSP14, "pck", CONFIG))
    return folder


@pytest.fixture(scope="module")
def reported(run: Path, dots, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with report, figures and predictions, and the command that made them."""
    out = tmp_path_factory.mktemp("out")
    command = ["evaluate", str(run), "--data", str(dots.records.folder), "--box", "joints", "--flip"]
    command += ["--scales", "0.9", "1", "1.1", "--choices", "--report", str(out / "report")]
    files = ["--json", str(out / "a.json"), "--predictions", str(out / "p.json")]
    assert cli.main([*command, *files]) == 0
    return out, command


def test_the_report_is_whole(reported) -> None:
    out, _ = reported
    names = {path.name for path in (out / "report").iterdir()}
    charts = {"curves.png", "joints.png", "left_right.png", "by_size.png", "by_lean.png", "reliability.png"}
    persons = {n for n in names if re.fullmatch(r"(worst|random)-\d\d\.png", n)}
    assert names == {"index.html", "report.json"} | charts | persons
    assert len(persons) == 6  # val3.jpg has no torso, and so no error
    for name in charts | persons:
        Image.open(out / "report" / name).load()
    assert Image.open(out / "report" / "worst-01.png").size[0] > 4 * gallery.PHOTO  # four pictures in a row
    page = (out / "report" / "index.html").read_text()
    assert "://" not in page and page.count("<img") == len(charts) + len(persons)
    assert all(address.startswith("data:image/") for address in re.findall(r'src="([^"]+)"', page))
    assert "before the regression" in page and "The data does not say what the persons do" in page


def test_its_figures_are_those_of_json_and_of_the_predictions(reported, dots) -> None:
    out, _ = reported
    figures = json.loads((out / "a.json").read_text())
    shown = json.loads((out / "report" / "report.json").read_text())
    assert {**figures, "persons": None} == {**shown, "persons": None}
    persons = json.loads((out / "p.json").read_text())["persons"]
    predicted, truth = (np.array([p[key] for p in persons]) for key in ("keypoints", "truth"))
    reference = np.array([p["reference"] for p in persons])
    distances = normalised_distances(predicted, truth, reference)
    found = accuracy(distances, LSP14, "pck")
    assert figures["mean"] == pytest.approx(found.mean) and figures["auc"] == pytest.approx(found.auc)
    assert figures["at_0.1"]["mean"] == pytest.approx(accuracy(distances, LSP14, "pck", 0.1).mean)
    analysis = figures["analysis"]
    assert analysis["curves"]["lines"]["Total"][-1] == pytest.approx(found.weighted_mean)
    sides = analysis["left_right"]
    assert all(sum(one.values()) == figures["counts"][name] for name, one in sides.items()) and len(sides) == 12
    assert sum(one["persons"] for one in analysis["by_size"]) == 6
    assert sum(one["count"] for one in analysis["reliability"]["bins"]) == sum(figures["counts"].values())


def test_every_choice_stands_beside_its_gain(reported, capsys) -> None:
    out, _ = reported
    figures = json.loads((out / "a.json").read_text())
    ways = [(c["decoding"], c["flip"], len(c["scales"])) for c in figures["choices"]]
    assert len(set(ways)) == 12 and ways[0] == ("argmax", False, 1) and ways[-1] == ("parabola", True, 3)
    assert figures["choices"][-1]["joints"] == figures["joints"]  # the last is how all of it was measured
    assert figures["scales"] == [0.9, 1, 1.1] and set(figures["heads"]) == {"stack1_gt1", "stack1_gt2", "regression"}


def test_a_report_into_the_folder_at_hand_where_nobody_counts(run, dots, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "report").mkdir()
    monkeypatch.chdir(tmp_path / "report")
    one = dots.persons["val0.jpg"]
    keypoints = one.keypoints.copy()
    keypoints[LSP14.index("left_shoulder"), 2] = 0  # no torso
    facts = {"name": "few", "skeleton": LSP14, "metric": "pck", "source": "drawn", "options": {}}
    writer.write(iter([("val", Person("a.jpg", keypoints, one.image))]), tmp_path / "data", **facts)
    command = ["evaluate", str(run), "--data", str(tmp_path / "data"), "--box", "joints", "--choices", "--report", "."]
    assert cli.main(command) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<td>–</td><td>–</td></tr>") >= 6  # mean and gain of every choice
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "report"]


def test_an_earlier_report_is_replaced_only_when_told_to(reported, tmp_path: Path, capsys) -> None:
    out, command = reported
    before = (out / "report" / "index.html").read_bytes()
    assert cli.main(command) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert (out / "report" / "index.html").read_bytes() == before
    (tmp_path / "thesis.tex").write_text("mine")
    assert cli.main([*command[:-1], str(tmp_path), "--overwrite"]) == 2
    assert "thesis.tex" in capsys.readouterr().err and (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scales", "0.9", "0"], "expected numbers from 0.1 to 10, each once"),
        (["--scales", "1", "1"], "each once"),
        (["--split", "holiday"], "no persons in a split 'holiday'"),
        (["--report", ".", "--json", "figures.json"], "lies in the report's folder"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str, run: Path, dots, capsys) -> None:
    assert cli.main(["evaluate", str(run), "--data", str(dots.records.folder), *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_batch_size_changes_nothing(run: Path, dots) -> None:
    model, facts = saved_model.load(run)
    found = []
    for size in (3, 7):
        *_, one = evaluation.evaluate(model, facts, dots.records, batch_size=size, looks=2)
        found.append(one)
    for other in found[1:]:
        # heatmaps of a network that is not trained are flat: there the last bits move a peak's place, but never far
        apart = np.abs(other.predicted - found[0].predicted)
        assert apart.max() < 0.1 and (apart < 2e-3).mean() > 0.98
        np.testing.assert_allclose(other.boxes, found[0].boxes, atol=2e-3)
        assert other.accuracy == found[0].accuracy


def test_activities_have_a_chart_where_the_data_has_them() -> None:
    rows = [{"persons": 9, "keypoints": 99, "right": 50.0, "median": 0.3}] * 2
    chart = plots.kinds(rows, ["sports", "home"], "pckh")
    assert chart.startswith(b"\x89PNG") and chart != plots.kinds(rows[:1], ["sports"], "pckh")
    assert plots.kinds([{**rows[0], "right": None, "median": None}], ["nobody"], "pck").startswith(b"\x89PNG")
