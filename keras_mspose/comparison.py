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


@dataclass(frozen=True)
class SeedDifference(Difference):
    """A difference between two ways of training.

    Attributes:
        by_seed: B less A for every seed.
    """

    by_seed: tuple[float, ...] = ()

    @property
    def is_real(self) -> bool:
        """Whether every seed has the same sign, and the interval over seeds and persons leaves out 0."""
        same = all(d > 0 for d in self.by_seed) or all(d < 0 for d in self.by_seed)
        return same and super().is_real

    def to_dict(self) -> dict:
        """JSON-ready form."""
        return {**super().to_dict(), "by_seed": list(self.by_seed)}


def in_words(difference: float, real: bool) -> str:
    """Whether the second of two is better than the first."""
    return ("better" if difference > 0 else "worse") if real else "may be chance"


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
    counted, weights = ~np.isnan(a), _drawn_persons(len(a), draws, np.random.default_rng(seed))
    joints_a, joints_b = (_percent(one, weights, threshold) for one in (a, b))
    scored = skeleton.scored_indices
    found = {"mean": _difference(_mean(joints_a[:, scored]), _mean(joints_b[:, scored]), counted.any(axis=1).sum())}
    for i, name in enumerate(skeleton.keypoints):
        found[name] = _difference(joints_a[:, i], joints_b[:, i], counted[:, i].sum())
    return found


def compare_seeds(
    a: np.ndarray, b: np.ndarray, skeleton: Skeleton, threshold: float, *, seed: int = 0, draws: int = DRAWS
) -> SeedDifference:
    """Compare two ways of training, each done with several seeds: chance in the training and in the persons together.

    Persons and seeds are both drawn again, the same ones for either way.

    Args:
        a, b: (S, P, K) normalised distances of the same persons and seeds; or (C, S, P, K) of C pairs of ways that
            differ in the same, such as the same switch in C networks.
        threshold: distances up to it are right.

    Returns:
        The difference of the mean over the scored keypoints, averaged over the seeds, and the pairs.

    Raises:
        MsposeError: the keypoints that count are not the same.
    """
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        raise MsposeError("the two are not of the same seeds, persons and labels: the keypoints that count differ")
    rng = np.random.default_rng(seed)
    weights = _drawn_persons(a.shape[-2], draws, rng)
    of_a, of_b = (_of_seeds(way, weights, skeleton.scored_indices, threshold) for way in (a, b))
    low, high = _interval(of_b - of_a, rng)
    persons = int((~np.isnan(a.reshape(-1, *a.shape[-2:])[0])).any(axis=1).sum())
    by_seed = tuple((of_b - of_a)[:, 0].tolist())
    return SeedDifference(float(of_a[:, 0].mean()), float(of_b[:, 0].mean()), low, high, persons, by_seed)


def interval_of_seeds(
    distances: np.ndarray, skeleton: Skeleton, threshold: float, *, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """The interval about one way's accuracy: chance in the training and in the persons together.

    Args:
        distances: (S, P, K) normalised distances of S seeds, see `compare_seeds`.

    Returns:
        Low and high, of the mean over the scored keypoints averaged over the seeds.
    """
    rng = np.random.default_rng(seed)
    weights = _drawn_persons(distances.shape[1], draws, rng)
    return _interval(_of_seeds(distances, weights, skeleton.scored_indices, threshold), rng)


def _of_seeds(way: np.ndarray, weights: np.ndarray, scored: list[int], threshold: float) -> np.ndarray:
    """(S, 1 + draws) accuracy of each seed by how persons were drawn, the mean of C networks where `way` has them."""
    each = [_mean(_percent(one, weights, threshold)[:, scored]) for one in way.reshape(-1, *way.shape[-2:])]
    return np.stack(each).reshape(-1, way.shape[-3], len(weights)).mean(axis=0)


def _interval(of_seeds: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Of (S, 1 + draws) figures, with the seeds drawn again, too."""
    seeds, draws = of_seeds.shape[0], of_seeds.shape[1] - 1
    times = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws).T / seeds  # (S, draws)
    low, high = np.quantile((of_seeds[:, 1:] * times).sum(axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _drawn_persons(count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(1 + draws, count) how often each person counts; the first row is everybody once: the figure itself."""
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float32)
    return np.concatenate([np.ones((1, count), np.float32), times])


def _percent(distances: np.ndarray, weights: np.ndarray, threshold: float) -> np.ndarray:
    """(1 + draws, K) share of right keypoints, NaN where nobody counts."""
    counted = ~np.isnan(distances)
    hits = (np.where(counted, distances, np.inf) <= threshold).astype(np.float32)
    total = weights @ counted.astype(np.float32)
    return np.where(total > 0, 100.0 * (weights @ hits) / np.maximum(total, 1), np.nan)


def _mean(joints: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(joints)
    return np.where(seen, joints, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)


def _difference(a: np.ndarray, b: np.ndarray, persons: int) -> Difference:
    if not persons:
        return Difference(*([float("nan")] * 4), 0)
    drawn = (b - a)[1:]
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(a[0]), float(b[0]), float(low), float(high), int(persons))
