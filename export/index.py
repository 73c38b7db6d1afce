"""`export.json`, the index of an export. Reading it loads no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

from keras_mspose.errors import MsposeError

INDEX = "export.json"
NETWORK = "network.keras"  # a copy of what was exported, for `mspose verify` to compare with


def read_index(folder: Path) -> dict:
    """What `folder/export.json` says.

    Raises:
        MsposeError: no such folder, no index in it, an index of an earlier version, or a file that it names is missing.
    """
    folder = Path(folder)
    path = folder / INDEX
    if not path.is_file():
        raise MsposeError(f"{folder}: not an export (no {INDEX} in it); make one with `mspose export`")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        named = [entry["path"] for entry in files(index)]
        missing = next((one for one in named if not (folder / one).exists()), None)
        _ = index["name"], index["input_size"], index["stride"], index["sigma"], index["skeleton"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"{path}: damaged, or of another version ({error!r}); export again") from error
    if missing is not None:
        raise MsposeError(f"{folder / missing}: named in {INDEX} but missing; export again")
    return index


def files(index: dict) -> list[dict]:
    """Every file's entry, with its `format` and `name`."""
    return [
        {"format": format, "name": name, **entry}
        for format, entries in index["formats"].items()
        for name, entry in entries.items()
    ]
