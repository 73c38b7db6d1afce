"""Equation 1 of the paper, one term for each supervised head."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE


@keras.saving.register_keras_serializable("keras_mspose")
class HeatmapLoss(keras.losses.Loss):
    """L_i = 1/N sum_n sum_xy (P_n - G_n)^2, averaged over the batch.

    The ground truth G is drawn here, on the device, from the keypoints: heatmaps never travel through the input
    pipeline. N counts all keypoints of the skeleton; one that is not labelled adds 0.

    Args:
        scale: 1 for GT, 2 for GT/2, ...
        sigma: of the Gaussians, in heatmap pixels of the scale that they are drawn at.
        pyramid: `rendered` draws G at its own scale; `maximum` and `average` draw GT and down-sample it.
        hardest: online hard keypoint mining: the mean is over each person's so many keypoints of the largest loss alone
            (Chen et al., Cascaded Pyramid Network, CVPR 2018); over all where None.
    """

    def __init__(
        self,
        scale: int = 1,
        sigma: float = 1.0,
        pyramid: str = "rendered",
        hardest: int | None = None,
        name: str = "heatmap_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.scale, self.sigma, self.pyramid, self.hardest = scale, sigma, pyramid, hardest

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """(B, K, 4) targets (x, y in crop pixels, visibility, unused) and (B, h, w, K) heatmaps to (B,) losses."""
        height, width = y_pred.shape[1:3]
        if self.pyramid == "rendered" or self.scale == 1:
            truth = codec.render(y_true, (height, width), STRIDE * self.scale, self.sigma)
        else:
            full = codec.render(y_true, (height * self.scale, width * self.scale), STRIDE, self.sigma)
            truth = codec.shrink(full, self.scale, self.pyramid)
        labelled = tf.cast(y_true[..., 2] > 0, y_pred.dtype)
        per_map = tf.reduce_sum(tf.math.squared_difference(y_pred, truth), axis=(1, 2))
        found = per_map * labelled
        if self.hardest:
            found = tf.math.top_k(found, self.hardest, sorted=False).values
        return tf.reduce_mean(found, axis=-1)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            **{key: getattr(self, key) for key in ("scale", "sigma", "pyramid", "hardest")},
        }
