"""From a photograph on disk to keypoints in its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import ImageOps

from keras_mspose import geometry, resample, saved_model, visualization
from keras_mspose import heatmaps as codec
from keras_mspose.errors import MsposeError
from keras_mspose.image_files import open_image
from keras_mspose.layers import STRIDE
from keras_mspose.model import inference_model
from keras_mspose.result_file import write_json
from keras_mspose.skeleton import Skeleton


@dataclass(frozen=True)
class Pose:
    """One person found.

    Attributes:
        image: path of the photograph.
        size: (width, height) of the photograph in pixels.
        keypoints: (K, 3) x, y in photograph pixels, and score.
        box: (centre x, centre y, side) of the square that the network looked at, photograph pixels.
    """

    image: Path
    size: tuple[int, int]
    keypoints: np.ndarray
    box: tuple[float, float, float]

    def to_dict(self, skeleton: Skeleton) -> dict:
        """JSON-ready form."""
        named = zip(skeleton.keypoints, self.keypoints.tolist(), strict=True)
        return {
            "image": self.image.name,
            "width": self.size[0],
            "height": self.size[1],
            "box": dict(zip(("x", "y", "side"), self.box, strict=True)),
            "keypoints": [{"name": n, "x": x, "y": y, "score": score} for n, (x, y, score) in named],
        }


class Predictor:
    """A trained network, ready for photographs.

    Args:
        path: run folder or `.keras` file.

    Raises:
        MsposeError: no such run, or a damaged file.
    """

    def __init__(self, path: str | Path):
        model, self.facts = saved_model.load(path)
        network, sigma = inference_model(model), self.facts.config.training.sigma
        self._forward = tf.function(lambda crops: codec.decode(network(crops, training=False), STRIDE, sigma))

    def predict(
        self, path: str | Path, box: tuple[float, float, float] | None = None, *, looks: int | None = None
    ) -> Pose:
        """Find the keypoints of one person.

        Args:
            path: photograph in a format of `image_files.FORMATS`; turned as its EXIF orientation says.
            box: (centre x, centre y, side) square about the person in photograph pixels; the whole image where None.
            looks: passes, each after the first over a box about what the one before it found. By default 3 where no
                box is given, and 1 where one is: it is taken as it stands.

        Raises:
            MsposeError: the file is missing or not a whole image.
        """
        path = Path(path)
        image = read_photograph(path)
        height, width = image.shape[:2]
        if box is None:
            center, side = geometry.image_box(np.float32(width), np.float32(height))
            box, looks = (float(center[0]), float(center[1]), float(side)), looks or geometry.LOOKS
        first = np.float32(box)
        keypoints = self._look(image, first)
        for _ in range((looks or 1) - 1):
            box = tuple(float(v) for v in geometry.narrowed_box(keypoints, first))
            keypoints = self._look(image, np.float32(box))
        return Pose(path, (width, height), keypoints, box)

    def _look(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """(K, 3) keypoints in photograph pixels, and scores, seen in a square (3,) of the photograph."""
        size = self.facts.config.model.input_size
        matrix = geometry.crop_transform(box[:2], box[2], size)
        keypoints = self._forward(resample.crop_from_pixels(image, matrix, size)[None])[0].numpy()
        keypoints[:, :2] = geometry.apply(geometry.invert(matrix), keypoints[:, :2])
        return keypoints


def read_photograph(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, upright.

    Raises:
        MsposeError: missing, not an image, too large, or cut short.
    """
    try:
        with open_image(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise MsposeError(f"{path}: no such file") from error
    except Exception as error:  # Pillow's decoders raise types of many kinds
        why = " ".join(str(error).split()) or type(error).__name__
        raise MsposeError(f"{path}: not a whole image ({why})") from error


def write_poses(poses: list[Pose], skeleton: Skeleton, out: Path) -> Path:
    """Write `keypoints.json` and, for each photograph, a picture with the skeleton drawn.

    Returns:
        Path of the JSON file.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MsposeError(f"{out}: cannot be made ({error.strerror})") from error
    taken: set[str] = set()
    for pose in poses:
        drawn = visualization.draw_pose(read_photograph(pose.image), pose.keypoints, skeleton, person_size=pose.box[2])
        name, number = pose.image.stem, 1
        while name in taken:  # folders may hold photographs of one name, and a.jpg may lie beside a.png
            number += 1
            name = f"{pose.image.stem}_{number}"
        taken.add(name)
        visualization.save_png(out / f"{name}_pose.png", drawn)
    path = out / "keypoints.json"
    write_json(path, {"skeleton": skeleton.to_dict(), "poses": [p.to_dict(skeleton) for p in poses]})
    return path
