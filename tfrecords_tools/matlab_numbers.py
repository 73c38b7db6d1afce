"""An array of numbers out of a MATLAB file (level 5), in this process and in milliseconds.

`matlab.load` reads everything, but SciPy in a process of its own takes half a second to start, as long as a thousand
photographs. Here every length is checked before anything is read, and nothing but the plainest form is taken: whatever
else a file holds, and all that is damaged, is left to `matlab.load`, which also says what is wrong with it.

Layout (MathWorks, "MAT-File Format"): a header of 128 bytes, then elements of type, length in bytes and data, filled up
to 8 bytes. An element of a variable holds four others: flags, shape, name and numbers.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HEADER = 128  # bytes
LEVEL_5 = b"\x00\x01IM"  # the header's end, where numbers are little-endian
MATRIX, COMPRESSED = 14, 15  # types of elements
INT8, INT32, UINT32 = 1, 5, 6
STORED = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
CLASSES = {6: "<f8", 7: "<f4", 8: "i1", 9: "u1", 10: "<i2", 11: "<u2", 12: "<i4", 13: "<u4", 14: "<i8", 15: "<u8"}
LARGEST = 256 << 20  # bytes of a file, and of what one of its variables is when it is not compressed


class _Other(Exception):
    """Not of the form that is read here."""


def load(path: Path, variable: str) -> np.ndarray | None:
    """A variable that is a real array of numbers, as `scipy.io.loadmat` gives it; None where `matlab.load` must look.

    Raises:
        OSError: the file cannot be read.
    """
    if path.stat().st_size > LARGEST:
        return None
    data = path.read_bytes()
    if len(data) < HEADER or data[HEADER - 4 : HEADER] != LEVEL_5:
        return None
    try:
        for kind, part in _elements(data[HEADER:]):
            found = _variable(_inflated(part) if kind == COMPRESSED else (kind, part), variable)
            if found is not None:
                return found
    except (_Other, zlib.error, struct.error):
        pass
    return None


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and data of every element. Compressed ones are not filled up."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        at += 8
        if kind >> 16:  # up to 4 bytes stand in the length's place
            kind, length, at = kind & 0xFFFF, kind >> 16, at - 4
            end = at + 4
        else:
            end = at + length + (0 if kind == COMPRESSED else -length % 8)
        if end > len(data) or at + length > end:
            raise _Other
        yield kind, data[at : at + length]
        at = end


def _inflated(data: bytes) -> tuple[int, bytes]:
    stream = zlib.decompressobj()
    found = stream.decompress(data, LARGEST)
    if not stream.eof or stream.unused_data:  # beyond the limit, cut short, or followed by something
        raise _Other
    (element,) = _all(_elements(found), 1)
    return element


def _variable(element: tuple[int, bytes], variable: str) -> np.ndarray | None:
    """The array, or None where this is another variable."""
    kind, data = element
    if kind != MATRIX:
        raise _Other
    parts = _elements(data)
    (flags_kind, flags), (shape_kind, shape), (name_kind, name) = (next(parts, (0, b"")) for _ in range(3))
    if (flags_kind, shape_kind, name_kind) != (UINT32, INT32, INT8) or len(flags) != 8:
        raise _Other
    if name != variable.encode():
        return None
    ((stored_kind, numbers),) = _all(parts, 1)
    dtype, stored, size = CLASSES.get(flags[0]), STORED.get(stored_kind), struct.unpack(f"<{len(shape) // 4}i", shape)
    if dtype is None or flags[1] or stored is None or not np.can_cast(stored, dtype):  # text, structs, complex, logical
        raise _Other
    if len(size) < 2 or min(size) < 0 or math.prod(size) * np.dtype(stored).itemsize != len(numbers):
        raise _Other
    return np.frombuffer(numbers, stored).astype(dtype).reshape(size, order="F")


def _all(elements: Iterator[tuple[int, bytes]], count: int) -> list[tuple[int, bytes]]:
    found = list(elements)
    if len(found) != count:
        raise _Other
    return found
