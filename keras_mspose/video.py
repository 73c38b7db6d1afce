"""Video files and webcams through OpenCV: frames in, frames out. Reading and writing go on beside the work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keras_mspose.errors import MsposeError, NotWritten
from keras_mspose.image_files import too_large

FRAMES_A_SECOND = 25.0  # where a source does not say


class Video:
    """The frames of a video file or webcam.

    Args:
        source: path of a file, or number of a webcam.

    Attributes:
        rate: frames a second.
        frames: how many a file says that it has; 0 where it does not, and for a webcam.
        size: (width, height).

    Raises:
        MsposeError: it cannot be opened, or its frames are too large.
    """

    def __init__(self, source: Path | int):
        self.live = isinstance(source, int)
        self.name = f"webcam {source}" if self.live else str(source)
        if not self.live and not Path(source).is_file():
            raise MsposeError(f"{source}: no such file")
        self._capture = cv2.VideoCapture(source if self.live else str(source))
        if not self._capture.isOpened():
            raise MsposeError(f"{self.name}: " + ("no such camera" if self.live else "not a video that OpenCV reads"))
        rate, count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate = rate if 0 < rate <= 1000 else FRAMES_A_SECOND
        self.frames = int(count) if 0 < count < 1e9 and not self.live else 0
        self.size = tuple(int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if reason := too_large(*self.size):
            self._capture.release()
            raise MsposeError(f"{self.name}: {reason}")

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds from the start, and (H, W, 3) uint8 RGB, turned as the file says; one frame is read ahead.

        Raises:
            MsposeError: not one frame can be read.
        """
        with ThreadPoolExecutor(1, "reading") as reader:
            try:
                started, number = time.monotonic(), 0
                coming = reader.submit(self._capture.read)
                while True:
                    whole, frame = coming.result()
                    if not whole:
                        break
                    coming = reader.submit(self._capture.read)
                    seconds = time.monotonic() - started if self.live else number / self.rate
                    yield seconds, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                    number += 1
                if not number:
                    raise MsposeError(f"{self.name}: not one frame can be read")
            finally:
                coming.cancel()
                reader.submit(self._capture.release)


class VideoWriter:
    """An mp4 file that stands under its name once it is whole. One frame is drawn and written beside the work.

    Args:
        path: of the file.
        rate: frames a second.
        size: (width, height) of every frame.

    Raises:
        MsposeError: it cannot be written.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]):
        self.path = path
        self._partial = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
        self._size = tuple(edge // 2 * 2 for edge in size)  # its halved colours need even sizes
        self._writer = cv2.VideoWriter(str(self._partial), cv2.VideoWriter.fourcc(*"mp4v"), rate, self._size)
        if not self._writer.isOpened():
            raise NotWritten(f"{path}: cannot be written by OpenCV")
        self._pool = ThreadPoolExecutor(1, "writing")
        self._before: Future | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def add(self, make: Callable[..., np.ndarray], *arguments: Any) -> None:
        """Write the (H, W, 3) uint8 RGB that `make(*arguments)` answers, once the frame before it is written."""
        if self._before is not None:
            self._before.result()
        self._before = self._pool.submit(self._add, make, arguments)

    def _add(self, make: Callable[..., np.ndarray], arguments: tuple) -> None:
        width, height = self._size
        self._writer.write(cv2.cvtColor(make(*arguments)[:height, :width], cv2.COLOR_RGB2BGR))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        whole = False
        try:
            if self._before is not None:
                self._before.result()
            whole = kind is None
        finally:
            self._pool.shutdown()
            self._writer.release()
            if whole and self._partial.exists():
                os.replace(self._partial, self.path)
            else:
                self._partial.unlink(missing_ok=True)
