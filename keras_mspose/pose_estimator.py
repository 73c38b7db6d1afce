"""From photographs to poses, with a network in any form. The one interface in Python: `keras_mspose.PoseEstimator`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from PIL import Image, ImageOps

from keras_mspose import geometry, network, person_boxes
from keras_mspose import heatmaps as codec
from keras_mspose.crops import Photograph, as_rgb
from keras_mspose.errors import MsposeError
from keras_mspose.image_files import read_file
from keras_mspose.pose import BOX, COARSE_TO_FINE, Pose
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    from keras_mspose.detectors import Detector

    Picture = str | os.PathLike | bytes | np.ndarray | Image.Image

TOGETHER = 16  # photographs that are held decoded at a time, and crops that go through the network


class PoseEstimator:
    """A trained network, ready for photographs. Threads may call it side by side.

    Args:
        loaded: as `network.load` gives it; `PoseEstimator.load` is the usual way.
    """

    def __init__(self, loaded: network.Network):
        self.network = loaded

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 0) -> PoseEstimator:
        """Read a network.

        Args:
            path: run folder, `.keras` file, released name, exported folder, SavedModel folder, `.tflite` or `.onnx`
                file. TensorFlow is loaded for Keras files and SavedModels alone.
            threads: of one call, in onnxruntime and LiteRT; 0: one for each core.

        Raises:
            MsposeError: nothing of those forms, a damaged file, or an exported file whose skeleton is not to be found.
        """
        return cls(network.load(path, threads))

    @property
    def skeleton(self) -> Skeleton:
        """Names, limbs and sides of the keypoints."""
        return self.network.skeleton

    def __repr__(self) -> str:
        height, width = self.network.input_size
        return f"PoseEstimator({self.network.file}, {self.skeleton.name}, crops of {width} x {height})"

    @overload
    def predict(self, image: Picture, boxes: Any = None, **how: Any) -> list[Pose]: ...

    @overload
    def predict(self, image: Sequence[Picture], boxes: Any = None, **how: Any) -> list[list[Pose]]: ...

    def predict(
        self,
        image: Picture | Sequence[Picture],
        boxes: Any = None,
        *,
        looks: int | None = None,
        flip: bool = False,
        detector: Detector | None = None,
    ) -> list[Pose] | list[list[Pose]]:
        """Find persons.

        Args:
            image: path; bytes of an image file; (H, W, 3) uint8 RGB; Pillow image; or a list of such. Files and Pillow
                images are turned as their EXIF orientation says.
            boxes: rectangles (N, 4), x, y, width, height in pixels of the upright photograph (COCO's bbox), or squares
                (N, 3), centre x, centre y, side, which are looked at as they stand. None: one person, who is looked for
                from the whole photograph, coarse to fine. For a list of images a list of these.
            looks: passes over each person, each after the first over a box about what the one before it found. By
                default 1 where a box is given, and 3 (or what the export says) where none is.
            flip: average with the mirrored crop, at twice the time.
            detector: takes (H, W, 3) uint8 RGB and answers rectangles (N, 4), for photographs without boxes.

        Returns:
            The poses, one a box in their order, one where there was no box. For a list of images a list of these.

        Raises:
            MsposeError: a file is missing or not a whole image, an array has another shape or type, a box is no good,
                or a detector answers no rectangles.
        """
        if looks is not None and looks < 1:
            raise MsposeError(f"looks is {looks}, expected 1 or more")
        if not isinstance(image, (list, tuple)):
            return self._poses([image], [boxes], looks, flip, detector)[0]
        boxes = [None] * len(image) if boxes is None else boxes
        if len(boxes) != len(image):
            raise MsposeError(f"{len(boxes)} lists of boxes for {len(image)} images; give one, or None, for each")
        found: list[list[Pose]] = []
        for start in range(0, len(image), TOGETHER):
            part = slice(start, start + TOGETHER)
            found += self._poses(image[part], boxes[part], looks, flip, detector)
        return found

    def keypoints(self, crops: np.ndarray, *, flip: bool = False) -> np.ndarray:
        """What the network finds in crops.

        Args:
            crops: (B, H, W, 3) uint8 RGB of `network.input_size`.
            flip: average the heatmaps with those of the mirrored crops.

        Returns:
            (B, K, 3) x, y in crop pixels, score.
        """
        forward = self.network.forward
        maps = forward(crops)
        if flip:
            mirrored = forward(np.ascontiguousarray(crops[:, :, ::-1]))
            maps = codec.flip_mean(maps, mirrored, self.skeleton.flip_order)
        return codec.decode(np.asarray(maps, np.float32), self.network.stride, self.network.sigma)

    def look(self, photographs: Sequence[Photograph], squares: Sequence[np.ndarray], *, flip: bool = False) -> Any:
        """One pass over persons.

        Args:
            photographs: P, one for each person.
            squares: P x (3,) centre x, centre y, side, photograph pixels.

        Returns:
            (P, K, 3) x, y in photograph pixels, score.

        Raises:
            MsposeError: a photograph cannot be decoded to its end.
        """
        size = self.network.input_size
        crops = [photograph.crop(square, size) for photograph, square in zip(photographs, squares, strict=True)]
        found = np.concatenate(
            [self.keypoints(np.stack(crops[i : i + TOGETHER]), flip=flip) for i in range(0, len(crops), TOGETHER)]
        )
        for keypoints, square in zip(found, squares, strict=True):
            back = geometry.invert(geometry.crop_transform(square[:2], square[2], size))
            keypoints[:, :2] = geometry.apply(back, keypoints[:, :2])
        return found

    def _poses(
        self, images: Sequence[Any], boxes: Sequence[Any], looks: int | None, flip: bool, detector: Detector | None
    ) -> list[list[Pose]]:
        persons: list[_Person] = []
        for number, (image, given) in enumerate(zip(images, boxes, strict=True)):
            photograph = opened(image)
            if given is None and detector is not None:
                given = _detected(detector, photograph)
            if given is None:
                center, side = geometry.image_box(*np.float32(photograph.size))
                whole, often = np.float32([*center, side]), looks or self.network.looks
                persons.append(_Person(number, 0, photograph, whole, often, COARSE_TO_FINE))
                continue
            try:
                squares = person_boxes.squares(given, photograph.size)
            except MsposeError as error:
                raise MsposeError(photograph.named(str(error))) from error
            persons += [_Person(number, i, photograph, square, looks or 1, BOX) for i, square in enumerate(squares)]
        self._look_often(persons, flip)
        found: list[list[Pose]] = [[] for _ in images]
        for one in persons:
            found[one.image].append(one.pose(self.skeleton))
        return found

    def _look_often(self, persons: list[_Person], flip: bool) -> None:
        """As many passes as each person wants, those of all persons together."""
        for turn in range(max((one.looks for one in persons), default=0)):
            looking = [one for one in persons if turn < one.looks]
            for one in looking if turn else ():
                one.square = geometry.narrowed_box(one.keypoints, one.first)
            found = self.look([one.photograph for one in looking], [one.square for one in looking], flip=flip)
            for one, keypoints in zip(looking, found, strict=True):
                one.keypoints = keypoints


@dataclass
class _Person:
    """One who is being looked for."""

    image: int  # number of the photograph
    person: int
    photograph: Photograph
    first: np.ndarray
    looks: int
    found: str
    square: np.ndarray | None = None
    keypoints: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.square = self.first

    def pose(self, skeleton: Skeleton) -> Pose:
        box = tuple(float(v) for v in self.square)
        name = Path(self.photograph.name).name if self.photograph.name else None
        about = (skeleton, box, self.photograph.size, self.found, self.looks, name, self.person)
        return Pose(self.keypoints[:, :2], self.keypoints[:, 2], *about)


def _detected(detector: Detector, photograph: Photograph) -> np.ndarray:
    """(N, 4) rectangles."""
    answer = detector(photograph.pixels())
    try:
        boxes = np.asarray(answer, np.float64)
        good = not boxes.size or boxes.shape[-1:] == (4,)
    except (ValueError, TypeError, OverflowError):
        good = False
    if not good:
        name = getattr(detector, "__qualname__", type(detector).__qualname__)
        wanted = "expected rectangles (N, 4) x, y, width, height, (0, 4) where nobody is"
        raise MsposeError(photograph.named(f"the detector {name} answered {answer!r:.60}; {wanted}"))
    return boxes.reshape(-1, 4)


def opened(image: Picture | Photograph) -> Photograph:
    """A photograph, of whose file nothing is decoded yet.

    Raises:
        MsposeError: no such file, not an image, too large, or pixels of another shape or type.
    """
    if isinstance(image, Photograph):
        return image
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise MsposeError(f"image is {image.dtype} of shape {image.shape}, expected uint8 of (H, W, 3), RGB")
        return Photograph.of_pixels(image)
    if isinstance(image, Image.Image):
        try:
            return Photograph.of_pixels(np.asarray(as_rgb(ImageOps.exif_transpose(image))))
        except Exception as error:  # Pillow's decoders raise types of many kinds
            raise MsposeError(f"not a whole image ({error})") from error
    if isinstance(image, (bytes, bytearray, memoryview)):
        return Photograph(bytes(image))
    return Photograph(read_file(Path(image)), str(image))
