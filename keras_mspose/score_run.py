"""What `mspose score` does: score predictions that anyone made, by the rules asked for. Loads no TensorFlow."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_mspose import occlusion, oks, tables
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import accuracy, normalised_distances
from keras_mspose.prediction_file import read_own, read_predictions
from keras_mspose.protocols import PROTOCOLS, Score, score
from keras_mspose.result_file import check_writable, write_json
from keras_mspose.skeleton import MPII16
from keras_mspose.truth_file import Truth, read_truth

SAME = 1.0  # pixels that a person's joints of the visibility file may be from the truth's
OTHERS = 0.01  # share of persons of whom one file corrects a joint that the other has; more are other persons
console = Console()


def score_file(
    predictions: Path,
    truth: Path | None = None,
    *,
    protocol: str = "mpii",
    all_protocols: bool = False,
    threshold: float = 0.5,
    first_pixel: int | None = None,
    visibility: np.ndarray | None = None,
    json_path: Path | None = None,
) -> dict[str, Any]:
    """Score a file of predictions and print the table.

    Args:
        predictions: see `prediction_file`; COCO results with a COCO annotation as truth.
        truth: `detections_our_format.mat`, or COCO's `person_keypoints_*.json`; None where the predictions are in our
            own form, which holds the truth: they are scored by their data set's metric.
        protocol: a name among PROTOCOLS, for PCKh.
        all_protocols: show all of them side by side.
        threshold: in head sizes.
        first_pixel: from where the predictions count pixels, where it is not what their form says.
        visibility: (P, 16, 3) keypoints of the same persons in order, x, y, visibility, for the occlusion experiment.
        json_path: where the figures are written at full precision.

    Returns:
        What is written as JSON.

    Raises:
        MsposeError: a file that is missing or of another form, or persons that are not the same.
    """
    check_writable(json_path)
    if truth is None:
        report: dict[str, Any] = _score_own(predictions)
    elif Path(truth).suffix.lower() == ".json":
        report = {"metric": "OKS AP", **oks.score_coco(predictions, truth)}
        _print_coco(report, predictions)
    else:
        labelled = read_truth(truth)
        found = read_predictions(predictions, *labelled.keypoints.shape[:2], first_pixel=first_pixel)
        distances = normalised_distances(found, labelled.keypoints, labelled.head_size)
        scores = {p: score(distances, MPII16, p, threshold) for p in (PROTOCOLS if all_protocols else [protocol])}
        for one in scores.values():
            _print_score(one, predictions)
        report = scores[protocol].to_dict()
        if all_protocols:
            report["protocols"] = {name: one.to_dict() for name, one in scores.items()}
            _print_protocols(scores)
        if visibility is not None:
            report["occlusion"] = _occlusion(distances, labelled, visibility)
    if json_path is not None:
        write_json(json_path, _without_nan(report))
    return report


def _score_own(path: Path) -> dict[str, Any]:
    if Path(path).suffix.lower() != ".json":
        raise MsposeError(f"{path}: holds no truth; give --truth detections_our_format.mat")
    own = read_own(path)
    distances = normalised_distances(own.predicted, own.truth, own.reference)
    found = accuracy(distances, own.skeleton, own.metric)
    tables.print_accuracy(found, str(path))
    report = found.to_dict()
    if (own.truth[..., 2] == 1).any():
        split = occlusion.by_visibility(distances, own.truth[..., 2], own.skeleton, own.metric)
        tables.print_occlusion(split, own.skeleton)
        report["occlusion"] = {kind: one.to_dict() for kind, one in split.items()}
    return report


def _occlusion(distances: np.ndarray, truth: Truth, visibility: np.ndarray) -> dict[str, Any]:
    if visibility.shape != truth.keypoints.shape:
        raise MsposeError(
            f"the visibility file has {len(visibility)} validation persons, the truth {len(truth.keypoints)}; "
            "they must be the same, in order"
        )
    both = (visibility[..., 2] > 0) & (truth.keypoints[..., 2] > 0)
    apart = np.where(both, np.linalg.norm(visibility[..., :2] - truth.keypoints[..., :2], axis=-1), 0)
    others = np.flatnonzero(apart.max(axis=1) > SAME)
    if len(others) > OTHERS * len(apart):
        raise MsposeError(
            f"{len(others)} of the visibility file's {len(apart)} persons are others than the truth's, first person "
            f"{others[0] + 1}; is the order the same?"
        )
    found = occlusion.by_visibility(distances, visibility[..., 2], MPII16, "pckh")
    tables.print_occlusion(found, MPII16)
    return {kind: one.to_dict() for kind, one in found.items()}


def _print_score(found: Score, predictions: Path) -> None:
    title = f"{predictions}, protocol {found.protocol}: {PROTOCOLS[found.protocol].rules}"
    tables.print_accuracy(found.accuracy, title)
    figures = f"PCKh@0.1 {found.at_tenth:.2f}; area under the curve {found.auc:.2f}"
    console.print(f"mean by {found.protocol}: {found.mean:.2f}; {figures}")


def _print_protocols(scores: dict[str, Score]) -> None:
    table = Table("protocol", "Head", "quoted mean", "unweighted", "pooled", "PCKh@0.1", 'its "0.1"')
    for name, one in scores.items():
        found = one.accuracy
        values = (found.groups["Head"], one.mean, found.mean, found.weighted_mean, one.at_tenth, one.called_tenth)
        table.add_row(name, *(f"{v:.2f}" for v in values))
    console.print(table)
    for name in scores:
        console.print(f"{name}: {PROTOCOLS[name].rules}")


def _print_coco(report: dict[str, Any], predictions: Path) -> None:
    table = Table("OKS", "%", title=str(predictions), title_justify="left")
    for name in oks.NAMES:
        table.add_row(name, "-" if math.isnan(report[name]) else f"{report[name]:.2f}")
    console.print(table)


def _without_nan(report: Any) -> Any:
    """NaN is no JSON."""
    return json.loads(json.dumps(report), parse_constant=lambda _: None)
