"""What `mspose predict` does: photographs, videos and webcams in; keypoints and drawn pictures out.

Photographs are independent of each other: as many threads as there are cores take one each through all of its stages,
so that decoding, network, drawing and writing overlap, and no more photographs are in memory than there are threads.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import Progress

from keras_mspose import __version__, detectors, network, photograph_work, prediction_results, video_work
from keras_mspose.box_text import parse_box
from keras_mspose.cores import own_cores
from keras_mspose.errors import MsposeError, NotWritten
from keras_mspose.person_boxes import BoxFile
from keras_mspose.photograph_work import PICTURES, Choices
from keras_mspose.pose_estimator import PoseEstimator
from keras_mspose.prediction_inputs import Input, listed
from keras_mspose.prediction_journal import Journal
from keras_mspose.video_work import Following


def predict_files(
    model: Path,
    given: Sequence[str | Path],
    out: Path,
    *,
    box: str | None = None,
    boxes: Path | None = None,
    detector: str | None = None,
    looks: int | None = None,
    flip: bool = False,
    smooth: bool = True,
    pictures: str = "png",
    frames: int | None = None,
    strict: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Find poses and write them.

    Args:
        model: see `network.load`.
        given: photographs, videos, folders, patterns, or numbers of webcams.
        out: folder of the results.
        box: `CX,CY,SIDE` or `X,Y,WIDTH,HEIGHT` in pixels, of every photograph, and of each video's first frame.
        boxes: file of the photographs' boxes, see `BoxFile`.
        detector: see `detectors.find`.
        looks, flip: see `PoseEstimator.predict`.
        smooth: a video's keypoints go through a One-Euro filter.
        pictures: `png`, `jpg`, or `none`: nothing is drawn, of videos neither.
        frames: of each video and webcam, at most.
        strict: stop at the first file that cannot be read; else it is left out, and its reason told at the end.
        workers: threads; None: one for each core.
        overwrite: begin anew where another command left unfinished results.

    Returns:
        Path of `keypoints.json`.

    Raises:
        MsposeError: no such model, nothing to read, bad boxes, an unreadable file with `strict`, none that is readable
            without, or results that cannot be written.
    """
    if sum(one is not None for one in (box, boxes, detector)) > 1:
        raise MsposeError("--box, --boxes and --detector exclude each other: give one")
    if pictures not in PICTURES:
        raise MsposeError(f"pictures is {pictures!r}, expected one of {', '.join(PICTURES)}")
    if any(number is not None and number < 1 for number in (looks, frames, workers)):
        raise MsposeError("--looks, --frames and --workers are numbers from 1 on")
    file = network.find(model)
    inputs = listed(given, out)
    by_file = BoxFile(boxes) if boxes is not None else None
    choices = Choices(_numbers(box), by_file, detectors.find(detector) if detector else None, looks, flip, pictures)
    if by_file is not None:
        _check_boxes(by_file, inputs)
    command = {
        **{"version": __version__, "network": _fingerprint(file), "box": box, "detector": detector, "looks": looks},
        **{"boxes": hashlib.sha256(boxes.read_bytes()).hexdigest() if boxes is not None else None, "flip": flip},
        **{"smooth": smooth, "pictures": pictures, "frames": frames},
    }
    photographs = sum(not one.moves for one in inputs)
    workers = min(workers or len(own_cores()), max(photographs, 1))
    # Side by side, photographs take a core each; a video's frames, one after the other, take them all.
    estimator = PoseEstimator.load(file, threads=1 if workers > 1 else 0)
    journal = Journal(out, command, overwrite=overwrite)
    whole = False
    try:
        run = _Run(estimator, journal, out, choices, Following(smooth, frames), strict)
        run.work(inputs, workers)
        written = run.write(inputs)
        whole = True
    finally:
        journal.close(whole=whole)
    return written


@dataclass(frozen=True)
class _Run:
    estimator: PoseEstimator
    journal: Journal
    out: Path
    choices: Choices
    following: Following
    strict: bool

    def work(self, inputs: list[Input], workers: int) -> None:
        """Do what is not done yet."""
        todo = [one for one in inputs if not self._is_done(one)]
        if len(todo) < len(inputs):
            print(f"going on: {len(inputs) - len(todo)} of {len(inputs)} are done", file=sys.stderr)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("predicting", total=len(inputs), completed=len(inputs) - len(todo))
            for _ in self._photographs([one for one in todo if not one.moves], workers):
                progress.advance(task)
            for one in todo:
                if one.moves:
                    self._video(one, progress)
                    progress.advance(task)

    def write(self, inputs: list[Input]) -> Path:
        """Write the results and say what they are.

        Raises:
            MsposeError: nothing could be read, or they cannot be written.
        """
        reasons = {one: reason for one in inputs if (reason := self.journal.reason(one)) is not None}
        for reason in reasons.values():
            print(f"skipped {reason}", file=sys.stderr)
        if len(reasons) == len(inputs):
            self.journal.path.unlink()  # there is nothing to go on with
            raise MsposeError(f"none of {len(inputs)} files could be read")

        def poses() -> Iterator[dict[str, Any]]:
            return chain.from_iterable(self.journal.poses(one) for one in inputs if one not in reasons)

        count = sum(1 for _ in poses())
        skipped = [{"image": str(one.source), "reason": reason} for one, reason in reasons.items()]
        path = prediction_results.write(self.out, self.estimator.skeleton, poses, skipped)
        print(f"{count} poses in {path}" + (f", {len(skipped)} of {len(inputs)} files skipped" if skipped else ""))
        return path

    def _is_done(self, one: Input) -> bool:
        if not self.journal.has(one):
            return False
        picture = self._picture(one)
        return picture is None or picture.exists() or self.journal.reason(one) is not None

    def _photographs(self, todo: list[Input], workers: int) -> Iterator[None]:
        with ThreadPoolExecutor(workers, "photograph") as pool:
            left = iter(todo)
            running: dict[Future, Input] = {}
            try:
                while True:
                    # One waits for each that is worked at, and has not been read yet.
                    for one in islice(left, 2 * workers - len(running)):
                        picture = self._picture(one)
                        work = pool.submit(
                            photograph_work.done, self.estimator, one.source, one.image, picture, self.choices
                        )
                        running[work] = one
                    if not running:
                        return
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for work in finished:
                        self._keep(running.pop(work), lambda work=work: [work.result()])
                        yield
            finally:
                for work in running:
                    work.cancel()

    def _video(self, one: Input, progress: Progress) -> None:
        task = progress.add_task(str(one.source), total=None)

        def tell(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        try:
            followed = video_work.followed(
                self.estimator, one.source, one.image, self._picture(one), self.choices, self.following, tell
            )
            self._keep(one, lambda: followed)
        finally:
            progress.remove_task(task)

    def _keep(self, one: Input, parts: Callable[[], Iterable[list[dict[str, Any]]]]) -> None:
        """Put what was found into the journal, or why there is nothing."""
        self.journal.begin(one)
        reason = None
        try:
            for poses in parts():
                self.journal.add(one, poses)
        except NotWritten:
            raise
        except (MsposeError, cv2.error) as error:
            reason = str(error)
            if isinstance(error, cv2.error):  # several lines, and no file
                reason = f"{one.source}: OpenCV failed ({' '.join(reason.split())})"
            if self.strict:
                raise MsposeError(reason) from error
            self.journal.begin(one)
        self.journal.end(one, reason)

    def _picture(self, one: Input) -> Path | None:
        if self.choices.pictures == "none":
            return None
        return self.out / f"{one.name}_pose.{'mp4' if one.moves else self.choices.pictures}"


def _check_boxes(boxes: BoxFile, inputs: list[Input]) -> None:
    """A box file that fits nothing is a mistake, and would end in no poses."""
    if any(one.moves for one in inputs):
        raise MsposeError("--boxes is for photographs; a video takes --box for its first frame, or --detector")
    # All of them, so that one which may be this or that image of the file is told before any work
    if all(found is None for found in [boxes.of(one.source) for one in inputs]):
        raise MsposeError(f"{boxes.path}: names none of the photographs, such as {inputs[0].source}")


def _numbers(box: str | None) -> tuple[float, ...] | None:
    numbers = parse_box(box)
    if numbers is not None and not all(size > 0 for size in numbers[2:]):
        raise MsposeError(f"--box {box}: its size must be above 0")  # once, and not for every photograph
    return numbers


def _fingerprint(file: Path) -> list[Any]:
    """Tells one network from another, and from the same file once it is written anew."""
    of = file / network.SAVED_MODEL if file.is_dir() else file
    return [str(file.resolve()), of.stat().st_size, of.stat().st_mtime_ns]
