"""From an encoded photograph to the crop about a box, without TensorFlow: what `resample` does, by Pillow and NumPy.

The arithmetic is `resample`'s and `sampling`'s, in the same integers, so that equal pixels give equal crops. Boxes
stand upright, so that rows and columns are sampled one after the other.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from keras_mspose import geometry
from keras_mspose.crop_rule import BETWEEN_BITS, BLUR_BITS, FAR, FINEST, MARGIN, POSITION_BITS, RATIOS, WEIGHT_BITS
from keras_mspose.errors import MsposeError
from keras_mspose.image_files import FORMATS, TooLarge, open_image

IMAGE_WIDTH, IMAGE_LENGTH, ORIENTATION = 0x0100, 0x0101, 0x0112  # tags of EXIF and TIFF
TURNED = range(2, 9)  # its values for what is not upright as it is stored


class NotAnImage(MsposeError):
    """Bytes of no image format that is read."""


class Damaged(MsposeError):
    """An image that is cut short, or broken in the middle."""


class TooManyPixels(MsposeError):
    """An image that declares more pixels than are decoded."""


class Photograph:
    """An encoded photograph, of which no more is decoded than its crops need.

    Args:
        data: a file of one of `image_files.FORMATS`. Turned as its EXIF orientation says.
        name: of the file, for messages.

    Attributes:
        size: (width, height) in pixels, upright.
        name: as given.

    Raises:
        NotAnImage, TooManyPixels: seen by its header alone, before anything is decoded.
    """

    def __init__(self, data: bytes, name: str | None = None):
        self.name, self._data = name, data
        if not data:
            raise NotAnImage(self.named("an empty file"))
        try:
            with open_image(io.BytesIO(data)) as image:
                width, height = image.size
                if image.format == "TIFF":  # of which Pillow tells the size as shown
                    width, height = (image.tag_v2[tag] for tag in (IMAGE_WIDTH, IMAGE_LENGTH))
                turned = image.getexif().get(ORIENTATION, 1)
                # A reduced photograph that is then turned would have its half-filled blocks on the other side.
                self._reducible = image.format in ("JPEG", "MPO") and turned not in TURNED
        except TooLarge as error:
            raise TooManyPixels(self.named(str(error))) from error
        except Exception as error:  # Pillow's readers raise types of many kinds
            raise NotAnImage(self.named(f"not an image; expected {', '.join(FORMATS)}")) from error
        self.size: tuple[int, int] = (height, width) if turned in (5, 6, 7, 8) else (width, height)
        self._decoded: dict[int, np.ndarray] = {}

    @classmethod
    def of_pixels(cls, pixels: np.ndarray) -> Photograph:
        """A photograph that is decoded: (H, W, 3) uint8 RGB, upright. Shrunk crops average all of its pixels."""
        photograph = cls.__new__(cls)
        photograph.name, photograph.size = None, (pixels.shape[1], pixels.shape[0])
        photograph._data, photograph._reducible, photograph._decoded = b"", False, {1: pixels}
        return photograph

    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright, at full size; kept until `forget`.

        Raises:
            Damaged: the photograph cannot be decoded to its end.
        """
        return self._pixels(1)

    def crop(self, box: np.ndarray, crop_size: tuple[int, int]) -> np.ndarray:
        """Cut out what a square box shows.

        Args:
            box: (3,) centre x, centre y, side in pixels of the upright photograph.
            crop_size: (H, W).

        Returns:
            (H, W, 3) uint8 RGB; black beyond the photograph's border.

        Raises:
            Damaged: the photograph cannot be decoded to its end.
        """
        box = np.asarray(box, np.float32)
        matrix = geometry.crop_transform(box[:2], box[2], crop_size).astype(np.float32)
        step, mean, positions = _reduction(matrix)
        if not self._reducible:
            step, mean = 0, mean << step
        image = self._pixels(RATIOS[step])
        window, positions = _window(positions, crop_size, mean, np.array(image.shape[:2]))
        top, left, height, width = window
        seen = image[top : top + height, left : left + width]
        return _sample(_averaged(seen, mean) if mean > 1 else seen, positions, crop_size)

    def forget(self) -> None:
        """Drop what was decoded; a further crop decodes anew."""
        if self._data:
            self._decoded.clear()

    def named(self, reason: str) -> str:
        """A reason, behind the file's name where there is one."""
        return f"{self.name}: {reason}" if self.name else reason

    def _pixels(self, ratio: int) -> np.ndarray:
        """(ceil(H / ratio), ceil(W / ratio), 3) uint8, decoded once."""
        if ratio not in self._decoded:
            try:
                with open_image(io.BytesIO(self._data)) as image:
                    if ratio > 1:  # libjpeg's own reduction, to the nearest ratio that is no smaller than asked for
                        image.draft("RGB", tuple(max(side // ratio, 1) for side in image.size))
                    upright = image if self._reducible else ImageOps.exif_transpose(image)
                    self._decoded[ratio] = np.asarray(as_rgb(upright))
            except Exception as error:
                raise Damaged(self.named(f"not a whole image ({_words(error)})")) from error
        return self._decoded[ratio]


def as_rgb(image: Image.Image) -> Image.Image:
    """Any mode as 8 bits of red, green and blue; what is transparent shows the colours that are stored under it.

    Raises:
        ValueError: floating-point pixels, whose range nobody knows.
    """
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        grey = np.asarray(image)
        image = Image.fromarray((np.clip(grey, 0, 65535) >> 8).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _reduction(matrix: np.ndarray) -> tuple[int, int, np.ndarray]:
    """As `resample._reduction`: position in `RATIOS`, pixels to be averaged either way, and the transform (2, 3) from
    crop pixels to those of the reduced photograph."""
    scale = matrix[0, 0]
    area = scale * scale  # the same operations in the same order: half a bit here would be a grey level there
    largest = int(1 / np.sqrt(area) / np.float32(FINEST))
    step = sum(ratio <= largest for ratio in RATIOS[1:])
    mean = max(largest >> step, 1)
    reduced = np.float32(mean << step)
    back = scale / (area * reduced)
    shift = (1 / reduced - 1) / 2 - back * matrix[:, 2]
    return step, mean, np.array([[back, 0, shift[0]], [0, back, shift[1]]], np.float32)


def _window(
    positions: np.ndarray, crop_size: tuple[int, int], mean: int, whole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `resample._window`: y, x, height, width of what the crop shows, and `positions` in it."""
    middle = np.array([(edge - 1) / 2 for edge in crop_size[::-1]], np.float32)
    center = np.diag(positions) * middle + positions[:, 2]
    half = np.diag(positions) * middle
    edges = np.clip(np.stack([center - half, center + half]), -1e6, 1e6)
    edges = np.floor(edges).astype(int) + np.array([[-MARGIN], [2 + MARGIN]])
    first, behind = edges[:, ::-1] * mean
    first = np.clip(first, 0, (whole - 1) // mean * mean)
    behind = np.clip(behind, first + 1, whole)
    moved = positions.copy()
    moved[:, 2] -= (first // mean)[::-1].astype(np.float32)
    return np.concatenate([first, behind - first]), moved


def _averaged(image: np.ndarray, side: int) -> np.ndarray:
    """As `resample._averaged`: mean of each block of side x side pixels; the last pixels stand for those missing."""
    missing = [-length % side for length in image.shape[:2]]
    image = np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="edge")
    height, width = image.shape[0] // side, image.shape[1] // side
    rows = image.reshape(height, side, width * side, 3).sum(axis=1, dtype=np.int32)
    total = rows.reshape(height, width, side, 3).sum(axis=2)
    return ((total + side * side // 2) // (side * side)).astype(np.uint8)


def _sample(image: np.ndarray, positions: np.ndarray, crop_size: tuple[int, int]) -> np.ndarray:
    """As `sampling.sample`, for positions without a turn."""
    beside = max(1 - 1 / positions[0, 0], np.float32(0))
    weight = int(np.round(2**BLUR_BITS * beside / (1 + 2 * beside))) if min(image.shape[:2]) > 2 else 0
    height, width = image.shape[:2]
    border = 0
    if weight > 0:
        image, border = _smooth(image, weight), 1
    fixed = np.round(np.clip(positions, -FAR, FAR) * np.float32(2.0**POSITION_BITS)).astype(np.int32)
    rows = _taps(fixed[1, 1] * np.arange(crop_size[0]) + fixed[1, 2], height, border)
    columns = _taps(fixed[0, 0] * np.arange(crop_size[1]) + fixed[0, 2], width, border)
    lost, rest = WEIGHT_BITS - BETWEEN_BITS, WEIGHT_BITS + BETWEEN_BITS
    between = (sum(image[:, index] * weights[:, None] for index, weights in columns) + (1 << (lost - 1))) >> lost
    total = sum(between[index] * weights[:, None, None] for index, weights in rows)
    return ((total + (1 << (rest - 1))) >> rest).astype(np.uint8)


def _smooth(image: np.ndarray, weight: int) -> np.ndarray:
    """As `sampling._smooth`: the weighted mean with the eight neighbours, of all pixels that have them."""
    side, middle = np.uint16(weight), np.uint16(2**BLUR_BITS - 2 * weight)
    image = image.astype(np.uint16)
    rows = ((image[:, :-2] + image[:, 2:]) * side + image[:, 1:-1] * middle + np.uint16(8)) >> np.uint16(4)
    mean = (rows[:-2] + rows[2:]) * side + rows[1:-1] * middle
    return ((mean + np.uint16(128)) >> np.uint16(8)).astype(np.uint8)


def _taps(position: np.ndarray, length: int, border: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Index and weight of the pixel before each position and of the one behind it."""
    one = 1 << WEIGHT_BITS
    first = position >> POSITION_BITS
    share = (position >> (POSITION_BITS - WEIGHT_BITS)) & (one - 1)
    return [
        (
            np.clip(index, border, length - 1 - border) - border,
            np.where((index >= 0) & (index < length), weights, 0).astype(np.int32),
        )
        for index, weights in ((first, one - share), (first + 1, share))
    ]
