"""What an export folder says of itself, and where in it the network lies that is served."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

INDEX, FORMAT, WEB = "export.json", "onnx", "web"


@dataclass(frozen=True)
class Artefact:
    """The network of an export.

    Attributes:
        folder: of the export.
        network: the ONNX file.
        name: what the model is called in addresses.
        input_size: (height, width) of its crops.
        skeleton: names and limbs of its keypoints.
    """

    folder: Path
    network: Path
    name: str
    input_size: tuple[int, int]
    skeleton: Skeleton

    @property
    def page(self) -> Path | None:
        """Folder of the web page, where one was exported along."""
        return self.folder / WEB if (self.folder / WEB / "index.html").is_file() else None


def read(folder: Path) -> Artefact:
    """Read an export's index.

    Raises:
        MsposeError: no export, a damaged one, or one without an ONNX network.
    """
    folder = Path(folder)
    index = folder / INDEX
    if not index.is_file():
        raise MsposeError(
            f"{folder}: not an export (no {INDEX} in it); make one with `mspose export RUN --out {folder}`"
        )
    try:
        said = json.loads(index.read_text(encoding="utf-8"))
        formats, (height, width) = said["formats"], said["input_size"]
        skeleton, name = Skeleton.from_dict(said["skeleton"]), Path(said["exported_from"]).stem
        if FORMAT not in formats:
            raise MsposeError(f"{folder}: has no ONNX network; export again with `--format {FORMAT}` among the formats")
        network = folder / formats[FORMAT]["path"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"{index}: damaged ({type(error).__name__}: {error}); export again") from error
    if not network.is_file():
        raise MsposeError(f"{network}: missing, though {INDEX} names it; export again")
    return Artefact(folder, network, name, (int(height), int(width)), skeleton)
