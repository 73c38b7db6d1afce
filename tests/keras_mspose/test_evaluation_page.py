"""docs/evaluation.md is true: its commands are the command line's, and its figures of Newell's predictions are what
those commands give."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from keras_mspose import cli, score_run
from tfrecords_tools import mpii_json

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def commands(page: str) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^ +mspose (.+)$", page, re.MULTILINE)]


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table that follows a text."""
    table = page.split(heading, 1)[1].split("|---", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_every_command_on_the_page_is_one(page: str) -> None:
    options = [cli._parser().parse_args(command) for command in commands(page)]
    assert {o.command for o in options} == {"score", "evaluate", "compare", "submit"}
    assert all(callable(o.run) for o in options)


def test_the_first_command_runs(page: str, real_data: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(real_data / "mpii")
    first = commands(page)[0]
    assert first[1] == "hourglass_val_predictions.h5"
    assert cli.main(first) == 0
    assert "mean by bearpaw: 87.56" in capsys.readouterr().out


def test_the_figures_of_the_protocols(page: str, real_data: Path) -> None:
    mpii = real_data / "mpii"
    predictions, truth = mpii / "hourglass_val_predictions.h5", mpii / "detections_our_format.mat"
    found = score_run.score_file(predictions, truth, all_protocols=True)
    table = rows(page, "Newell's stacked hourglass, by")
    assert [row[0] for row in table] == ["mpii", "bearpaw", "hrnet"]
    for name, *figures in table:
        one = found["protocols"][name]
        keys = ("mean", "unweighted_mean", "weighted_mean", "mean_at_0.1")
        expected = [one["groups"]["Head"], *(one[key] for key in keys), one["called_0.1"]["mean"]]
        assert figures == [f"{value:.2f}" for value in expected]
    said = re.search(r"lie by ([+-][\d.]+) and\s+([+-][\d.]+) px off", page).groups()
    assert list(said) == [f"{shift:+.2f}" for shift in found["median_shift"]]


def test_the_figures_of_occlusion(page: str, real_data: Path) -> None:
    mpii = real_data / "mpii"
    persons = mpii_json.read(mpii / "mpii_annotations.json.gz")
    visibility = np.array([person.keypoints for split, person in persons if split == "val"])
    found = score_run.score_file(
        mpii / "hourglass_val_predictions.h5", mpii / "detections_our_format.mat", visibility=visibility
    )["occlusion"]
    *joints, total = rows(page, "Newell's predictions, PCKh@0.5")
    kinds = found.values()
    assert len(joints) == 14
    for name, *cells in joints:
        shown = [f"{k['joints'][name]:.2f} of {k['counts'][name]:,}" if k["counts"][name] else "-" for k in kinds]
        assert cells == shown
    for cell, one in zip(total[1:], kinds, strict=True):
        count = sum(one["counts"][name] for name, *_ in joints)
        assert cell == f"{one['weighted_mean']:.2f} of {count:,}"
