"""Whether one network is better than another, or merely luckier with these persons.

Both are scored on the same persons. These are drawn again with replacement many times, the same ones for both (a paired
bootstrap: Efron and Tibshirani, 1993), and the spread of the differences says how much of one is chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

DRAWS = 5000
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Accuracy of B less that of A, in points of percent.

    Attributes:
        a, b: accuracy of either.
        low, high: the interval that holds 95 % of the drawn differences.
        persons: how many count.
    """

    a: float
    b: float
    low: float
    high: float
    persons: int

    @property
    def value(self) -> float:
        """B less A."""
        return self.b - self.a

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict:
        """JSON-ready form."""
        return {
            **{"a": self.a, "b": self.b, "difference": self.value, "low": self.low, "high": self.high},
            **{"persons": self.persons, "real": self.is_real},
        }


def compare(
    a: np.ndarray, b: np.ndarray, skeleton: Skeleton, threshold: float, *, seed: int = 0, draws: int = DRAWS
) -> dict[str, Difference]:
    """Compare two networks person by person.

    Args:
        a, b: (P, K) normalised distances of the same persons, NaN where a keypoint is not counted.
        threshold: distances up to it are right.
        seed: of the draws.

    Returns:
        `mean` (over the scored keypoints, unweighted), then every keypoint by name. A keypoint that nobody has is NaN.

    Raises:
        MsposeError: the keypoints that count are not the same.
    """
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        raise MsposeError("the two are not of the same persons and labels: the keypoints that count differ")
    counted = ~np.isnan(a)
    times = np.random.default_rng(seed).multinomial(len(a), np.full(len(a), 1 / len(a)), size=draws).astype(np.float32)
    weights = np.concatenate([np.ones((1, len(a)), np.float32), times])  # first everybody once: the figure itself

    def percent(distances: np.ndarray) -> np.ndarray:
        hits = (np.where(counted, distances, np.inf) <= threshold).astype(np.float32)
        total = weights @ counted.astype(np.float32)
        return np.where(total > 0, 100.0 * (weights @ hits) / np.maximum(total, 1), np.nan)

    joints_a, joints_b = percent(a), percent(b)
    scored = skeleton.scored_indices
    found = {"mean": _difference(_mean(joints_a[:, scored]), _mean(joints_b[:, scored]), counted.any(axis=1).sum())}
    for i, name in enumerate(skeleton.keypoints):
        found[name] = _difference(joints_a[:, i], joints_b[:, i], counted[:, i].sum())
    return found


def _mean(joints: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(joints)
    return np.where(seen, joints, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)


def _difference(a: np.ndarray, b: np.ndarray, persons: int) -> Difference:
    if not persons:
        return Difference(*([float("nan")] * 4), 0)
    drawn = (b - a)[1:]
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(a[0]), float(b[0]), float(low), float(high), int(persons))
