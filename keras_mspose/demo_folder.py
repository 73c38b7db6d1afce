"""The folder that a demo works in: whose it is, what is done already, and how long that took. Loads no TensorFlow.

DIR/demo.json marks the folder as a demo's from the first moment on and grows with every stage; DIR/lock is held by the
process that works there.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from keras_mspose import run_folder
from keras_mspose.config import RunConfig, load_recipe
from keras_mspose.errors import MsposeError
from keras_mspose.report import clock
from keras_mspose.result_file import write_json

INDEX, FORMAT = "demo.json", "keras_mspose demo/1"
RECIPE = "synthetic_tiny"


class DemoFolder:
    """A demo's folder, held by one process at a time.

    Attributes:
        path: the folder.
        config: the recipe, with the demo's seed.
        figures: the content of demo.json.
        console: where progress is said.
    """

    def __init__(self, path: Path, config: RunConfig, figures: dict):
        self.path, self.config, self.figures = path, config, figures
        self.console = Console(soft_wrap=True, highlight=False)
        self.started = time.monotonic()
        self._held = ExitStack()

    @classmethod
    def claim(
        cls,
        path: Path,
        *,
        seed: int = 0,
        persons: int = 3000,
        val_persons: int = 300,
        changes: list[str] | None = None,
    ) -> DemoFolder:
        """Make the folder, or take up what an earlier call with the same settings left in it.

        Args:
            path: the folder.
            seed: of the persons, and of the training.
            persons, val_persons: how many to train on and to measure on.
            changes: to the recipe, such as `training.epochs=1`.

        Raises:
            MsposeError: the folder is not a demo's, or a demo's with other settings, is in use, or cannot be written.
        """
        config = load_recipe(RECIPE, [f"training.seed={seed}", *(changes or [])])
        settings = {"seed": seed, "persons": persons, "val_persons": val_persons, "recipe": config.to_dict()}
        figures = {"format": FORMAT, "settings": settings, "finished": False, "stages": {}}
        index = path / INDEX
        try:
            with ExitStack() as held:
                held.enter_context(run_folder.held(path, INDEX, "a demo", "work"))
                if index.is_file():
                    figures = _taken_up(index, settings)
                _sweep(path)
                folder = cls(path, config, figures)
                folder.save()
                folder._held = held.pop_all()
        except OSError as error:
            raise MsposeError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
        return folder

    def release(self) -> None:
        """Let another process, or another claim in this one, have the folder."""
        self._held.close()

    @property
    def data(self) -> Path:
        """The record folder."""
        return self.path / "data"

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.path / "run"

    @property
    def export(self) -> Path:
        """The folder of the exported formats."""
        return self.path / "export"

    def save(self) -> None:
        """Write demo.json, whole."""
        write_json(self.path / INDEX, self.figures)

    @contextmanager
    def stage(self, name: str, about: str) -> Iterator[dict]:
        """Say that a stage begins, time it, and keep its time in `figures["stages"]`.

        A stage that was stopped adds to its earlier time, unless its process was killed before it could write that
        down. A stage that is done again replaces it; one that sets `kept` leaves it.

        Args:
            name: the stage's key.
            about: one line for the person who watches.

        Yields:
            The stage's entry: set `note` to say something about it, `kept` to True if nothing was left to do.
        """
        before = self.figures["stages"].get(name, {"seconds": 0.0, "cpu_seconds": 0.0, "done": False, "note": ""})
        entry = {"note": "", "kept": False}
        self.console.print(f"[bold]{clock(time.monotonic() - self.started)}  {about}[/]")
        started, cpu = time.monotonic(), _cpu_seconds()
        try:
            yield entry
            entry["done"] = True
        finally:
            kept = entry.pop("kept")
            spent = {"seconds": time.monotonic() - started, "cpu_seconds": _cpu_seconds() - cpu}
            for key, value in spent.items():
                entry[key] = before[key] if kept else value + (0 if before["done"] else before[key])
            entry.setdefault("done", False)
            entry["note"] = entry["note"] or (before["note"] if kept else "")
            self.figures["stages"][name] = entry
            self.save()
        said = "kept from before" if kept else f"done in {clock(spent['seconds'])}"
        self.console.print(f"{clock(time.monotonic() - self.started)}  {name}: {said}")


def _taken_up(index: Path, settings: dict) -> dict:
    try:
        figures = json.loads(index.read_text(encoding="utf-8"))
        theirs = figures["settings"] if figures["format"] == FORMAT else None
    except (ValueError, KeyError, TypeError):
        theirs = None
    if theirs is None:
        raise MsposeError(f"{index}: not of a demo of this version; choose another --out")
    changed = sorted(key for key in settings if theirs.get(key) != settings[key])
    if changed:
        raise MsposeError(f"{index.parent}: holds a demo with another {', '.join(changed)}; choose another --out")
    return {**figures, "finished": False}


def _sweep(path: Path) -> None:
    """Remove what a killed process had half written. The lock says that it is nobody's."""
    for left in [*path.glob("*.partial-*"), *(path / "run").glob("*.partial-*")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended, over all cores."""
    return sum(os.times()[:4])
