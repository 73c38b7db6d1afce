"""Photographs and persons that a data set holds more than once: across splits, a measurement that is too good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

SAME = 1.0  # pixels: persons whose labelled keypoints all lie so close together are one person
BLOCK = 64  # persons compared at a time with one: of a thing that stands still the first is mostly the same
SAME_FROM = 4  # labelled keypoints, below which two persons may agree by chance


class Repeat(NamedTuple):
    """Entry `index` repeats an earlier one; `across` where that stands in another split."""

    index: int
    across: bool
    what: str


def photographs(splits: list[str], names: list[str], fingerprints: np.ndarray) -> Iterator[Repeat]:
    """The same bytes under another name or in another split, once for each name and split.

    Args:
        splits, names, fingerprints: of the N persons' photographs; the last are equal for equal bytes alone.
    """
    by_bytes: dict[int, dict[tuple[str, str], int]] = {}
    for i, fingerprint in enumerate(fingerprints.tolist()):
        by_bytes.setdefault(fingerprint, {}).setdefault((splits[i], names[i]), i)
    for places in by_bytes.values():
        (first, name), *others = places
        for split, other in others:
            yield Repeat(places[split, other], split != first, f"the bytes of {name} in {first}")


def names_in_two_splits(splits: list[str], names: list[str], fingerprints: np.ndarray) -> Iterator[Repeat]:
    """Photographs of one name in two splits that are not the same photograph, once for each name and split."""
    by_name: dict[str, dict[str, int]] = {}
    for i, name in enumerate(names):
        by_name.setdefault(name, {}).setdefault(splits[i], i)
    for places in by_name.values():
        (first, i), *others = places.items()
        for _, j in others:
            if fingerprints[i] != fingerprints[j]:
                yield Repeat(j, True, f"{first} has a photograph of this name too")


def persons(splits: list[str], names: list[str], keypoints: np.ndarray) -> Iterator[Repeat]:
    """Persons whose keypoints are those of an earlier one, in the pixels of whatever photograph.

    Args:
        splits, names: of the N persons and their photographs.
        keypoints: (N, K, 3).
    """
    labelled = keypoints[..., 2] > 0
    chosen = np.flatnonzero(labelled.sum(axis=1) >= SAME_FROM)
    if not len(chosen):
        return
    # A tree over all coordinates is slow in so many dimensions; the first few leave hardly a pair to compare whole.
    first = np.argsort(~labelled[chosen], axis=1, kind="stable")[:, :SAME_FROM]
    corner = np.take_along_axis(keypoints[chosen, :, :2], first[..., None], axis=1).reshape(len(chosen), -1)
    tree = cKDTree(corner)
    near = tree.query_ball_point(corner, SAME, p=np.inf, return_length=True) > 1
    found = []
    for place in np.flatnonzero(near):  # one at a time: all pairs of a thing that stands still would fill the memory
        others = np.sort(tree.query_ball_point(corner[place], SAME, p=np.inf))
        j, before = chosen[place], chosen[others[others < place]]
        for begin in range(0, len(before), BLOCK):
            some = before[begin : begin + BLOCK]
            apart = np.abs(keypoints[some, :, :2] - keypoints[j, :, :2]).max(axis=2)
            same = ((labelled[some] == labelled[j]) & ((apart <= SAME) | ~labelled[j])).all(axis=1)
            if same.any():
                found.append((int(some[same][0]), int(j)))
                break
    for i, j in sorted(found):
        yield Repeat(j, splits[i] != splits[j], f"the keypoints of a person on {names[i]} in {splits[i]}")
