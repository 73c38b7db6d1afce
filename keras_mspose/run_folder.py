"""A run's folder: claimed once, and gone on with by the same run alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.result_file import write_json
from keras_mspose.saved_model import Facts

CONFIG = "config.json"
# What may differ when a run goes on: where it was made, how much of it is kept and shown, and what memory it takes, not
# how it is trained.
FREE = {"datasets", "versions.keras", "versions.tensorflow"} | {
    f"config.training.{key}" for key in ("checkpoint_steps", "keep_checkpoints", "images_every", "checkpoint_gradients")
}


def claim(out: Path, facts: Facts, sets: Sequence[RecordSet]) -> None:
    """Make the run folder, or see that it is the same run's, on data of the same names.

    `config.json` keeps the facts, the names of the data, all of each one's `dataset.json`, and the versions.

    Raises:
        MsposeError: the folder holds another run or something else, or its `config.json` is of another form.
    """
    names = [data.name for data in sets]
    mine = {
        **facts.to_dict(),
        "data": names[0] if len(names) == 1 else names,
        "datasets": [data.to_dict() for data in sets],
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }
    path = out / CONFIG
    if path.is_file():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        theirs |= Facts.from_dict(theirs, str(path)).to_dict()  # settings newer than the run get their defaults
        changed = _changed_keys(json.loads(json.dumps(theirs)), json.loads(json.dumps(mine)))
        changed -= FREE
        if changed:
            raise MsposeError(f"{out}: holds a run with another {', '.join(sorted(changed))}; choose another --out")
        return
    if out.exists() and any(out.iterdir()):
        raise MsposeError(f"{out}: not empty and not a run (no {CONFIG}); choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, mine)


def _changed_keys(a: dict, b: dict, prefix: str = "") -> set[str]:
    changed = set()
    for key in a.keys() | b.keys():
        x, y = a.get(key), b.get(key)
        if isinstance(x, dict) and isinstance(y, dict):
            changed |= _changed_keys(x, y, f"{prefix}{key}.")
        elif x != y:
            changed.add(prefix + key)
    return changed
