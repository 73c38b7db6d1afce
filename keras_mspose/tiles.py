"""Pictures side by side with captions, as one picture. Needs no TensorFlow."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_mspose.errors import MsposeError

CAPTION = 18  # pixels below a tile
GAP = 4  # pixels between tiles
PAPER, INK = 255, (30, 30, 30)
SIZE = 12  # of the letters, pixels
DOTS = "…"

Tile = tuple[np.ndarray, str]


def contact_sheet(tiles: list[Tile], columns: int) -> np.ndarray:
    """Images in rows, each column as wide as the widest and each row as high as its highest image, captions below, cut
    where the column ends.

    Args:
        tiles: ((H, W, 3) uint8 RGB, caption); sizes may differ.
        columns: tiles a row.

    Returns:
        uint8 RGB on white.

    Raises:
        MsposeError: no tiles, fewer than 1 column, or an image of another shape or type.
    """
    if not tiles or columns < 1:
        raise MsposeError(f"a contact sheet needs a tile and a column, got {len(tiles)} and {columns}")
    return grid([tiles[start : start + columns] for start in range(0, len(tiles), columns)])


def grid(rows: list[list[Tile]]) -> np.ndarray:
    """As `contact_sheet`, rows as given: they may differ in length, and what a row lacks stays white."""
    tiles = [tile for row in rows for tile in row]
    if not tiles or not all(rows):
        raise MsposeError("a grid needs a tile in every row")
    width = max(checked(image).shape[1] for image, _ in tiles)
    columns = max(len(row) for row in rows)
    parts = [np.full((GAP, columns * (width + GAP) + GAP, 3), PAPER, np.uint8)]
    for row in rows:
        height = max(image.shape[0] for image, _ in row) + CAPTION
        line = np.full((height + GAP, columns * (width + GAP) + GAP, 3), PAPER, np.uint8)
        for place, (image, caption) in enumerate(row):
            (h, w), x = image.shape[:2], GAP + place * (width + GAP)
            line[:h, x : x + w] = image
            line[h : h + CAPTION, x : x + width] = words(caption, width)
        parts.append(line)
    return np.concatenate(parts, axis=0)


def words(text: str, width: int, height: int = CAPTION) -> np.ndarray:
    """A line of text: (height, width, 3) uint8 RGB on white, cut by an ellipsis where it is too long."""
    strip = Image.new("RGB", (width, height), (PAPER,) * 3)
    font = _font()
    line = " ".join(text.split())
    while line and font.getlength(line) > width - 2:
        line = line[: -len(DOTS) - 1] + DOTS if line.endswith(DOTS) else line[:-1] + DOTS
        if line == DOTS:
            break
    ImageDraw.Draw(strip).text((1, height / 2), line, font=font, fill=INK, anchor="lm")
    return np.asarray(strip)


def checked(image: np.ndarray) -> np.ndarray:
    """The image, contiguous.

    Raises:
        MsposeError: it is not (H, W, 3) uint8.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise MsposeError(f"image is {image.dtype} of shape {image.shape}, expected uint8 of (H, W, 3)")
    return np.ascontiguousarray(image)


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib  # it brings a font that has the letters of photographs' names, which OpenCV's and Pillow's lack

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", SIZE)
