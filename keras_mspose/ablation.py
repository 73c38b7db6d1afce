"""An ablation: one recipe, some of its settings varied over a grid, every combination trained with the same seeds.

The file is YAML:

    recipe: lsp_small                # a shipped recipe, or a file beside this one
    set:                             # changes to it that every run has
      training.epochs: 20
    grid:                            # what is varied: recipe keys and their values, the plainest first
      model.stacks: [1, 2]
      model.scales: [[1], [1, 2], [1, 2, 4]]
      model.regression: [false, true]
    seeds: [0, 1, 2]
    quick:                           # what --quick changes besides: a look whether it all works
      set: {training.epochs: 2}
      seeds: [0]

Budgets are equal by construction: all runs have the recipe's epochs, batch, data and schedule.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from keras_mspose import config, yaml_text
from keras_mspose.config import RunConfig
from keras_mspose.errors import MsposeError

KEYS = {"recipe", "set", "grid", "seeds", "quick"}
PACKAGE = "keras_mspose.ablations"


@dataclass(frozen=True)
class Cell:
    """One combination of the grid.

    Attributes:
        values: by recipe key, in the grid's order.
        config: the recipe with them, its seed aside.
    """

    values: dict[str, Any]
    config: RunConfig

    @property
    def name(self) -> str:
        """A folder name, such as `stacks-2_scales-1.2_regression-true`."""
        return "_".join(f"{key.rpartition('.')[2]}-{_plain(value)}" for key, value in self.values.items())


@dataclass(frozen=True)
class Ablation:
    """A checked ablation file.

    Attributes:
        grid: values by recipe key.
        cells: every combination, the last key varying fastest.
        seeds: that each is trained with.
    """

    grid: dict[str, list]
    cells: list[Cell]
    seeds: list[int]

    def neighbours(self, key: str) -> list[tuple[Cell, Cell]]:
        """Pairs of cells that differ in `key` alone, by one place in its list: the earlier value first."""
        places = [tuple(self.grid[k].index(cell.values[k]) for k in self.grid) for cell in self.cells]
        axis = list(self.grid).index(key)
        by_place = dict(zip(places, self.cells, strict=True))
        after = [(*place[:axis], place[axis] + 1, *place[axis + 1 :]) for place in places]
        return [(by_place[a], by_place[b]) for a, b in zip(places, after, strict=True) if b in by_place]


def names() -> list[str]:
    """Ablations that the package ships."""
    return sorted(p.name.removesuffix(".yaml") for p in resources.files(PACKAGE).iterdir() if p.name.endswith(".yaml"))


def load(name: str, *, quick: bool = False, changes: list[str] | None = None) -> Ablation:
    """Read an ablation by its shipped name or its path.

    Args:
        quick: apply the file's section `quick`.
        changes: such as `training.epochs=2`, for every run.

    Raises:
        MsposeError: no such file, not YAML, an unknown key, an empty or repeating list, values whose names are alike,
            or a setting that a recipe refuses.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml", ".json"):
        if not path.is_file():
            raise MsposeError(f"{path}: no such ablation file")
        text = path.read_bytes()
    elif name in names():
        text = (resources.files(PACKAGE) / f"{name}.yaml").read_bytes()
    else:
        raise MsposeError(f"no ablation {name!r}; shipped are {', '.join(names())}, or give a .yaml file")
    try:
        content = yaml_text.load(text)
    except ValueError as error:
        raise MsposeError(f"{name}: not YAML: {error}") from error
    if not isinstance(content, dict) or set(content) - KEYS or not {"recipe", "grid", "seeds"} <= set(content):
        raise MsposeError(f"{name}: expected the keys recipe, grid and seeds, and perhaps set and quick")
    if quick:
        content = _quickened(content, name)
    grid, seeds = content["grid"], content["seeds"]
    if not isinstance(grid, dict) or not grid:
        raise MsposeError(f"{name}: grid: expected recipe keys, each with a list of values")
    for key, values in {**grid, "seeds": seeds}.items():
        if not isinstance(values, list) or not values or any(values.count(value) > 1 for value in values):
            raise MsposeError(f"{name}: {key}: expected a list of values, none twice; got {values!r}")
    if any(type(seed) is not int or seed < 0 for seed in seeds):
        raise MsposeError(f"{name}: seeds: expected whole numbers from 0; got {seeds!r}")
    recipe = str(content["recipe"])
    if path.is_file() and recipe.endswith((".yaml", ".yml", ".json")):
        recipe = str(path.parent / recipe)
    common = _assignments(content.get("set") or {}, f"{name}: set") + (changes or [])
    cells = []
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        try:
            recipe_config = config.load_recipe(recipe, common + _assignments(values, f"{name}: grid"))
        except MsposeError as error:
            raise MsposeError(f"{name}: {error}") from error
        cells.append(Cell(values, recipe_config))
    if len({cell.name for cell in cells}) < len(cells):
        raise MsposeError(f"{name}: grid: two values of a key would have the same folder; write them differently")
    return Ablation(grid, cells, seeds)


def _quickened(content: dict, name: str) -> dict:
    quick = content.get("quick")
    if not isinstance(quick, dict) or set(quick) - {"set", "grid", "seeds"}:
        raise MsposeError(f"{name}: quick: expected set, grid or seeds, which --quick is to change")
    together = {key: {**(content.get(key) or {}), **(quick.get(key) or {})} for key in ("set", "grid")}
    return {**content, **together, "seeds": quick.get("seeds", content["seeds"])}


def _assignments(values: Any, where: str) -> list[str]:
    if not isinstance(values, dict):
        raise MsposeError(f"{where}: expected recipe keys with values, such as training.epochs: 20")
    try:
        return [f"{key}={json.dumps(value)}" for key, value in values.items()]
    except TypeError as error:  # YAML also knows dates
        raise MsposeError(f"{where}: numbers, text, lists and sections alone: {error}; put it in quotes") from error


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ".".join(_plain(one) for one in value)
    if isinstance(value, dict):
        return "+".join(f"{_plain(key)}={_plain(one)}" for key, one in value.items())
    return re.sub(r"[^a-z0-9_.-]", "-", str(value).lower())
