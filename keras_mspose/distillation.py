"""A larger network as a teacher (Zhang, Zhu, Ye: Fast Human Pose Estimation, CVPR 2019)."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_mspose import saved_model
from keras_mspose.config import DistillConfig
from keras_mspose.errors import MsposeError
from keras_mspose.model import answer_name
from keras_mspose.saved_model import Facts


class Teacher:
    """A trained network's heatmaps, in inference mode: its answer at GT, and its last stack's at the smaller scales.

    Raises:
        MsposeError: it has another skeleton or crop size, or is no trained network.
    """

    def __init__(self, config: DistillConfig, facts: Facts):
        model, its = saved_model.load(config.teacher)
        where = f"training.distill.teacher {config.teacher}"
        if its.skeleton.keypoints != facts.skeleton.keypoints:
            raise MsposeError(f"{where}: its keypoints are {its.skeleton.name}'s; expected {facts.skeleton.name}'s")
        if its.config.model.input_size != facts.config.model.input_size:
            raise MsposeError(
                f"{where}: its crops are {its.config.model.input_size}; expected {facts.config.model.input_size}"
            )
        last = its.config.model.stacks
        heads = {scale: f"stack{last}_gt{scale}" for scale in its.config.model.scales} | {1: answer_name(model)}
        self.model = keras.Model(model.inputs[0], {str(scale): model.output[name] for scale, name in heads.items()})
        self.model.trainable = False

    def __call__(self, crops: tf.Tensor) -> dict[int, tf.Tensor]:
        """(B, H, W, 3) uint8 crops to (B, h, w, K) heatmaps by scale; no gradient goes through them."""
        return {int(scale): tf.stop_gradient(maps) for scale, maps in self.model(crops, training=False).items()}
