"""What `mspose ablate` does: train every cell of a grid with every seed, measure, compare, draw. It goes on after a
stop.

OUT/ablation.json               what is being done, so that another ablation is not mixed into it
OUT/lock                        held by the process that works here
OUT/runs/CELL/seed-N/           one training each
OUT/runs/CELL/seed-N.log        what it said, where several are trained side by side
OUT/measured/CELL/seed-N.npz    how far off it is, once it is measured; without `runs` the same command goes on as well
OUT/results.json, .md, fig4.png all that is known so far, written again after every run
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console

from keras_mspose import run_folder
from keras_mspose.ablation import Ablation, Cell
from keras_mspose.ablation_figure import draw
from keras_mspose.ablation_jobs import Run, side_by_side, train_and_measure
from keras_mspose.ablation_progress import RunsProgress
from keras_mspose.ablation_report import PLATEAU, markdown, show
from keras_mspose.comparison import LEVEL, compare_seeds, interval_of_seeds
from keras_mspose.config import from_dict
from keras_mspose.distance_file import read_distances
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import THRESHOLDS, accuracy
from keras_mspose.records import METRICS, RecordSet
from keras_mspose.result_file import write_json, write_picture, write_text

INDEX, RESULTS, PAGE, FIGURE = "ablation.json", "results.json", "results.md", "fig4.png"


def ablate(
    ablation: Ablation,
    data: RecordSet,
    out: Path,
    *,
    flip: bool = True,
    devices: list[str] | None = None,
    jobs: int = 1,
) -> dict:
    """Train and measure what is missing, then compare neighbouring cells.

    All cells are trained with the first seed before any is with the second, so that a whole figure stands early. The
    network of the last epoch is measured: choosing the best epoch would be by the persons that are measured.

    Args:
        data: the record folder; measured on its validation split.
        out: folder of the ablation; made if missing.
        flip: measure with the flip test.
        devices: see `training.train`.
        jobs: runs trained side by side; see `ablation_jobs.side_by_side`.

    Returns:
        The content of `results.json`, see `results`.

    Raises:
        MsposeError: `out` holds another ablation or something else, another process works there, or what
            `training.train` refuses.
        Interrupted: as `training.train`; the same call goes on.
    """
    with _claim(out, ablation, data, flip):
        return _ablate(ablation, data, out, flip, devices, jobs)


def _ablate(ablation: Ablation, data: RecordSet, out: Path, flip: bool, devices: list[str] | None, jobs: int) -> dict:
    console = Console()
    missing = []
    for seed in ablation.seeds:
        for cell in ablation.cells:
            config = replace(cell.config, training=replace(cell.config.training, seed=seed))
            run = Run(config, data.folder, out / "runs" / cell.name / f"seed-{seed}", _measured(out, cell, seed), flip)
            if not run.measured.is_file():
                missing.append(run)
    total = len(ablation.seeds) * len(ablation.cells)
    done = total - len(missing)
    if done:
        console.print(f"{out}: {done} of {total} runs are done already", highlight=False, soft_wrap=True)
    found = None
    if jobs == 1:
        for number, run in enumerate(missing, done + 1):
            console.print(f"\nrun {number}/{total}: {run.name}", highlight=False)
            train_and_measure(run, devices)
            found = _write(ablation, out)
    else:
        with RunsProgress(missing) as progress:
            for number, run in enumerate(side_by_side(missing, jobs, devices, progress.show), done + 1):
                found = _write(ablation, out)
                console.print(f"run {number}/{total}: {run.name}: {_reached(found, run):.2f}", highlight=False)
    found = found or _write(ablation, out)
    show(found)
    console.print(f"written: {out / RESULTS}, {out / PAGE}, {out / FIGURE}", highlight=False, soft_wrap=True)
    return found


def results(ablation: Ablation, out: Path) -> dict:
    """What the finished runs say.

    Returns:
        `cells`: of each its `values`, the mean accuracy by `seeds`, and the interval from `low` to `high` about their
        mean over seeds and persons; `differences`: of each grid `key` and pair of
        neighbouring values, all else equal, over the seeds that both have (see `comparison.SeedDifference`), and
        `tells`: whether both are off the plateau, so that the difference says something; `effects`: the same of a key
        and pair of values, over all `pairs` of cells that differ in it alone.
    """
    distances: dict[str, dict[int, np.ndarray]] = {}
    cells, metric, skeleton = [], "pck", None
    for cell in ablation.cells:
        of_seeds = {}
        for seed in ablation.seeds:
            file = _measured(out, cell, seed)
            if file.is_file():
                of_seeds[seed], metric, skeleton = read_distances(file)
        distances[cell.name] = of_seeds
        found = {seed: accuracy(one, skeleton, metric).mean for seed, one in of_seeds.items()}
        about = {"name": cell.name, "values": cell.values, "seeds": found}
        if of_seeds:
            each = np.stack(list(of_seeds.values()))
            about["low"], about["high"] = interval_of_seeds(each, skeleton, THRESHOLDS[metric])
        cells.append(about)
    reached = {cell["name"]: min(cell["seeds"].values(), default=0.0) for cell in cells}

    def compared(pairs: list[tuple[Cell, Cell]]) -> dict | None:
        seeds = [seed for seed in ablation.seeds if all(seed in distances[way.name] for pair in pairs for way in pair)]
        if not seeds:
            return None
        ways = [
            np.stack([[distances[way.name][seed] for seed in seeds] for way in side])
            for side in zip(*pairs, strict=True)
        ]
        found = compare_seeds(*ways, skeleton, THRESHOLDS[metric])
        tells = min(reached[way.name] for pair in pairs for way in pair) >= PLATEAU
        return {"seeds": seeds, "tells": tells, **found.to_dict()}

    differences, effects = [], []
    for key, values in ablation.grid.items():
        for before, after in pairwise(values):
            pairs = [pair for pair in ablation.neighbours(key) if pair[0].values[key] == before]
            about = {"key": key, "from": before, "to": after}
            for a, b in pairs:
                rest = {k: v for k, v in a.values.items() if k != key}
                found = compared([(a, b)])
                differences += [{**about, "at": rest, **found}] if found else []
            found = compared(pairs) if len(pairs) > 1 else None
            effects += [{**about, "pairs": len(pairs), **found}] if found else []
    name = f"{METRICS[metric]}@{THRESHOLDS[metric]:g}"
    about = {"metric": name, "grid": ablation.grid, "level": LEVEL}
    return {**about, "cells": cells, "differences": differences, "effects": effects}


def _reached(found: dict, run: Run) -> float:
    cell = next(cell for cell in found["cells"] if cell["name"] == run.folder.parent.name)
    return cell["seeds"][run.config.training.seed]


def _measured(out: Path, cell: Cell, seed: int) -> Path:
    return out / "measured" / cell.name / f"seed-{seed}.npz"


@contextmanager
def _claim(out: Path, ablation: Ablation, data: RecordSet, flip: bool) -> Iterator[None]:
    """As `run_folder.claim` does for a run."""
    cells = {cell.name: cell.config.to_dict() for cell in ablation.cells}
    mine = json.loads(json.dumps({"data": data.name, "flip": flip, "grid": ablation.grid, "cells": cells}))
    path = out / INDEX
    with run_folder.held(out, INDEX, "an ablation", "work"):
        theirs = run_folder.read(path)
        if theirs is None:
            write_json(path, {**mine, "datasets": [data.to_dict()]})
        else:
            known = theirs.get("cells", {})  # settings newer than the ablation get their defaults
            theirs["cells"] = {name: from_dict(cell, str(path)).to_dict() for name, cell in known.items()}
            changed = [key for key in mine if theirs.get(key) != mine[key]]
            if changed:
                raise MsposeError(f"{out}: holds an ablation with another {', '.join(changed)}; choose another --out")
            about = [cell.config.data for cell in ablation.cells]
            splits = {name for one in about for name in (one.train_split, one.val_split)}
            if said := run_folder.other_data(theirs.get("datasets", []), [data], splits):
                raise MsposeError(
                    f"{out}: holds an ablation on other data: {said}; give the --data it began with, or another --out"
                )
        yield


def _write(ablation: Ablation, out: Path) -> dict:
    found = results(ablation, out)
    write_json(out / RESULTS, found)
    write_text(out / PAGE, markdown(found, FIGURE))
    write_picture(out / FIGURE, draw(found))
    return found
