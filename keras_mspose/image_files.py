"""Which image files are read: their formats, and how large they may be. Needs no TensorFlow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from keras_mspose.errors import MsposeError

# A few hundred bytes can declare any size, and decoding asks for the memory first: 80 megapixels are 240 MB.
MAX_PIXELS = 80_000_000
MAX_BYTES = 1 << 29  # of a file: 80 megapixels of 16 bits, three colours, uncompressed
# Pillow opens more, by their content whatever the name; some of them by starting other programs. JPEG has MPO in it.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")

# above 89 megapixels, on standard error; here such files are refused
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class TooLarge(ValueError):
    """The image declares more than `MAX_PIXELS`."""


def read_file(path: Path) -> bytes:
    """An image file's bytes.

    Raises:
        MsposeError: missing, no file, not to be read, or larger than any photograph of `MAX_PIXELS`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise MsposeError(f"{path}: {why}") from error
    if len(data) > MAX_BYTES:
        raise MsposeError(f"{path}: larger than {MAX_BYTES >> 20} MB")
    return data


def open_image(file: Path | BinaryIO) -> Image.Image:
    """Open an image file; nothing is decoded yet.

    Raises:
        TooLarge: the image is larger than `MAX_PIXELS`.
        Exception: of many types, from Pillow: no image, of another format, or damaged.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise TooLarge(f"more than {MAX_PIXELS // 1_000_000} megapixels") from error
    if reason := too_large(*image.size):
        image.close()
        raise TooLarge(reason)
    return image


def too_large(width: int, height: int) -> str | None:
    """Why a photograph of this declared size is not decoded, or None where it may be."""
    if width * height <= MAX_PIXELS:
        return None
    return f"declares {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels"
