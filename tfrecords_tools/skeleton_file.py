"""A skeleton of one's own, from a YAML or JSON file."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from keras_mspose import yaml_text
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import SKELETONS, Skeleton

NAMES = ("skeleton.yaml", "skeleton.yml", "skeleton.json")
SUFFIXES = (".yaml", ".yml", ".json")
# a skeleton that refuses other keys and other types than its own, with all of them named
_Form = dataclass(Skeleton, frozen=True, config=ConfigDict(strict=True, extra="forbid"))


def load(path: Path) -> Skeleton:
    """Read a skeleton file, or take a skeleton that the package knows by its name, such as `coco17`.

    Raises:
        MsposeError: no such file, not YAML or JSON, or a key that is missing, unknown or of another form, all of them
            named.
    """
    if str(path) in SKELETONS:
        return SKELETONS[str(path)]
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        raise MsposeError(
            f"{path}: no such skeleton file; expected a file {', '.join(SUFFIXES)}, or one of {', '.join(SKELETONS)}"
        )
    try:
        data: Any = yaml_text.load(path.read_bytes())  # JSON is YAML too
    except (OSError, ValueError) as error:
        raise MsposeError(f"{path}: not readable as YAML or JSON: {error}") from error
    if not isinstance(data, dict):
        raise MsposeError(f"{path}: holds a {type(data).__name__}, expected keys such as name and keypoints")
    try:
        # as JSON, where a list may stand for a tuple; what JSON does not know becomes text, its keys too
        form = TypeAdapter(_Form).validate_json(json.dumps({str(k): v for k, v in data.items()}, default=str))
    except ValidationError as error:
        raise MsposeError(f"{path}: {'; '.join(_say(e) for e in error.errors())}") from error
    except (MsposeError, TypeError, ValueError, RecursionError) as error:
        raise MsposeError(f"{path}: {' '.join(str(error).split())}") from error
    if not all(form.keypoints):
        raise MsposeError(f"{path}: keypoints: a name is empty")
    return Skeleton(**{key: getattr(form, key) for key in Skeleton.__dataclass_fields__})


def _say(error: Any) -> str:
    key = ".".join(str(p) for p in error["loc"])
    if error["type"] == "missing":
        return f"no key `{key}`"
    if error["type"] == "unexpected_keyword_argument":
        near = difflib.get_close_matches(key, Skeleton.__dataclass_fields__, 1)
        return f"unknown key `{key}`" + (f", did you mean `{near[0]}`?" if near else "")
    return f"{key}: {error['msg']} (got {error['input']!r})"
