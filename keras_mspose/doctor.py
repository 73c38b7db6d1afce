"""What is wrong with data, a recipe or a trained run, in words: each check looks at arrays and answers one finding.

The thresholds stand well between what healthy data shows (LSP Extended, rendered persons) and what the fault does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_mspose.skeleton import Skeleton

SHIFT = 0.3  # of the person's side: healthy sets stay under 0.1, labels shifted by half a crop have 0.5
OUTSIDE = 0.1  # of the labelled keypoints; 0 in LSP Extended
SOME_OUTSIDE = 0.02  # that, together with a shift in the photographs, where small persons may all stand off the middle
ALOFT = 0.08  # of the person's side: how far two mirrored keypoints' medians may differ in height
SKIN = 0.35  # share of persons whose skin is redder than blue: 0.9 in photographs, 0.1 where the two are exchanged
LEAST_GREY_LEVELS = 4.0  # spread of a photograph; one that was divided by 255 has less than 1
LEAST_INPUT_SPREAD = 0.02  # of what the first convolution sees; about 0.5 is usual
BN_LEFT = 0.05  # share of their first values that moving averages may still hold at the end of the training
LARGEST_RATE = 0.02  # of Adam, with which this network's loss does not fall
BN_DRIFT = 1.5  # times the loss of training mode
DEAD = 0.985  # share of the loss of empty heatmaps that a head still has
SKIN_KEYPOINTS = ("head", "neck", "wrist", "nose", "eye", "ear", "face", "hand")


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        good: nothing is wrong.
        said: what was seen, with the figure.
        advice: what to do; empty where all is well.
    """

    check: str
    good: bool
    said: str
    advice: str = ""


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


def colours(crops: np.ndarray, targets: np.ndarray, skeleton: Skeleton) -> Finding:
    """Whether red is red: skin is redder than blue, whoever's it is.

    Args:
        crops: (N, H, W, 3) uint8, not augmented in colour.
        targets: (N, K, 3+) x, y in crop pixels, visibility.
    """
    bare = [i for i, name in enumerate(skeleton.keypoints) if any(part in name for part in SKIN_KEYPOINTS)]
    redder = []
    for crop, points in zip(crops, targets, strict=True):
        patches = [_patch(crop, x, y) for x, y, v, *_ in points[bare or slice(None)] if v > 0]
        found = [float(patch[..., 0].mean() - patch[..., 2].mean()) for patch in patches if patch.size]
        if found and np.ptp(crop.astype(int), axis=-1).max() > 8:  # a grey photograph says nothing
            redder.append(np.mean(found) > 0)
    if len(redder) < 16 or not bare:
        return Finding("colours", True, f"only {len(redder)} coloured persons with skin to look at: not judged")
    share = float(np.mean(redder))
    said = f"at head, neck and hands {share:.0%} of the persons are more red than blue"
    if share < SKIN:
        return Finding("colours", False, said, "store RGB: OpenCV reads and writes BGR, so convert before encoding")
    return Finding("colours", True, said)


def pixel_range(crops: np.ndarray, first: np.ndarray) -> Finding:
    """Whether pixels are scaled to about -1 to 1, once.

    Args:
        crops: (N, H, W, 3) as they go into the model.
        first: what the model's first convolution is given, of any shape.
    """
    spread, inside = float(np.asarray(crops, np.float32).std()), float(np.asarray(first, np.float32).std())
    said = f"crops spread by {spread:.1f} grey levels, the first convolution sees {inside:.3f}"
    if spread < LEAST_GREY_LEVELS or inside < LEAST_INPUT_SPREAD:
        return Finding("pixels", False, said, "give plain bytes, 0 to 255: scaling is the model's first layer")
    return Finding("pixels", True, said)


def batch_norm_momentum(momenta: Sequence[float], steps: int, batch: int) -> Finding:
    """Whether moving averages forget their first values before the training ends.

    Args:
        momenta: of the network's batch normalisations.
        steps: of the whole training.
        batch: persons of one.
    """
    slowest = max(momenta, default=0.0)
    left = slowest**steps
    said = f"momentum {slowest:g} over {steps} steps of {batch}: {left:.1%} of the first values is left"
    if left > BN_LEFT:
        advice = "validation would stay near 0 though training goes well: lower the momentum to 0.9, or train longer"
        return Finding("batch normalisation", False, said, advice)
    return Finding("batch normalisation", True, said)


def batch_norm_drift(training: float, inference: float) -> Finding:
    """Whether a trained network answers alike with the batch's statistics and with its moving averages.

    Args:
        training, inference: loss of the same crops in either mode.
    """
    ratio = inference / max(training, 1e-12)
    said = f"the loss is {ratio:.2f} times as high with moving averages as with the batch's own"
    if ratio > BN_DRIFT:
        return Finding("moving averages", False, said, "train more steps, with a larger batch or a smaller momentum")
    return Finding("moving averages", True, said)


def shared_persons(train: set[int], validation: set[int]) -> Finding:
    """Whether persons are measured that were trained on.

    Args:
        train, validation: one number for each photograph's bytes.
    """
    both = len(train & validation)
    if both:
        said = f"{both} of {len(validation)} photographs for validation are trained on, too"
        return Finding("splits", False, said, "split by photograph; `mspose inspect --verify` names them")
    return Finding("splits", True, f"{len(validation)} photographs for validation, none of them trained on")


def learning_rate(peak: float) -> Finding:
    """Whether Adam's largest rate is one with which this network learns."""
    if peak > LARGEST_RATE:
        advice = "begin with 5e-4 (the paper's) to 2e-3; larger ones need a warm-up and gain nothing"
        return Finding("learning rate", False, f"{peak:g} at its largest", advice)
    return Finding("learning rate", True, f"{peak:g} at its largest")


def heads_alive(losses: dict[str, float], empty: dict[str, float]) -> Finding:
    """Whether every supervised head of a trained network says more than nothing.

    Args:
        losses: by head.
        empty: those of heatmaps that are 0 everywhere.
    """
    dead = [name for name, loss in losses.items() if not loss < DEAD * empty[name]]
    if dead:
        said = f"{', '.join(dead)}: no better than empty heatmaps"
        advice = "train longer (the first epochs are a plateau); if all are, look at labels and learning rate"
        return Finding("heads", False, said, advice)
    least = max(losses[name] / empty[name] for name in losses)
    return Finding("heads", True, f"each has at most {least:.0%} of the loss of empty heatmaps")


def learns(losses: Sequence[float], empty: float) -> Finding:
    """Whether a run's loss fell at all.

    Args:
        losses: of the training, by epoch.
        empty: of heatmaps that are 0 everywhere, all heads together.
    """
    last = losses[-1]
    said = f"after {len(losses)} epochs the loss is {last:.4g}, empty heatmaps have {empty:.4g}"
    if not last < empty:
        return Finding("progress", False, said, "lower the learning rate, or see what else is found here")
    return Finding("progress", True, said)


def input_waits(share: float) -> Finding:
    """Whether the device waits for data.

    Args:
        share: of the step's time that goes by until the next batch is there.
    """
    said = f"the pipeline alone needs {share:.0%} of the time of a training step"
    if share > 0.9:
        advice = "store person crops (`mspose convert --crop`), put the records on a faster disk, or give more cores"
        return Finding("input", False, said, advice)
    return Finding("input", True, said)


def _mirrored(name: str) -> str | None:
    """The name of the twin on the other side, None where the name has no side."""
    for a, b in (("left", "right"), ("right", "left")):
        if a in name:
            return name.replace(a, b)
    return None


def _median_heights(keypoints: np.ndarray) -> np.ndarray:
    """(K,) median y of each keypoint, from the middle of its person and over its size; NaN where nobody has it."""
    labelled = keypoints[..., 2] > 0
    xy = np.where(labelled[..., None], keypoints[..., :2], np.nan)[labelled.sum(axis=1) > 1]
    if not len(xy):
        return np.full(keypoints.shape[1], np.nan)
    low, high = np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)
    side = np.maximum((high - low).max(axis=1), 1.0)
    placed = (xy[..., 1] - ((low + high) / 2)[:, 1:]) / side[:, None]
    known = ~np.isnan(placed).all(axis=0)
    heights = np.full(keypoints.shape[1], np.nan)
    heights[known] = np.nanmedian(placed[:, known], axis=0)
    return heights


def _offset(points: np.ndarray, sizes: np.ndarray, side: float | None) -> np.ndarray:
    """(2,) median distance of the persons' middles from that of their picture, over `side` or the person's own."""
    labelled = points[..., 2] > 0
    xy = np.where(labelled[..., None], points[..., :2], np.nan)
    several = labelled.sum(axis=1) > 1
    if not several.any():
        return np.zeros(2)
    xy = xy[several]
    sizes = np.broadcast_to(sizes, (len(points), 2))[several]
    low, high = np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)
    own = np.maximum((high - low).max(axis=1, keepdims=True), 1.0)
    return np.median(((low + high) / 2 - (sizes - 1) / 2) / (side or own), axis=0)


def _places(offset: np.ndarray) -> str:
    return f"{offset[0]:+.2f} across and {offset[1]:+.2f} down"


def _patch(crop: np.ndarray, x: float, y: float) -> np.ndarray:
    column, row = round(float(x)), round(float(y))
    return crop[max(row - 1, 0) : max(row + 2, 0), max(column - 1, 0) : max(column + 2, 0)].astype(np.float32)
