"""A skeleton of one's own, from a YAML or JSON file."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import SKELETONS, Skeleton

NAMES = ("skeleton.yaml", "skeleton.yml", "skeleton.json")
SUFFIXES = (".yaml", ".yml", ".json")
Name = Annotated[str, Field(min_length=1)]
Pair = tuple[Name, Name]


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class _Form:
    """The file's keys: those of `Skeleton`, of which only the first two must be there."""

    name: Name
    keypoints: Annotated[tuple[Name, ...], Field(min_length=1)]
    flip_pairs: tuple[Pair, ...] | None = None
    limbs: tuple[Pair, ...] | None = None
    groups: dict[str, tuple[Name, ...]] | None = None
    unscored: tuple[Name, ...] | None = None
    torso: Pair | None = None
    head: Pair | None = None


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
        data: Any = yaml.safe_load(path.read_bytes())  # JSON is YAML too
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise MsposeError(f"{path}: not readable as YAML or JSON: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise MsposeError(f"{path}: holds a {type(data).__name__}, expected keys such as name and keypoints")
    try:
        # as JSON, where a list may stand for a tuple; what JSON does not know becomes text, its keys too
        form = TypeAdapter(_Form).validate_json(json.dumps({str(k): v for k, v in data.items()}, default=str))
    except ValidationError as error:
        raise MsposeError(f"{path}: {'; '.join(_say(e) for e in error.errors())}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise MsposeError(f"{path}: {' '.join(str(error).split())}") from error
    given = {key: value for key in _Form.__dataclass_fields__ if (value := getattr(form, key)) is not None}
    try:
        return Skeleton(**given)
    except MsposeError as error:
        raise MsposeError(f"{path}: {error}") from error


def _say(error: Any) -> str:
    key = ".".join(str(p) for p in error["loc"])
    if error["type"] == "missing":
        return f"no key `{key}`"
    if error["type"] == "unexpected_keyword_argument":
        near = difflib.get_close_matches(key, _Form.__dataclass_fields__, 1)
        return f"unknown key `{key}`" + (f", did you mean `{near[0]}`?" if near else "")
    return f"{key}: {error['msg']} (got {error['input']!r})"
