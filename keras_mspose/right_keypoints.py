"""PCK and PCKh inside the training step: counts on the device, so that replicas and batches of any size add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_mspose import heatmaps as codec


@dataclass(frozen=True)
class RightKeypoints:
    """Keypoints within `threshold` reference lengths of the truth.

    Attributes:
        scored: positions of the keypoints that the mean is over.
        threshold: share of the reference length.
        stride: crop pixels a heatmap pixel.
        sigma: of the ground truth, in heatmap pixels.
    """

    scored: Sequence[int]
    threshold: float
    stride: int = 4
    sigma: float = 1.0

    def count(self, targets: tf.Tensor, heatmaps: tf.Tensor) -> tf.Tensor:
        """(2, K) float32: by keypoint how many are right, and how many count: labelled ones of persons with a
        reference length.

        Args:
            targets: (B, K, 4) as `pipeline.targets` makes them.
            heatmaps: (B, h, w, K).
        """
        found = codec.decode(tf.cast(heatmaps, tf.float32), self.stride, self.sigma)
        distance = tf.norm(found[..., :2] - targets[..., :2], axis=-1)
        counted = (targets[..., 2] > 0) & (targets[..., 3] > 0)
        right = counted & (distance <= self.threshold * targets[..., 3])
        return tf.reduce_sum(tf.cast(tf.stack([right, counted]), tf.float32), axis=1)

    def percentage(self, counts: np.ndarray) -> float:
        """Unweighted mean over the scored keypoints, from sums of what `count` gives; the same figure as
        `metrics.accuracy(...).mean`, and 0 where nothing counts."""
        right, counted = np.asarray(counts, float)[:, list(self.scored)]
        seen = counted > 0
        return float(100 * np.mean(right[seen] / counted[seen])) if seen.any() else 0.0
