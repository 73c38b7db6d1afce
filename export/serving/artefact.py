"""What an export folder says of itself, and where in it the network lies that is served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.index import INDEX, read_index
from keras_mspose import geometry
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

FORMAT, FILE, WEB = "onnx", "model_float32", "web"


@dataclass(frozen=True)
class Artefact:
    """The network of an export.

    Attributes:
        folder: of the export.
        network: the ONNX file.
        name: what the model is called in addresses.
        input_size: (height, width) of its crops.
        skeleton: names and limbs of its keypoints.
        stride, sigma: of its heatmaps: crop pixels a heatmap pixel, and heatmap pixels.
        looks: at a photograph that comes without a box, as the SavedModel of the same export has them.
        flip: whether photographs are looked at mirrored too, likewise.
    """

    folder: Path
    network: Path
    name: str
    input_size: tuple[int, int]
    skeleton: Skeleton
    stride: int
    sigma: float
    looks: int
    flip: bool

    @property
    def page(self) -> Path | None:
        """Folder of the web page, where one was exported along."""
        return self.folder / WEB if (self.folder / WEB / "index.html").is_file() else None


def read(folder: Path) -> Artefact:
    """Read an export's index.

    Raises:
        MsposeError: no export, a damaged one, or one without a float32 ONNX network.
    """
    folder = Path(folder)
    said = read_index(folder)
    try:
        networks, (height, width) = said["formats"].get(FORMAT, {}), said["input_size"]
        if FILE not in networks:
            wanted = "`--format onnx` among the formats and float32 among the precisions"
            raise MsposeError(f"{folder}: has no {FORMAT}/{FILE}.onnx; export again with {wanted}")
        how = said.get("photographs", {})
        looks, flip = int(how.get("looks_without_box", geometry.LOOKS)), bool(how.get("flip_test", False))
        network, skeleton = folder / networks[FILE]["path"], Skeleton.from_dict(said["skeleton"])
        size, stride, sigma = (int(height), int(width)), int(said["stride"]), float(said["sigma"])
        return Artefact(folder, network, said["name"], size, skeleton, stride, sigma, looks, flip)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"{folder / INDEX}: damaged ({error!r}); export again") from error
