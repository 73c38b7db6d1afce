"""A run's folder: claimed once, gone on with by the same run alone, and held by one process at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.result_file import write_json
from keras_mspose.saved_model import Facts

CONFIG, LOCK = "config.json", "lock"
# What may differ when a run goes on: where it was made, how much of it is kept and shown, and what memory it takes, not
# how it is trained. Of the data sets `other_data` says what may.
FREE = {"datasets", "versions"} | {
    f"config.training.{key}" for key in ("checkpoint_steps", "keep_checkpoints", "images_every", "checkpoint_gradients")
}


@contextmanager
def claim(out: Path, facts: Facts, sets: Sequence[RecordSet]) -> Iterator[None]:
    """Make the run folder, or see that it is the same run's, on the same data; held until the block ends.

    `config.json` keeps the facts, the names of the data, all of each one's `dataset.json`, and the versions.

    Raises:
        MsposeError: the folder holds another run, one on other data or something else, another process trains there, or
            it or its `config.json` cannot be read or written.
    """
    path = out / CONFIG
    with held(out, CONFIG, "a run", "train"):
        names = [data.name for data in sets]
        mine = {
            **facts.to_dict(),
            "data": names[0] if len(names) == 1 else names,
            "datasets": [data.to_dict() for data in sets],
        }
        theirs = read(path)
        if theirs is None:
            write_json(path, {**mine, "versions": _versions()})
        else:
            theirs |= Facts.from_dict(theirs, str(path)).to_dict()  # settings newer than the run get their defaults
            changed = _changed_keys(json.loads(json.dumps(theirs)), json.loads(json.dumps(mine))) - FREE
            if changed:
                raise MsposeError(f"{out}: holds a run with another {', '.join(sorted(changed))}; choose another --out")
            splits = {facts.config.data.train_split, facts.config.data.val_split}
            if said := other_data(theirs.get("datasets", []), sets, splits):
                raise MsposeError(
                    f"{out}: holds a run on other data: {said}; give the --data it began with, or another --out"
                )
        yield


def read(path: Path) -> dict | None:
    """What a `config.json` or `ablation.json` says; None where there is none.

    Raises:
        MsposeError: it cannot be read, or is not as it was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise MsposeError(f"{path}: cannot be read ({error}); restore it, or choose another --out") from error
    if not isinstance(content, dict):
        raise MsposeError(f"{path}: expected an object, got {type(content).__name__}; restore it, or another --out")
    return content


@contextmanager
def held(folder: Path, index: str, what: str, doing: str) -> Iterator[None]:
    """Make a folder, or take one that is ours, and hold it until the block ends or this process does, however it ends.

    Args:
        index: the file in it by which it is known as ours.
        what: it is, such as "a run".
        doing: what a process that holds it does there, such as "train".

    Raises:
        MsposeError: the folder holds something else or cannot be made, or another process holds it.
    """
    try:
        if folder.exists() and not (folder / index).is_file() and any(f.name != LOCK for f in folder.iterdir()):
            raise MsposeError(f"{folder}: not empty and not {what} (no {index}); choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MsposeError(f"{folder}: no folder to {doing} in ({error.strerror}); choose another --out") from error
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise MsposeError(f"{folder}: another process {doing}s there; wait for it, or choose another --out") from None
    except (OSError, NotImplementedError) as error:
        # some network file systems know no locks; a folder that cannot be written says so at its first file
        print(f"warning: {folder}: cannot be locked ({error}); see that no other process {doing}s there")
    try:
        yield
    finally:
        lock.release()


def other_data(written: Sequence[dict], sets: Sequence[RecordSet], splits: Collection[str]) -> str:
    """How data sets differ from those that were written down; empty where they do not.

    Where they lie, how they were made and what was noted about them is free, as are splits that nobody reads.

    Args:
        written: `RecordSet.to_dict` of each; none where the file is from before they were kept.
        sets: as many, of the same names.
        splits: that are read.

    Raises:
        MsposeError: what was written is of another form.
    """
    try:
        for theirs, data in zip(written, sets, strict=False):
            before, now = theirs["skeleton"]["keypoints"], list(data.skeleton.keypoints)
            if before != now:
                return f"{data.folder} has the keypoints {', '.join(now)}, it had {', '.join(before)}"
            for split in sorted(splits):
                before, now = (one.get(split, {}) for one in (theirs["splits"], data.splits))
                counts = [one.get("persons", 0) for one in (now, before)]
                if counts[0] != counts[1]:
                    return f"{data.folder} has {counts[0]} persons in split {split!r}, it had {counts[1]}"
                sums = [[shard["sha256"] for shard in one.get("shards", [])] for one in (now, before)]
                if sums[0] != sums[1]:
                    return f"{data.folder} has other records in split {split!r}, by the checksums of its files"
    except (KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"what is written of the data is damaged ({error!r}); choose another --out") from error
    return ""


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def _changed_keys(a: dict, b: dict, prefix: str = "") -> set[str]:
    changed = set()
    for key in a.keys() | b.keys():
        x, y = a.get(key), b.get(key)
        if isinstance(x, dict) and isinstance(y, dict):
            changed |= _changed_keys(x, y, f"{prefix}{key}.")
        elif x != y:
            changed.add(prefix + key)
    return changed
