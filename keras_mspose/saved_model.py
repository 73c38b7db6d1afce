"""Trained networks on disk: `.keras` files that carry their own facts, and run folders that hold them.

A `.keras` file is a zip archive. Beside Keras's own members it keeps `mspose.json`: the skeleton and how the network
was trained, so that one file is enough to evaluate, predict and export. Keras itself reads past it.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_mspose.config import RunConfig, from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    import keras

FACTS_NAME = "mspose.json"
WEIGHTS = Path(__file__).parent / "weights"
BEST, LAST = "best.keras", "last.keras"


@dataclass(frozen=True)
class Facts:
    """What a network does not know of itself: the skeleton, the data set's metric, and the run's configuration."""

    skeleton: Skeleton
    metric: str
    config: RunConfig

    def to_dict(self) -> dict:
        """JSON-ready form."""
        return {"skeleton": self.skeleton.to_dict(), "metric": self.metric, "config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, data: dict, where: str) -> Facts:
        """The inverse of `to_dict`.

        Raises:
            MsposeError: a section is missing or wrong.
        """
        try:
            skeleton, metric = Skeleton.from_dict(data["skeleton"]), data["metric"]
            return cls(skeleton, metric, from_dict(data["config"], where))
        except (KeyError, TypeError) as error:
            raise MsposeError(f"{where}: {error} is missing; train again with this version") from error


def save(model: keras.Model, path: Path, facts: Facts) -> None:
    """Write a network with its facts to a `.keras` file: beside it first, then renamed over it."""
    import keras

    partial = path.with_name(f"{path.stem}.partial-{os.getpid()}.keras")
    try:
        # The same layers in a network that is not compiled: Keras writes the optimizer along, twice the weights' size.
        keras.Model(model.inputs[0], model.output, name=model.name).save(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr(FACTS_NAME, json.dumps(facts.to_dict(), indent=1))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def released() -> dict[str, Path]:
    """The networks that the package ships, by name."""
    return {file.stem: file for file in sorted(WEIGHTS.glob("*.keras"))}


def find(path: str | Path) -> Path:
    """The `.keras` file that a run folder, a path or a released name means: a run's best network, else its last.

    Raises:
        MsposeError: neither a `.keras` file, nor a run folder that holds one, nor a released name.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".keras":
        return path
    if not path.exists():
        if str(path) in released():
            return released()[str(path)]
        raise MsposeError(
            f"{path}: no such file or folder; expected a run folder, a .keras file, or a released network: "
            f"{', '.join(released())}"
        )
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise MsposeError(f"{path}: not a run (no {BEST} or {LAST} in it); make one with `mspose train`")


def facts(path: str | Path) -> Facts:
    """Read what a network's file says of itself, without loading TensorFlow; arguments and errors as `load`'s."""
    file = find(path)
    try:
        with zipfile.ZipFile(file) as archive:
            if broken := archive.testzip():  # Keras would stop in the middle of it, with a traceback
                raise zipfile.BadZipFile(f"its part {broken} is not as written")
            said = json.loads(archive.read(FACTS_NAME))
    except KeyError as error:
        raise MsposeError(
            f"{file}: a .keras file without {FACTS_NAME}; expected one that `mspose train` wrote"
        ) from error
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise MsposeError(f"{file}: damaged or not a .keras file ({error}); copy it again") from error
    return Facts.from_dict(said, str(file))


def load(path: str | Path) -> tuple[keras.Model, Facts]:
    """Read a network and its facts from a run folder or a `.keras` file.

    Raises:
        MsposeError: no such run, a damaged file, or a `.keras` file that this package did not write.
    """
    file, read = find(path), facts(path)
    import keras

    import keras_mspose.layers  # noqa: F401  its classes are what Keras looks for

    try:
        return keras.saving.load_model(file, compile=False), read
    except Exception as error:  # Keras raises types of many kinds for what another version wrote
        reason = " ".join(str(error).split())
        raise MsposeError(f"{file}: Keras {keras.__version__} cannot read it ({reason})") from error
