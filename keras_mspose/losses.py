"""Equation 1 of the paper, one term for each supervised head."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE
from keras_mspose.skeleton import Skeleton


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
        structure: weight of the structure-aware term (Ke, Chang, Qi, Lyu: Multi-Scale Structure-Aware Network, ECCV
            2018): a keypoint and its neighbours on the skeleton matched together, added up in one map,
            structure/N sum_n sum_xy (sum_{m in S_n} (P_m - G_m))^2.
        groups: (N, N) 1 where keypoint m is in the group S_n of keypoint n, as `skeleton_groups` makes them; for
            `structure`.
    """

    def __init__(
        self,
        scale: int = 1,
        sigma: float = 1.0,
        pyramid: str = "rendered",
        hardest: int | None = None,
        structure: float = 0.0,
        groups: list[list[int]] | None = None,
        name: str = "heatmap_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.scale, self.sigma, self.pyramid, self.hardest = scale, sigma, pyramid, hardest
        self.structure, self.groups = structure, groups

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """(B, K, 4) targets (x, y in crop pixels, visibility, unused) and (B, h, w, K) heatmaps to (B,) losses."""
        height, width = y_pred.shape[1:3]
        if self.pyramid == "rendered" or self.scale == 1:
            truth = codec.render(y_true, (height, width), STRIDE * self.scale, self.sigma)
        else:
            full = codec.render(y_true, (height * self.scale, width * self.scale), STRIDE, self.sigma)
            truth = codec.shrink(full, self.scale, self.pyramid)
        labelled = tf.cast(y_true[..., 2] > 0, y_pred.dtype)
        off = y_pred - truth
        found = tf.reduce_sum(tf.square(off), axis=(1, 2)) * labelled
        if self.hardest:
            found = tf.math.top_k(found, self.hardest, sorted=False).values
        loss = tf.reduce_mean(found, axis=-1)
        if self.structure:
            groups = tf.constant(self.groups, off.dtype)
            together = tf.matmul(off * labelled[:, None, None, :], groups, transpose_b=True)
            loss += self.structure * tf.reduce_mean(tf.reduce_sum(tf.square(together), axis=(1, 2)), axis=-1)
        return loss

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            **{key: getattr(self, key) for key in ("scale", "sigma", "pyramid", "hardest", "structure", "groups")},
        }


def skeleton_groups(skeleton: Skeleton) -> list[list[int]]:
    """(K, K) 1 for each keypoint itself and those that a limb joins it to, else 0."""
    groups = [[int(i == j) for j in range(len(skeleton))] for i in range(len(skeleton))]
    for i, j in skeleton.limb_indices:
        groups[i][j] = groups[j][i] = 1
    return groups
