"""What is wrong with a data set's labels: as `doctor`, arrays in, one finding out."""

from __future__ import annotations

import numpy as np

from keras_mspose.doctor import Finding
from keras_mspose.skeleton import Skeleton

SHIFT = 0.3  # of the person's side: healthy sets stay under 0.1, labels shifted by half a crop have 0.5
OUTSIDE = 0.1  # of the labelled keypoints; 0 in LSP Extended
SOME_OUTSIDE = 0.02  # that, together with a shift in the photographs, where small persons may all stand off the middle
REACH = 0.55  # of the photographs: somebody's feet are lower, or labels count pixels of smaller photographs
BOX_RATIO = 3.0  # how much larger or smaller the middle person's stored box may be than that about the keypoints
ALOFT = 0.08  # of the person's side: how far two mirrored keypoints' medians may differ in height


def flip_pairs(skeleton: Skeleton, keypoints: np.ndarray, flips: bool) -> Finding:
    """Whether mirrored persons get the right names.

    Args:
        keypoints: (P, K, 3) x, y in any pixels, visibility.
        flips: whether the recipe mirrors at all, or evaluation may.
    """
    paired = {name for pair in skeleton.flip_pairs for name in pair}
    crossed = [pair for pair in skeleton.flip_pairs if _mirrored(pair[0]) not in (None, pair[1])]
    left_out = [name for name in skeleton.keypoints if name not in paired and _mirrored(name) in skeleton.keypoints]
    heights = _median_heights(keypoints)
    apart = [
        (abs(heights[skeleton.index(a)] - heights[skeleton.index(b)]), a, b) for a, b in skeleton.flip_pairs if a != b
    ]
    worst = max((one for one in apart if np.isfinite(one[0])), default=(0.0, "", ""))
    advice = "name the pairs that a mirror exchanges under flip_pairs of `skeleton` in dataset.json"
    if crossed:
        return Finding("flip pairs", False, f"{crossed[0][0]} is paired with {crossed[0][1]}", advice)
    if left_out and flips:
        said = f"{', '.join(left_out)} have a twin on the other side, but stand in no pair"
        return Finding("flip pairs", False, said, advice)
    if worst[0] > ALOFT:
        said = f"{worst[1]} and {worst[2]} are a pair, but lie {worst[0]:.2f} of the person's size apart in height"
        return Finding("flip pairs", False, said, advice)
    return Finding("flip pairs", True, f"{len(skeleton.flip_pairs)} pairs mirror each other")


def label_place(keypoints: np.ndarray, sizes: np.ndarray, targets: np.ndarray, crop_size: tuple[int, int]) -> Finding:
    """Whether labels lie on the persons: about the middle of photographs and crops, and inside.

    Args:
        keypoints: (P, K, 3) in photograph pixels, visibility.
        sizes: (P, 2) width and height of the photographs.
        targets: (N, K, 3+) in crop pixels as training sees them, visibility.
        crop_size: (H, W).
    """
    advice = "look at the picture; check which pixel the labels count from, their scale, and the order of x and y"
    in_crop = _offset(targets, np.array(crop_size[::-1]), float(max(crop_size)))
    if np.abs(in_crop).max() > SHIFT:
        said = f"the middle person's keypoints lie {_places(in_crop)} of a crop off the crop's middle"
        return Finding("label place", False, said, advice)
    labelled = keypoints[..., 2] > 0
    beyond = (keypoints[..., :2] < -0.5) | (keypoints[..., :2] > sizes[:, None] - 0.5)
    outside = float((beyond.any(axis=-1) & labelled).sum() / max(labelled.sum(), 1))
    in_photograph = _offset(keypoints, sizes, None)
    if outside > OUTSIDE or (outside > SOME_OUTSIDE and np.abs(in_photograph).max() > SHIFT):
        said = f"{outside:.0%} of the labelled keypoints lie outside of their photograph"
        return Finding("label place", False, f"{said}, and {_places(in_photograph)} of a person off its middle", advice)
    return Finding("label place", True, f"{outside:.1%} of the labelled keypoints lie outside of their photograph")


def label_scale(keypoints: np.ndarray, sizes: np.ndarray, boxes: np.ndarray) -> Finding:
    """Whether labels count the pixels of these photographs: not fractions, nor pixels of copies of another size.

    Args:
        keypoints: (P, K, 3) in photograph pixels, visibility.
        sizes: (P, 2) width and height of the photographs.
        boxes: (P, 3) centre and side as stored, side 0 where a person has none.
    """
    advice = "store labels in pixels of the stored photographs: multiply fractions by width and height"
    several, _, low, high = _extents(keypoints)
    if not several.any():
        return Finding("label scale", True, "nobody has two labelled keypoints: not judged")
    side = boxes[several, 2]
    reach = float(np.quantile(((high + 0.5) / sizes[several]).max(axis=1), 0.99))
    said = f"keypoints reach {reach:.0%} across or down their photographs"
    if reach < REACH:
        return Finding("label scale", False, f"{said} at most", advice)
    extent = (high - low).max(axis=1)
    boxed = (side > 0) & (extent > 1)
    if boxed.any():
        ratio = float(np.median(side[boxed] / extent[boxed]))
        said = f"{said}, boxes are {ratio:.2g} times as large as their keypoints"
        if not 1 / BOX_RATIO < ratio < BOX_RATIO:
            return Finding("label scale", False, said, advice)
    return Finding("label scale", True, said)


def labels_there(visibility: np.ndarray, batch: int) -> Finding:
    """Whether every batch has something to learn from.

    Args:
        visibility: (N, K) of persons in the order of training.
        batch: persons of one.
    """
    persons = (visibility > 0).any(axis=1)
    whole = persons[: len(persons) // batch * batch].reshape(-1, batch)
    empty = int((~whole.any(axis=1)).sum())
    if empty or not persons.any():
        said = (
            f"{empty} of {len(whole)} batches have no labelled keypoint; {(~persons).sum()} of {len(persons)} persons"
        )
        advice = "leave such persons out of the training split, or mend their visibility (0 means not labelled)"
        return Finding("labelled keypoints", False, said, advice)
    return Finding("labelled keypoints", True, f"{persons.mean():.1%} of the persons have one, and every batch")


def _mirrored(name: str) -> str | None:
    """The name of the twin on the other side, None where the name has no side."""
    for a, b in (("left", "right"), ("right", "left")):
        if a in name:
            return name.replace(a, b)
    return None


def _extents(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(P,) who has two labelled keypoints or more; of these, x and y (S, K, 2), NaN where not labelled, and the least
    and the largest (S, 2)."""
    labelled = points[..., 2] > 0
    several = labelled.sum(axis=1) > 1
    xy = np.where(labelled[..., None], points[..., :2], np.nan)[several]
    return several, xy, np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)


def _median_heights(keypoints: np.ndarray) -> np.ndarray:
    """(K,) median y of each keypoint, from the middle of its person and over its size; NaN where nobody has it."""
    several, xy, low, high = _extents(keypoints)
    if not several.any():
        return np.full(keypoints.shape[1], np.nan)
    side = np.maximum((high - low).max(axis=1), 1.0)
    placed = (xy[..., 1] - ((low + high) / 2)[:, 1:]) / side[:, None]
    known = ~np.isnan(placed).all(axis=0)
    heights = np.full(keypoints.shape[1], np.nan)
    heights[known] = np.nanmedian(placed[:, known], axis=0)
    return heights


def _offset(points: np.ndarray, sizes: np.ndarray, side: float | None) -> np.ndarray:
    """(2,) median distance of the persons' middles from that of their picture, over `side` or the person's own."""
    several, _, low, high = _extents(points)
    if not several.any():
        return np.zeros(2)
    sizes = np.broadcast_to(sizes, (len(points), 2))[several]
    own = np.maximum((high - low).max(axis=1, keepdims=True), 1.0)
    return np.median(((low + high) / 2 - (sizes - 1) / 2) / (side or own), axis=0)


def _places(offset: np.ndarray) -> str:
    return f"{offset[0]:+.2f} across and {offset[1]:+.2f} down"
