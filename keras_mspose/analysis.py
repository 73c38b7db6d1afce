"""What lies behind one number: curves, mistaken sides, sizes, activities, and whether scores mean what they say.

All of it counts what `metrics.accuracy` counts: scored keypoints that are labelled, of persons with a reference length.
Percentages; JSON-ready. Loads no TensorFlow.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mspose.metrics import STEPS, THRESHOLDS, curve, normalised_distances
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    from keras_mspose.evaluation import Evaluation  # which loads TensorFlow

SIZE_BINS = 5
SCORE_BINS = 10
ACTIVITIES = 15  # most frequent ones that are told apart
LEANS = {"upright": 30, "leaning": 60, "lying": 120, "upside down": 180}  # degrees from upright, each up to


def analyse(found: Evaluation, skeleton: Skeleton, metric: str) -> dict[str, Any]:
    """All of the below over an evaluation's answer: `curves`, `left_right`, `by_size`, `by_lean`, `by_activity`,
    `reliability`."""
    threshold = THRESHOLDS[metric]
    distances = normalised_distances(found.predicted, found.truth, found.reference)
    sizes = person_sizes(found.truth, found.origins[:, 2])
    return {
        "curves": curves(distances, skeleton, threshold),
        "left_right": left_right(found.predicted, found.truth, found.reference, skeleton, threshold),
        "by_size": by_size(distances, sizes, skeleton, threshold),
        "by_lean": by_lean(distances, leans(found.truth, skeleton), skeleton, threshold),
        "by_activity": by_activity(distances, found.activities, skeleton, threshold),
        "reliability": reliability(distances, found.predicted[..., 2], skeleton, threshold),
    }


def curves(distances: np.ndarray, skeleton: Skeleton, top: float) -> dict[str, Any]:
    """Right ones over thresholds from 0 to `top`, by reporting group and in total, pooled over the keypoints of each.

    Args:
        distances: (P, K), as `metrics.normalised_distances` gives them.

    Returns:
        `thresholds`, and `lines` by name.
    """
    thresholds = np.linspace(0, top, STEPS + 1)
    members = {name: [skeleton.index(k) for k in group] for name, group in skeleton.groups.items()}
    members["Total"] = skeleton.scored_indices
    lines = {name: curve(distances[:, places], thresholds) for name, places in members.items()}
    return {"thresholds": thresholds.tolist(), "lines": {n: line.tolist() for n, line in lines.items()}}


def left_right(
    predicted: np.ndarray, truth: np.ndarray, reference: np.ndarray, skeleton: Skeleton, threshold: float
) -> dict[str, dict[str, int]]:
    """How many wrong keypoints are right on the person's other side.

    Args:
        predicted: (P, K, 2+) x, y.
        truth: (P, K, 3) x, y, visibility.
        reference: (P,) reference length, 0 where a person is not counted.

    Returns:
        By the name of each keypoint that has a mirror partner: `right`; `other_side`: wrong, and within the threshold
        of where the partner is labelled; `elsewhere`: wrong in any other way.
    """
    own = normalised_distances(predicted, truth, reference)
    partner = normalised_distances(predicted, truth[:, skeleton.flip_order], reference)
    counted, right = ~np.isnan(own), own <= threshold
    swapped = counted & ~right & (np.nan_to_num(partner, nan=np.inf) <= threshold)
    found = {}
    for name in (name for pair in skeleton.flip_pairs for name in pair):
        k = skeleton.index(name)
        total, hits, other = (int(mask[:, k].sum()) for mask in (counted, right, swapped))
        found[name] = {"right": hits, "other_side": other, "elsewhere": total - hits - other}
    return found


def by_size(
    distances: np.ndarray, sizes: np.ndarray, skeleton: Skeleton, threshold: float, bins: int = SIZE_BINS
) -> list[dict[str, Any]]:
    """Accuracy of persons of like size, in bins that hold as many persons each.

    Args:
        sizes: (P,) in any pixels.

    Returns:
        From small to large: `from`, `to`, and what `_summary` says.
    """
    persons = np.flatnonzero(_scored(distances, skeleton).any(axis=1))
    order = persons[np.argsort(sizes[persons], kind="stable")]
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [
        {
            "from": float(sizes[part].min()),
            "to": float(sizes[part].max()),
            **_summary(distances[part], skeleton, threshold),
        }
        for part in parts
    ]


def by_lean(distances: np.ndarray, lean: np.ndarray, skeleton: Skeleton, threshold: float) -> list[dict[str, Any]]:
    """Accuracy by how far persons are from upright; empty where nobody's lean is known.

    Args:
        lean: (P,) degrees, as `leans` gives them.

    Returns:
        `lean`, a key of LEANS, and what `_summary` says; without those that hold nobody.
    """
    found, low = [], 0.0
    for name, high in LEANS.items():
        inside = (lean >= low) & ((lean < high) | (high == 180))
        found.append({"lean": name, **_summary(distances[inside], skeleton, threshold)})
        low = high
    return [one for one in found if one["persons"]]


def by_activity(
    distances: np.ndarray, activities: list[str], skeleton: Skeleton, threshold: float
) -> list[dict[str, Any]]:
    """Accuracy by what the persons do, the most frequent first; empty where the data does not say.

    Args:
        activities: P, `category/activity` as MPII has them; the category is what is told apart.

    Returns:
        `activity`, and what `_summary` says; the last may be `others`.
    """
    kinds = np.array([activity.split("/")[0] for activity in activities])
    counts = Counter(kind for kind in kinds.tolist() if kind)
    named = [kind for kind, _ in counts.most_common(ACTIVITIES)]
    masks = {kind: kinds == kind for kind in named}
    rest = ~np.isin(kinds, [*named, ""])
    if rest.any():
        masks["others"] = rest
    found = [{"activity": kind, **_summary(distances[m], skeleton, threshold)} for kind, m in masks.items()]
    return [one for one in found if one["persons"]]


def reliability(
    distances: np.ndarray, scores: np.ndarray, skeleton: Skeleton, threshold: float, bins: int = SCORE_BINS
) -> dict[str, Any]:
    """Whether a score can be read as the chance of being right (Guo et al., ICML 2017), in bins of as many keypoints.

    Args:
        scores: (P, K); taken as between 0 and 1.

    Returns:
        `bins`, from low to high: mean `score` in percent, percent `right`, `count`; and `expected_error`, the mean
        difference of the two over all keypoints (None where nothing counts).
    """
    scored = skeleton.scored_indices
    counted = ~np.isnan(distances[:, scored])
    sure = 100 * np.clip(np.nan_to_num(scores[:, scored][counted]), 0, 1)
    right = 100.0 * (distances[:, scored][counted] <= threshold)
    order = np.argsort(sure, kind="stable")
    found = [
        {"score": float(sure[part].mean()), "right": float(right[part].mean()), "count": len(part)}
        for part in np.array_split(order, bins)
        if len(part)
    ]
    error = sum(one["count"] * abs(one["score"] - one["right"]) for one in found)
    return {"bins": found, "expected_error": error / len(order) if len(order) else None}


def person_sizes(truth: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(P,) longer side of the box about each person's labelled keypoints, in photograph pixels; 0 without any.

    Args:
        truth: (P, K, 3) x, y, visibility.
        pixels: (P,) pixels of the truth a photograph pixel.
    """
    labelled = truth[..., 2:] > 0
    low = np.where(labelled, truth[..., :2], np.inf).min(axis=1)
    high = np.where(labelled, truth[..., :2], -np.inf).max(axis=1)
    return np.where(labelled.any(axis=(1, 2)), (high - low).max(axis=1), 0.0) / pixels


def leans(truth: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(P,) degrees, 0 to 180, between upright and the line from the middle of a person's labelled lower body to that of
    the upper body; NaN where either has no label, or the skeleton does not say which is which.

    Args:
        truth: (P, K, 3) x, y (downwards), visibility.
    """
    above = np.isin(skeleton.keypoints, skeleton.upper_body)
    labelled = truth[..., 2] > 0
    middles = []
    for part in (above, ~above):
        mine = labelled & part
        count = mine.sum(axis=1)[:, None]
        total = np.where(mine[..., None], truth[..., :2], 0).sum(axis=1)
        middles.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    across, up = (middles[0] - middles[1]).T
    return np.degrees(np.abs(np.arctan2(across, -up)))


def _scored(distances: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    return ~np.isnan(distances[:, skeleton.scored_indices])


def _summary(distances: np.ndarray, skeleton: Skeleton, threshold: float) -> dict[str, Any]:
    """`persons` and `keypoints` that count, percent `right`, pooled, and the `median` distance."""
    ours = distances[:, skeleton.scored_indices]
    flat = ours[~np.isnan(ours)]
    return {
        "persons": int((~np.isnan(ours)).any(axis=1).sum()),
        "keypoints": len(flat),
        "right": float(100 * (flat <= threshold).mean()) if len(flat) else None,
        "median": float(np.median(flat)) if len(flat) and np.isfinite(np.median(flat)) else None,
    }
