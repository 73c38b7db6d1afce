"""COCO's keypoint evaluation, by pycocotools: average precision over object keypoint similarity."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from keras_mspose.errors import MsposeError
from keras_mspose.person_boxes import ImageNames
from keras_mspose.prediction_file import FORMAT, Own, read_own
from keras_mspose.skeleton import COCO17

if TYPE_CHECKING:
    from pycocotools.coco import COCO

NAMES = ("AP", "AP50", "AP75", "AP medium", "AP large", "AR", "AR50", "AR75", "AR medium", "AR large")


def score_coco(results: Path, truth: Path) -> dict[str, float]:
    """Score COCO keypoint results. Only the images that the results name are counted, as pycocotools' own demo does
    for a part of a split; the whole split is scored where the results cover it.

    Args:
        results: list of `{"image_id", "category_id", "keypoints", "score"}`, or what `mspose evaluate --predictions`
            writes of COCO's 17 keypoints; a person's score is then the mean of its keypoints'.
        truth: `person_keypoints_*.json`.

    Returns:
        The ten figures of COCO's table by NAMES, in percent; NaN where nothing of the kind is labelled.

    Raises:
        MsposeError: a file is missing or of another form, or the results name an image that the truth does not have.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    for path in (results, truth):
        if not Path(path).is_file():
            raise MsposeError(f"{path}: no such file")
    read = _results(results)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools talks while it works
            labelled = COCO(str(truth))
            entries = read if isinstance(read, list) else _own_results(results, read, truth, labelled)
            images = {entry["image_id"] for entry in entries}
            unknown = images - set(labelled.getImgIds())
            if unknown:
                raise MsposeError(f"{results}: image_id {min(unknown)} is no image of {truth}; are they of one split?")
            evaluation = COCOeval(labelled, labelled.loadRes(entries), "keypoints")
            evaluation.params.imgIds = sorted(images)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    except MsposeError:
        raise
    except Exception as error:  # pycocotools asserts, indexes and raises as it comes upon things
        raise MsposeError(f"{truth}, {results}: not COCO keypoint files ({type(error).__name__}: {error})") from error
    return {n: float("nan") if v < 0 else 100 * float(v) for n, v in zip(NAMES, evaluation.stats, strict=True)}


def _own_results(path: Path, own: Own, truth: Path, labelled: COCO) -> list[dict]:
    """Our own form as COCO's results. Images are told by their names."""
    ids = {PurePath(image["file_name"]).as_posix(): number for number, image in labelled.imgs.items()}
    known = ImageNames(truth, ids)
    names = [known.of(PurePath(name)) for name in own.images]
    if None in names:
        raise MsposeError(f"{path}: {own.images[names.index(None)]} is no image of the truth; are they of one split?")
    return [
        {
            "image_id": ids[name],
            "category_id": 1,
            "keypoints": keypoints.ravel().tolist(),
            "score": float(keypoints[:, 2].mean()),
        }
        for name, keypoints in zip(names, own.predicted, strict=True)
    ]


def _results(path: Path) -> list[dict] | Own:
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise MsposeError(f"{path}: not JSON ({error})") from error
    if isinstance(entries, dict) and entries.get("format") == FORMAT:
        own = read_own(path)
        if own.skeleton.keypoints != COCO17.keypoints:
            raise MsposeError(f"{path}: is of {own.skeleton.name}, expected COCO's 17 keypoints")
        return own
    needed = ("image_id", "category_id", "keypoints", "score")
    if not isinstance(entries, list) or not entries:
        raise MsposeError(f"{path}: expected COCO results, a list of {', '.join(needed)}")
    for position, entry in enumerate(entries):
        lacking = [key for key in needed if not isinstance(entry, dict) or key not in entry]
        if lacking:
            raise MsposeError(f"{path}: entry {position}: no {', '.join(lacking)}; expected COCO results")
        if not isinstance(entry["keypoints"], list):
            raise MsposeError(f"{path}: entry {position}: keypoints is no list, expected 51 numbers")
        if len(entry["keypoints"]) != 51:
            raise MsposeError(f"{path}: entry {position}: {len(entry['keypoints'])} keypoint numbers, expected 51")
    return entries
