"""One TFRecord file, written without TensorFlow: the same bytes that its writer makes.

A record is its length in 8 bytes, that length's checksum, the record, its checksum: little-endian, and the checksums
are CRC-32C, turned by 15 bits and moved by a constant.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from types import TracebackType

import google_crc32c


class RecordFile:
    """A TFRecord file that is being written; a context, which closes it."""

    def __init__(self, path: Path) -> None:
        self._file, self._digest = path.open("wb", 1 << 18), hashlib.sha256()

    def write(self, record: bytes) -> None:
        """Append one record.

        Raises:
            OSError: it cannot be written.
        """
        length = struct.pack("<Q", len(record))
        for part in (length + _checksum(length), record, _checksum(record)):
            self._file.write(part)
            self._digest.update(part)

    def sha256(self) -> str:
        """SHA-256 of all that was written, as hexadecimal digits."""
        return self._digest.hexdigest()

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _checksum(data: bytes) -> bytes:
    found = google_crc32c.value(data)
    return struct.pack("<I", ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)
