"""PCK and PCKh as a Keras metric inside `fit`: sums and counts, so that replicas and batches of any size add up."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_mspose import heatmaps as codec


@keras.saving.register_keras_serializable("keras_mspose")
class CorrectKeypoints(keras.metrics.Metric):
    """Percentage of keypoints within `threshold` reference lengths of the truth, unweighted mean over keypoints.

    The same figure as `metrics.accuracy(...).mean`: labelled keypoints of persons with a reference length count. Hits
    and counts are whole numbers, exact in float32 up to 16 million a keypoint; the result is float64.

    Args:
        keypoints: K.
        scored: positions of the keypoints that the mean is over.
        threshold: share of the reference length.
        stride: crop pixels a heatmap pixel.
        sigma: of the ground truth, in heatmap pixels.
    """

    def __init__(
        self,
        keypoints: int,
        scored: list[int],
        threshold: float,
        stride: int = 4,
        sigma: float = 1.0,
        name: str = "pck",
        dtype: str = "float32",
    ):
        super().__init__(name=name, dtype=dtype)
        self.keypoints, self.scored, self.threshold = keypoints, list(scored), threshold
        self.stride, self.sigma = stride, sigma
        self.hits = self.add_variable((keypoints,), "zeros", dtype="float32", name="hits")
        self.counts = self.add_variable((keypoints,), "zeros", dtype="float32", name="counts")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Add a batch: targets (B, K, 4) as `person_truth.targets` makes them, and heatmaps (B, h, w, K)."""
        found = codec.decode(tf.cast(y_pred, tf.float32), self.stride, self.sigma)
        distance = tf.norm(found[..., :2] - y_true[..., :2], axis=-1)
        counted = (y_true[..., 2] > 0) & (y_true[..., 3] > 0)
        right = counted & (distance <= self.threshold * y_true[..., 3])
        self.hits.assign_add(tf.reduce_sum(tf.cast(right, tf.float32), axis=0))
        self.counts.assign_add(tf.reduce_sum(tf.cast(counted, tf.float32), axis=0))

    def result(self) -> tf.Tensor:
        hits, counts = (
            tf.cast(tf.gather(tf.convert_to_tensor(v), self.scored), tf.float64) for v in (self.hits, self.counts)
        )
        seen = tf.cast(counts > 0, tf.float64)
        share = tf.math.divide_no_nan(hits, counts)
        return 100.0 * tf.math.divide_no_nan(tf.reduce_sum(share * seen), tf.reduce_sum(seen))

    def reset_state(self) -> None:
        for variable in (self.hits, self.counts):
            variable.assign(tf.zeros(variable.shape))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            **{k: getattr(self, k) for k in ("keypoints", "scored", "threshold", "stride", "sigma")},
        }
