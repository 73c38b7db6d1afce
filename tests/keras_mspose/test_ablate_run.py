"""`mspose ablate` from the grid to the figure, and on after a stop."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_mspose import ablate_run, ablation_report, run_log, training
from keras_mspose.ablation import Ablation, load
from keras_mspose.ablation_jobs import Run
from keras_mspose.ablation_progress import RunsProgress
from keras_mspose.cli import main
from keras_mspose.config import RunConfig
from keras_mspose.distance_file import read_distances, write_distances
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import LSP14


def _measured(path: Path, error: float, persons: int = 60) -> None:
    """As a run leaves it: every keypoint off by about `error` hundredths of a torso."""
    rng = np.random.default_rng(len(str(path)))
    distances = np.linalg.norm(rng.normal(0, error / 100, (persons, 14, 2)), axis=2)
    write_distances(path, distances, "pck", LSP14)


@pytest.fixture
def grid(tmp_path: Path) -> Ablation:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "recipe: lsp_small\ngrid:\n  model.stacks: [1, 2]\n  model.regression: [false, true]\nseeds: [0, 1, 2]\n"
    )
    return load(str(file))


def test_verdicts_need_every_seed_and_a_network_off_the_plateau(grid: Ablation, tmp_path: Path) -> None:
    errors = {(1, False): 16, (1, True): 9, (2, False): 60, (2, True): 12}
    for cell in grid.cells:
        for seed in grid.seeds[: 2 if cell.values["model.stacks"] == 2 else 3]:
            error = errors[cell.values["model.stacks"], cell.values["model.regression"]]
            _measured(tmp_path / "measured" / cell.name / f"seed-{seed}.npz", error)
    found = ablate_run.results(grid, tmp_path)
    by_pair = {(one["key"], *one["at"].values()): one for one in found["differences"]}
    regression = by_pair["model.regression", 1]
    assert regression["real"] and regression["difference"] > 20 and regression["seeds"] == [0, 1, 2]
    assert ablation_report.verdict(regression) == "better"
    assert ablation_report.verdict(by_pair["model.regression", 2]) == "says nothing: under 45"
    assert by_pair["model.regression", 2]["seeds"] == [0, 1]
    assert ablation_report.verdict(by_pair["model.stacks", True]) == "worse"
    effects = {one["key"]: one for one in found["effects"]}
    assert effects["model.regression"]["pairs"] == 2 and effects["model.regression"]["seeds"] == [0, 1]
    assert ablation_report.verdict(effects["model.regression"]) == "says nothing: under 45"
    page = ablation_report.markdown(found, "fig4.png").splitlines()
    mean = np.mean(list(found["cells"][1]["seeds"].values()))
    low, high = found["cells"][1]["low"], found["cells"][1]["high"]
    assert low < mean < high
    assert any(line.startswith(f"| 1 stack, regression | {mean:.2f} | {low:.2f} to {high:.2f} | ") for line in page)
    row = next(line for line in page if line.startswith("| no regression to regression | 1 stack | "))
    assert f"| +{regression['difference']:.2f} | +{regression['low']:.2f} to +{regression['high']:.2f} | " in row
    assert row.endswith("| better |")
    figure = ablate_run.draw(found)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["no regression", "regression"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["1 stack", "2 stacks"]


def test_a_folder_of_something_else_is_left_alone(grid: Ablation, dots, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(MsposeError, match="not an ablation"):
        ablate_run.ablate(grid, dots.records, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_other_data_a_second_process_and_a_broken_index_are_refused(grid: Ablation, dots, tmp_path: Path) -> None:
    data, out = dots.records, tmp_path / "out"
    with ablate_run._claim(out, grid, data, True), pytest.raises(MsposeError, match="another process works there"):
        ablate_run.ablate(grid, data, out)
    fewer = replace(data, splits={**data.splits, "val": {**data.splits["val"], "persons": 3}})
    with pytest.raises(MsposeError, match=r"on other data: .* has 3 persons in split 'val', it had 7; give the --data"):
        ablate_run.ablate(grid, fewer, out)
    with ablate_run._claim(out, grid, replace(data, folder=tmp_path, source="elsewhere"), True):
        pass
    (out / "ablation.json").write_text("{")
    with pytest.raises(MsposeError, match=r"ablation\.json: cannot be read"):
        ablate_run.ablate(grid, data, out)
    with pytest.raises(MsposeError, match="no folder to work in"):
        ablate_run.ablate(grid, data, out / "ablation.json")


@pytest.mark.slow
def test_a_grid_is_trained_measured_and_drawn_and_gone_on_with(
    dots, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(
        "model: {stacks: 1, channels: 8, input_size: [32, 32], depth: 1, scales: [1]}\n"
        "data: {box: image}\ntraining: {epochs: 1, batch_size: 4, steps_per_epoch: 2}\n"
    )
    (tmp_path / "grid.yaml").write_text("recipe: tiny.yaml\ngrid: {model.regression: [false, true]}\nseeds: [0]\n")
    line = ["ablate", str(tmp_path / "grid.yaml"), "--data", str(dots.records.folder), "--out", str(tmp_path / "out")]
    train = training.train

    def stopped_at_the_second(config: RunConfig, *rest: object, **how: object) -> Path:
        if config.model.regression:
            raise MsposeError("stopped")
        return train(config, *rest, **how)

    with monkeypatch.context() as stopping:
        stopping.setattr(training, "train", stopped_at_the_second)
        assert main(line) == 2
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [len(cell["seeds"]) for cell in results["cells"]] == [1, 0] and not results["differences"]
    capsys.readouterr()
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "1 of 2 runs are done already" in said and "run 2/2: regression-true" in said
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [len(cell["seeds"]) for cell in results["cells"]] == [1, 1] and len(results["differences"]) == 1
    assert cv2.imread(str(tmp_path / "out" / "fig4.png")).std() > 10
    assert "| no regression to regression |" in (tmp_path / "out" / "results.md").read_text()
    assert main([*line, "--set", "training.batch_size=2"]) == 2
    assert "holds an ablation with another cells" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out" / "runs")
    assert main(line) == 0
    assert "2 of 2 runs are done already" in capsys.readouterr().out


def test_bars_count_the_epochs_of_this_call_and_lose_what_has_ended(grid: Ablation, tmp_path: Path) -> None:
    config = replace(grid.cells[0].config, training=replace(grid.cells[0].config.training, epochs=10))
    first, second = (Run(config, tmp_path, tmp_path / name / "seed-0", tmp_path / "none", True) for name in "ab")

    def trained(run: Run, epochs: int) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        run_log.write_rows(run.folder, [{"epoch": epoch} for epoch in range(epochs)])

    trained(first, 4)
    with RunsProgress([first, second]) as progress:
        bars = {task.description: task for task in progress.bars.tasks}
        assert bars["epochs of all runs"].total == 16
        progress.show([first, second])
        trained(first, 10)
        trained(second, 3)
        progress.show([first, second])
        assert [(task.description, task.completed) for task in progress.bars.tasks] == [
            ("epochs of all runs", 9),
            ("a, seed 0", 10),
            ("b, seed 0", 3),
        ]
        progress.show([second])
        assert [task.description for task in progress.bars.tasks] == ["epochs of all runs", "b, seed 0"]
        assert progress.bars.tasks[0].completed == 9


@pytest.mark.slow
def test_side_by_side_the_runs_are_those_of_one_after_the_other(dots, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        "model: {stacks: 1, channels: 8, input_size: [32, 32], depth: 1, scales: [1]}\n"
        "data: {box: image}\n"
        "training: {epochs: 1, batch_size: 4, steps_per_epoch: 2, learning_rate: 0.01, deterministic: true}\n"
    )
    (tmp_path / "grid.yaml").write_text("recipe: tiny.yaml\ngrid: {model.regression: [false, true]}\nseeds: [0]\n")
    line = ["ablate", str(tmp_path / "grid.yaml"), "--data", str(dots.records.folder), "--out"]
    assert main([*line, str(tmp_path / "together"), "--jobs", "2"]) == 0
    assert main([*line, str(tmp_path / "alone")]) == 0
    for cell in ("regression-false", "regression-true"):
        a, b = (read_distances(tmp_path / out / "measured" / cell / "seed-0.npz")[0] for out in ("together", "alone"))
        np.testing.assert_allclose(a, b, atol=0.02)


@pytest.mark.slow
def test_a_failing_job_is_named_with_what_it_said(dots, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.yaml").write_text(
        "recipe: lsp_small\ngrid: {training.batch_size: [4]}\nset: {training.start_from: nowhere.keras}\nseeds: [0]\n"
    )
    line = ["ablate", str(tmp_path / "grid.yaml"), "--data", str(dots.records.folder), "--out", str(tmp_path / "out")]
    assert main([*line, "--jobs", "2"]) == 2
    said = capsys.readouterr().err
    assert "seed-0.log: " in said and "nowhere.keras" in said
    assert main([*line, "--jobs", "1000"]) == 2
    assert "--jobs: expected 1 to" in capsys.readouterr().err
