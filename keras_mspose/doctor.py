"""What is wrong with data, a recipe or a trained run, in words: each check looks at arrays and answers one finding.

The thresholds stand well between what healthy data shows (LSP Extended, rendered persons) and what the fault does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_mspose.skeleton import Skeleton

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


def _patch(crop: np.ndarray, x: float, y: float) -> np.ndarray:
    column, row = round(float(x)), round(float(y))
    return crop[max(row - 1, 0) : max(row + 2, 0), max(column - 1, 0) : max(column + 2, 0)].astype(np.float32)
