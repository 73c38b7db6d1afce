"""PCK and PCKh in NumPy: what `evaluate` prints. Loads no TensorFlow.

A keypoint is right when its distance to the truth, divided by the person's reference length, is at most the threshold.
PCKh divides by the head size (0.6 * the head box's diagonal), PCK by the torso, PCK-box by the side of the person box:
that is for hands, animals and things, which have neither head size nor torso. Labelled keypoints count, occluded ones
too; persons without a reference length do not. Totals leave out the skeleton's `unscored` keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import METRICS
from keras_mspose.skeleton import Skeleton

THRESHOLDS = {"pckh": 0.5, "pck": 0.2, "pck_box": 0.05}
STEPS = 50  # of a curve between 0 and its highest threshold


@dataclass(frozen=True)
class Accuracy:
    """Percentages of right keypoints.

    Attributes:
        metric: `PCKh`, `PCK` or `PCK-box`.
        threshold: distances up to this share of the reference length are right.
        joints: by keypoint name; NaN where no person counts.
        counts: labelled keypoints that were counted, by keypoint name.
        groups: the reporting groups of the skeleton, each the mean of its keypoints, as in the paper's Table 1.
        mean: unweighted mean over the scored keypoints.
        weighted_mean: share of right ones among all scored keypoints, pooled (the table's Total).
        persons: persons that were counted, and how many there were.
        auc: area under the curve of `weighted_mean` over thresholds from 0 to the metric's usual one, see
            `area_under_curve`.
    """

    metric: str
    threshold: float
    mean: float
    weighted_mean: float
    groups: dict[str, float]
    joints: dict[str, float]
    counts: dict[str, int]
    persons: dict[str, int]
    auc: float

    def scored(self, skeleton: Skeleton) -> int:
        """How many labelled keypoints the totals count."""
        return sum(self.counts[skeleton.keypoints[i]] for i in skeleton.scored_indices)

    def to_dict(self) -> dict:
        """JSON-ready form, percentages at full precision; a keypoint that was never counted is None."""

        def plain(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return {
            "metric": self.metric,
            "threshold": self.threshold,
            "mean": plain(self.mean),
            "weighted_mean": plain(self.weighted_mean),
            "groups": {k: plain(v) for k, v in self.groups.items()},
            "joints": {k: plain(v) for k, v in self.joints.items()},
            "counts": self.counts,
            "persons": self.persons,
            "auc": plain(self.auc),
        }


def normalised_distances(predicted: np.ndarray, truth: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distances over reference lengths.

    Args:
        predicted: (P, K, 2+) x, y in any pixels.
        truth: (P, K, 3) x, y in the same pixels, visibility.
        reference: (P,) reference length in the same pixels, 0 where the person is not counted.

    Returns:
        (P, K), NaN where a keypoint is not labelled or its person not counted; a predicted NaN is infinitely far.
    """
    distance = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    counted = (truth[..., 2] > 0) & (reference[:, None] > 0)
    ratio = np.divide(distance, reference[:, None], out=np.full_like(distance, np.nan), where=counted)
    return np.where(counted & np.isnan(distance), np.inf, ratio)


def accuracy(
    distances: np.ndarray, skeleton: Skeleton, metric: str, threshold: float | None = None, *, strict: bool = False
) -> Accuracy:
    """Score normalised distances (P, K), as `normalised_distances` gives them.

    Args:
        metric: `pckh`, `pck` or `pck_box`; names the result and its usual threshold.
        strict: a distance of exactly the threshold is wrong.
    """
    threshold = THRESHOLDS[metric] if threshold is None else threshold
    counted = ~np.isnan(distances)
    counts = counted.sum(axis=0)
    found = np.where(counted, distances, np.inf)
    hits = ((found < threshold) if strict else (found <= threshold)).sum(axis=0)
    percent = np.divide(100.0 * hits, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    scored = np.array(skeleton.scored_indices)
    by_name = dict(zip(skeleton.keypoints, percent.tolist(), strict=True))
    return Accuracy(
        metric=METRICS[metric],
        threshold=threshold,
        mean=_mean(percent[scored]),
        weighted_mean=100.0 * hits[scored].sum() / counts[scored].sum() if counts[scored].sum() else float("nan"),
        groups={name: _mean(np.array([by_name[k] for k in members])) for name, members in skeleton.groups.items()},
        joints=by_name,
        counts=dict(zip(skeleton.keypoints, counts.tolist(), strict=True)),
        persons={"counted": int(counted.any(axis=1).sum()), "all": len(distances)},
        auc=area_under_curve(distances[:, scored], THRESHOLDS[metric], strict=strict),
    )


def reference_between(truth: np.ndarray, skeleton: Skeleton, pair: tuple[str, str]) -> np.ndarray:
    """Reference lengths of PCK over the distance of any two keypoints, as the torso's are.

    Args:
        truth: (P, K, 3) x, y, visibility.
        pair: names of the two.

    Returns:
        (P,) in the truth's pixels, 0 where one of the two is not labelled.

    Raises:
        MsposeError: the skeleton has no such keypoint.
    """
    unknown = [name for name in pair if name not in skeleton.keypoints]
    if unknown:
        raise MsposeError(f"{unknown[0]}: no keypoint of {skeleton.name}, which has {', '.join(skeleton.keypoints)}")
    a, b = (truth[:, skeleton.index(name)] for name in pair)
    length = np.linalg.norm(a[:, :2] - b[:, :2], axis=-1)
    return np.where((a[:, 2] > 0) & (b[:, 2] > 0), length, 0.0)


def curve(distances: np.ndarray, thresholds: np.ndarray, *, strict: bool = False) -> np.ndarray:
    """Percent of right ones among all counted distances, pooled, at each of (T,) rising thresholds; NaN where nothing
    counts."""
    flat = np.sort(distances[~np.isnan(distances)], axis=None)
    if not len(flat):
        return np.full(len(thresholds), np.nan)
    # 1e-9: a threshold such as 0.3 is not the same number when it is reached by steps of 0.01
    edges = thresholds - 1e-9 if strict else thresholds + 1e-9
    return 100.0 * np.searchsorted(flat, edges, side="left" if strict else "right") / len(flat)


def area_under_curve(distances: np.ndarray, top: float = 0.5, *, strict: bool = False) -> float:
    """Area under `curve` over thresholds from 0 to `top`, trapezoidal, in percent of the most that it can be."""
    thresholds = np.linspace(0, top, STEPS + 1)
    return float(np.trapezoid(curve(distances, thresholds, strict=strict), thresholds) / top)


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
