"""The files of `mspose predict`: keypoints.json, coco_results.json and keypoints.csv, written pose by pose."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from keras_mspose.pose import COLUMNS, Pose
from keras_mspose.result_file import write_lines
from keras_mspose.skeleton import Skeleton

KEYPOINTS, COCO, CSV = "keypoints.json", "coco_results.json", "keypoints.csv"


def write(
    out: Path, skeleton: Skeleton, poses: Callable[[], Iterable[dict[str, Any]]], skipped: list[dict[str, str]]
) -> Path:
    """Write the three files, each beside its name first. No more than a pose is held in memory.

    Args:
        out: folder to write into.
        poses: what answers, as often as it is asked, all poses in the form of `Pose.to_dict`.
        skipped: `{"image", "reason"}` of each file that could not be read.

    Returns:
        Path of keypoints.json.

    Raises:
        MsposeError: a file cannot be written.
    """
    write_lines(out / KEYPOINTS, _keypoints(skeleton, poses(), skipped))
    write_lines(out / COCO, _list(json.dumps(_coco(Pose.from_dict(one, skeleton))) for one in poses()))
    write_lines(out / CSV, _csv(Pose.from_dict(one, skeleton) for one in poses()))
    return out / KEYPOINTS


def _coco(pose: Pose) -> dict[str, Any]:
    # A photograph that is called by its path has a namesake, whose number is the same.
    return pose.to_coco(pose.image if "/" in (pose.image or "") else None)


def _keypoints(skeleton: Skeleton, poses: Iterable[dict[str, Any]], skipped: list[dict[str, str]]) -> Iterator[str]:
    yield '{"skeleton": ' + json.dumps(skeleton.to_dict()) + ","
    yield '"skipped": ' + json.dumps(skipped) + ","
    lines = _list(json.dumps(one) for one in poses)
    yield '"poses": ' + next(lines)
    yield from lines
    yield "}"


def _list(entries: Iterable[str]) -> Iterator[str]:
    """Lines of a JSON list, an entry a line."""
    before = None
    yield "["
    for entry in entries:
        if before is not None:
            yield before + ","
        before = entry
    if before is not None:
        yield before
    yield "]"


def _csv(poses: Iterable[Pose]) -> Iterator[str]:
    yield ",".join(COLUMNS)
    for pose in poses:
        lines = io.StringIO()
        csv.DictWriter(lines, COLUMNS, lineterminator="\n").writerows(pose.rows())
        yield lines.getvalue().removesuffix("\n")
