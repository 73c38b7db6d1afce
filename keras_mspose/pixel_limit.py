"""How large a photograph may be. Needs no TensorFlow."""

from __future__ import annotations

# A few hundred bytes can declare any size, and decoding asks for the memory first: 100 megapixels are 300 MB.
MAX_PIXELS = 100_000_000


def too_large(width: int, height: int) -> str | None:
    """Why a photograph of this declared size is not decoded, or None where it may be."""
    if width * height <= MAX_PIXELS:
        return None
    return f"declares {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels"
