"""An ablation file: its grid, its equal budgets, and what is refused."""

from pathlib import Path

import pytest

from keras_mspose import ablation
from keras_mspose.errors import MsposeError

PLAIN = """
recipe: lsp_small
set: {training.epochs: 7}
grid:
  model.stacks: [1, 2]
  model.scales: [[1], [1, 2], [1, 2, 4]]
seeds: [0, 1]
quick:
  set: {training.steps_per_epoch: 3}
  grid: {model.scales: [[1]]}
  seeds: [5]
"""


def _file(folder: Path, text: str) -> str:
    path = folder / "grid.yaml"
    path.write_text(text)
    return str(path)


def test_every_combination_once_with_one_budget(tmp_path: Path) -> None:
    found = ablation.load(_file(tmp_path, PLAIN), changes=["training.batch_size=8"])
    shapes = [(cell.config.model.stacks, cell.config.model.scales) for cell in found.cells]
    assert shapes == [(s, scales) for s in (1, 2) for scales in ((1,), (1, 2), (1, 2, 4))]
    budgets = {(c.config.training.epochs, c.config.training.batch_size, c.config.training.decay) for c in found.cells}
    assert budgets == {(7, 8, "cosine")}
    assert found.cells[-1].name == "stacks-2_scales-1.2.4" and len({c.name for c in found.cells}) == 6


def test_neighbours_differ_in_one_setting_by_one_step(tmp_path: Path) -> None:
    found = ablation.load(_file(tmp_path, PLAIN))
    stacks = [(a.name, b.name) for a, b in found.neighbours("model.stacks")]
    assert stacks == [(f"stacks-1_scales-{s}", f"stacks-2_scales-{s}") for s in ("1", "1.2", "1.2.4")]
    scales = [(a.values["model.scales"], b.values["model.scales"]) for a, b in found.neighbours("model.scales")]
    assert scales == [([1], [1, 2]), ([1, 2], [1, 2, 4])] * 2


def test_a_cell_of_several_settings_is_a_folder_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    grid = "data.augment: [{scale: 0.25, flip: 0.5}, {scale: 0, flip: 0.5}]"
    file.write_text(f"recipe: lsp_small\ngrid:\n  {grid}\nseeds: [0]\n")
    names = [cell.name for cell in ablation.load(str(file)).cells]
    assert names == ["augment-scale=0.25+flip=0.5", "augment-scale=0+flip=0.5"]


def test_quick_changes_the_budget_alone_where_it_says_so(tmp_path: Path) -> None:
    quick = ablation.load(_file(tmp_path, PLAIN), quick=True)
    assert quick.seeds == [5] and [cell.name for cell in quick.cells] == ["stacks-1_scales-1", "stacks-2_scales-1"]
    assert quick.cells[0].config.training.steps_per_epoch == 3 and quick.cells[0].config.training.epochs == 7


@pytest.mark.parametrize("name", ablation.names())
def test_shipped_ablations_load(name: str) -> None:
    for quick in (False, True):
        found = ablation.load(name, quick=quick)
        assert len(found.cells) >= 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seeds: [0, 1]", "seeds: [0, 0]"), "seeds: expected a list of values, none twice"),
        (("model.stacks: [1, 2]", "model.stacks: 2"), "model.stacks: expected a list"),
        (("model.stacks: [1, 2]", "training.start_from: [a b, a-b]"), "would have the same folder"),
        (("model.stacks: [1, 2]", "model.stakcs: [1, 2]"), "stakcs: unknown key"),
        (("model.stacks: [1, 2]", "model.stacks: [1, none]"), "model.stacks"),
        (("recipe: lsp_small", "recipe: nothing"), "no recipe 'nothing'"),
        (("seeds: [0, 1]", "seeds: [a]"), "seeds: expected whole numbers from 0; got ['a']"),
        (("seeds: [0, 1]", "seeds: [true, -1]"), "seeds: expected whole numbers from 0"),
        (("model.stacks: [1, 2]", "model.stacks: [1, 2020-01-01]"), "date is not JSON serializable; put it in quotes"),
        (("seeds: [0, 1]", "seed: [0, 1]"), "expected the keys recipe, grid and seeds"),
        (("grid:\n  model", "grid: {}\nx:\n  model"), "expected the keys"),
        (("model.scales: [[1], [1, 2], [1, 2, 4]]", "model.scales: []"), "model.scales: expected a list"),
    ],
)
def test_bad_files_are_named(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    text = PLAIN.replace(*change)
    assert text != PLAIN
    with pytest.raises(MsposeError, match=r"grid\.yaml") as error:
        ablation.load(_file(tmp_path, text))
    assert said in str(error.value)


def test_no_such_ablation() -> None:
    with pytest.raises(MsposeError, match="shipped are paper_lsp"):
        ablation.load("nothing")
