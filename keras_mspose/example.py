"""A `tf.train.Example` as bytes, without TensorFlow: those of protobuf's deterministic form.

Protobuf's wire format: a field is a tag (number * 8 + 2) and what it holds behind its length; a length, and an integer,
is 7 bits a byte, the lowest first, the top bit set on all but the last.

    Example   1: Features    Features  1: one (1: name, 2: Feature) a feature, sorted, `ab` before `a`
    Feature   1: BytesList (1: the bytes)   2: FloatList (1: float32s)   3: Int64List (1: varints)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache

import numpy as np

BYTES, FLOATS, INTEGERS = 1, 2, 3
_ONE_BYTE = [bytes((value,)) for value in range(128)]


def serialised(features: Mapping[str, bytes | list[int] | tuple[float, ...] | np.ndarray]) -> bytes:
    """Serialise features: `bytes` as one string, a list as int64, a tuple or an array, row by row, as float32.

    Raises:
        OverflowError: an integer of more than 64 bits, or a number in a tuple that float32 does not reach.
    """
    parts: list[bytes] = []
    total = 0
    for name in _in_order(tuple(features)):
        values = features[name]
        if isinstance(values, bytes):
            kind, content = BYTES, values
        elif isinstance(values, list):
            kind, content = INTEGERS, b"".join(map(_varint, values))
        elif isinstance(values, tuple):
            kind, content = FLOATS, struct.pack(f"<{len(values)}f", *values)
        else:
            kind, content = FLOATS, values.astype("<f4").tobytes()
        # a list without numbers is no field at all, a string without bytes is one
        value = _head(1, len(content)) if content or kind == BYTES else b""
        size = len(value) + len(content)
        in_kind = _head(kind, size)
        size += len(in_kind)
        key = _key(name)
        in_feature = _head(2, size)
        size += len(in_feature) + len(key)
        entry = _head(1, size)
        total += len(entry) + size
        # the photograph is copied once, here, however deep it lies
        parts += (entry, key, in_feature, in_kind, value, content)
    return b"".join((_head(1, total), *parts))


@cache
def _in_order(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: name.encode() + b"\xff")


@cache
def _key(name: str) -> bytes:
    return _head(1, len(name.encode())) + name.encode()


def _head(number: int, length: int) -> bytes:
    return _ONE_BYTE[number << 3 | 2] + _varint(length)


def _varint(value: int) -> bytes:
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"{value} has more than 64 bits")
    value &= 2**64 - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
