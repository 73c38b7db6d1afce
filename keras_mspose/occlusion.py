"""The paper's occlusion experiment (section 3.3): accuracy on keypoints that cannot be seen.

Multi-scale supervision is to help where a hidden keypoint has to be told from its neighbours: the paper counts occluded
keypoints that have a visible neighbour on the skeleton.
"""

from __future__ import annotations

import numpy as np

from keras_mspose.metrics import Accuracy, accuracy
from keras_mspose.skeleton import Skeleton

KINDS = {
    "visible": "visible",
    "occluded": "occluded",
    "occluded_with_visible_neighbour": "occluded, a neighbour visible",
}


def by_visibility(
    distances: np.ndarray,
    visibility: np.ndarray,
    skeleton: Skeleton,
    metric: str,
    threshold: float | None = None,
    *,
    strict: bool = False,
) -> dict[str, Accuracy]:
    """Accuracy on visible keypoints, on occluded ones, and on those of them with a visible neighbour.

    Args:
        distances: (P, K), as `metrics.normalised_distances` gives them.
        visibility: (P, K) 0 not labelled, 1 occluded, 2 visible.
        skeleton: its limbs say who is whose neighbour.
        metric, threshold, strict: see `metrics.accuracy`.

    Returns:
        By the keys of KINDS.
    """
    near = np.zeros((len(skeleton), len(skeleton)), bool)
    for a, b in skeleton.limb_indices:
        near[a, b] = near[b, a] = True
    neighbour_seen = (visibility == 2) @ near
    masks = {
        "visible": visibility == 2,
        "occluded": visibility == 1,
        "occluded_with_visible_neighbour": (visibility == 1) & neighbour_seen,
    }
    return {
        kind: accuracy(np.where(masks[kind], distances, np.nan), skeleton, metric, threshold, strict=strict)
        for kind in KINDS
    }
