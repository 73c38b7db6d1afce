"""What `mspose score` does: score predictions that anyone made, by the rules asked for. Loads no TensorFlow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_mspose import occlusion, oks, tables
from keras_mspose.errors import MsposeError
from keras_mspose.metrics import METRICS, accuracy, normalised_distances, reference_between
from keras_mspose.prediction_file import Own, read_own
from keras_mspose.protocols import PROTOCOLS, Score, score
from keras_mspose.published_file import read_predictions
from keras_mspose.result_file import check_writable, write_json
from keras_mspose.skeleton import MPII16, Skeleton
from keras_mspose.truth_file import Truth, read_truth

SAME = 1.0  # pixels that a person's joints of the visibility file may be from the truth's
SHIFT = 0.25  # pixels from a whole one that a shift of all predictions may be, to be taken for a matter of counting
OTHERS = 0.01  # share of persons of whom one file corrects a joint that the other has; more are other persons
console = Console()


def score_file(
    predictions: Path,
    truth: Path | None = None,
    *,
    protocol: str | None = None,
    all_protocols: bool = False,
    threshold: float | None = None,
    first_pixel: int | None = None,
    between: tuple[str, str] | None = None,
    visibility: np.ndarray | None = None,
    json_path: Path | None = None,
) -> dict[str, Any]:
    """Score a file of predictions and print the table.

    Args:
        predictions: see `published_file`; COCO results with a COCO annotation as truth.
        truth: `detections_our_format.mat`, or COCO's `person_keypoints_*.json`; None where the predictions are in our
            own form, which holds the truth: they are scored by their data set's metric.
        protocol: a name among PROTOCOLS, for PCKh; `mpii` where None.
        all_protocols: show all of them side by side.
        threshold: in reference lengths; the metric's usual one where None.
        first_pixel: from where the predictions count pixels, where it is not what their form says.
        between: PCK over the distance of these two keypoints instead, for predictions in our own form.
        visibility: (P, 16, 3) keypoints of the same persons in order, x, y, visibility, for the occlusion experiment.
        json_path: where the figures are written at full precision.

    Returns:
        What is written as JSON.

    Raises:
        MsposeError: a file that is missing or of another form, persons that are not the same, or an option that does
            not go with the files.
    """
    check_writable(json_path)
    coco = truth is not None and Path(truth).suffix.lower() == ".json"
    if threshold is not None and not threshold > 0:
        raise MsposeError(f"--threshold {threshold:g}: expected more than 0")
    kind = "COCO results" if coco else "predictions beside a --truth" if truth else "predictions that hold their truth"
    unused = {
        "--between": between and truth,
        "--visibility": visibility is not None and (coco or not truth),
        "--first-pixel": first_pixel is not None and (coco or not truth),
        "--protocol": coco and (protocol or all_protocols),
        "--threshold": coco and threshold,
    }
    for option, given in unused.items():
        if given:
            raise MsposeError(f"{predictions}: {option} says nothing about {kind}; leave it out")
    if truth is None:
        report: dict[str, Any] = _score_own(predictions, protocol, all_protocols, threshold, between)
    elif coco:
        report = {"metric": "OKS AP", **oks.score_coco(predictions, truth)}
        _print_coco(report, predictions)
    else:
        labelled = read_truth(truth)
        found = read_predictions(predictions, *labelled.keypoints.shape[:2], first_pixel=first_pixel)
        distances = normalised_distances(found, labelled.keypoints, labelled.head_size)
        report = _by_protocols(distances, MPII16, predictions, protocol, all_protocols, threshold)
        report |= _shift(found, labelled, distances) | _not_predicted(found, distances)
        if visibility is not None:
            report["occlusion"] = _occlusion(distances, labelled, visibility, protocol, threshold)
    if json_path is not None:
        write_json(json_path, report)
    return report


def _by_protocols(
    distances: np.ndarray,
    skeleton: Skeleton,
    predictions: Path,
    protocol: str | None,
    all_protocols: bool,
    threshold: float | None,
) -> dict[str, Any]:
    names = list(PROTOCOLS) if all_protocols else [protocol or "mpii"]
    scores = {name: score(distances, skeleton, name, threshold or 0.5) for name in names}
    for one in scores.values():
        _print_score(one, predictions)
    report = scores[protocol or "mpii"].to_dict()
    if all_protocols:
        report["protocols"] = {name: one.to_dict() for name, one in scores.items()}
        tables.print_protocols(scores)
    return report


def _score_own(
    path: Path, protocol: str | None, all_protocols: bool, threshold: float | None, between: tuple[str, str] | None
) -> dict[str, Any]:
    if Path(path).suffix.lower() != ".json":
        raise MsposeError(f"{path}: holds no truth; give --truth detections_our_format.mat")
    own = read_own(path)
    metric, reference = own.metric, own.reference
    if between:
        metric, reference = "pck", reference_between(own.truth, own.skeleton, between)
    distances = normalised_distances(own.predicted, own.truth, reference)
    if metric == "pckh" and own.skeleton.head:
        report = _by_protocols(distances, own.skeleton, path, protocol, all_protocols, threshold)
    elif protocol or all_protocols:
        raise MsposeError(f"{path}: is measured by {METRICS[metric]}; --protocol says whose rules of PCKh are followed")
    else:
        found = accuracy(distances, own.skeleton, metric, threshold)
        tables.print_accuracy(found, f"{path}" + (f", over |{between[0]} - {between[1]}|" if between else ""))
        report = {"protocol": metric, **found.to_dict()}
    return report | _own_occlusion(own, distances, metric, protocol, threshold)


def _own_occlusion(
    own: Own, distances: np.ndarray, metric: str, protocol: str | None, threshold: float | None
) -> dict[str, Any]:
    if not (own.truth[..., 2] == 1).any():
        return {}
    return {"occlusion": _by_visibility(distances, own.truth[..., 2], own.skeleton, metric, protocol, threshold)}


def _shift(found: np.ndarray, truth: Truth, distances: np.ndarray) -> dict[str, Any]:
    """How far right joints are off together: a whole pixel in x and y alike is a matter of counting."""
    right = distances <= 0.5
    if not right.any():
        return {}
    shift = np.median((found - truth.keypoints[..., :2])[right], axis=0)
    console.print(f"right joints lie {shift[0]:+.2f}, {shift[1]:+.2f} px (x, y, median) from the truth")
    if np.all(np.abs(np.abs(shift) - 1) < SHIFT) and shift[0] * shift[1] > 0:
        told = "from 0 and were read as if from 1" if shift[0] < 0 else "from 1 and were read as if from 0"
        console.print(f"[bold]the predictions seem to count pixels {told}: see --first-pixel[/]")
    return {"median_shift": shift.tolist()}


def _not_predicted(found: np.ndarray, distances: np.ndarray) -> dict[str, Any]:
    """Labelled joints without a prediction count as wrong, as in the tool kit."""
    count = int((np.isnan(found).any(axis=-1) & ~np.isnan(distances))[:, MPII16.scored_indices].sum())
    if count:
        console.print(f"{count} labelled joints are not predicted and count as wrong")
    return {"not_predicted": count}


def _occlusion(
    distances: np.ndarray, truth: Truth, visibility: np.ndarray, protocol: str | None, threshold: float | None
) -> dict[str, Any]:
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
    return _by_visibility(distances, visibility[..., 2], MPII16, "pckh", protocol, threshold)


def _by_visibility(
    distances: np.ndarray,
    visibility: np.ndarray,
    skeleton: Skeleton,
    metric: str,
    protocol: str | None,
    threshold: float | None,
) -> dict[str, Any]:
    """By the same threshold and rules as the table above it."""
    strict = PROTOCOLS[protocol or "mpii"].strict
    found = occlusion.by_visibility(distances, visibility, skeleton, metric, threshold, strict=strict)
    tables.print_occlusion(found, skeleton)
    return {kind: one.to_dict() for kind, one in found.items()}


def _print_score(found: Score, predictions: Path) -> None:
    title = f"{predictions}, protocol {found.protocol}: {PROTOCOLS[found.protocol].rules}"
    tables.print_accuracy(found.accuracy, title)
    figures = f"PCKh@0.1 {found.at_tenth:.2f}; area under the curve {found.accuracy.auc:.2f}"
    console.print(f"mean by {found.protocol}: {found.mean:.2f}; {figures}")


def _print_coco(report: dict[str, Any], predictions: Path) -> None:
    table = Table("OKS", "%", title=str(predictions), title_justify="left")
    for name in oks.NAMES:
        table.add_row(name, "-" if math.isnan(report[name]) else f"{report[name]:.2f}")
    console.print(table)
