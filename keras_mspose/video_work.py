"""What `mspose predict` does with one video or webcam: read, follow the person, draw, write, frame by frame."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from keras_mspose.photograph_work import Choices
from keras_mspose.pose_estimator import PoseEstimator
from keras_mspose.tracking import Tracker
from keras_mspose.video import Video, VideoWriter

PART = 100  # frames whose poses are held at a time


@dataclass(frozen=True)
class Following:
    """Attributes: `smooth`, keypoints go through a One-Euro filter; `frames`, at most, None for all."""

    smooth: bool = True
    frames: int | None = None


def followed(
    estimator: PoseEstimator,
    source: Path | int,
    name: str,
    picture: Path | None,
    choices: Choices,
    following: Following,
    tell: Callable[[int, int | None], None],
) -> Iterator[list[dict[str, Any]]]:
    """The person of every frame that has one.

    Args:
        source: path of a video, or number of a webcam, which runs until Ctrl-C.
        name: of it in the results.
        picture: mp4 file to write with the poses drawn, None for none.
        tell: is told how many frames are done, and of how many where that is known.

    Returns:
        Poses as `Pose.to_dict` has them, some frames' at a time.

    Raises:
        MsposeError: it cannot be opened, has no frame that can be read, or the file cannot be written.
    """
    video = Video(source)
    total = min((n for n in (video.frames, following.frames) if n), default=None)
    how = {"looks": choices.looks, "flip": choices.flip, "detector": choices.detector, "smooth": following.smooth}
    tracker = Tracker(estimator, first=choices.box, **how)
    part: list[dict[str, Any]] = []
    with (
        VideoWriter(picture, video.rate, video.size) if picture is not None else nullcontext() as writer,
        _ctrl_c(video.live) as stopped,
    ):
        for number, (seconds, image) in enumerate(video):
            pose = tracker.find(image, seconds)
            if writer is not None:
                writer.add(np.copy if pose is None else pose.draw, image)
            if pose is not None:
                part.append(replace(pose, image=name, frame=number).to_dict())
            if len(part) == PART:
                yield part
                part = []
            tell(number + 1, total)
            if stopped.is_set() or number + 1 == following.frames:
                break
    yield part


@contextmanager
def _ctrl_c(live: bool) -> Iterator[Event]:
    """Set by Ctrl-C, which ends a webcam as the last frame ends a file; a file it stops, as everything else."""
    stopped = Event()
    if not live:
        yield stopped
        return
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
