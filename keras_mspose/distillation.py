"""A larger network as a teacher (Zhang, Zhu, Ye: Fast Human Pose Estimation, CVPR 2019), as further outputs that `fit`
makes small: what lies between a head's heatmaps and the teacher's."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_mspose import saved_model
from keras_mspose.errors import MsposeError
from keras_mspose.model import answer_name, head_scale
from keras_mspose.saved_model import Facts

ENDING = "_taught"  # of the names of such outputs, after that of the head


@keras.saving.register_keras_serializable("keras_mspose")
class TaughtLoss(keras.losses.Loss):
    """1/N sum_n sum_xy (P_n - D_n)^2, averaged over the batch, D the teacher's heatmaps. n is over all N keypoints: the
    teacher also knows those that are not labelled."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Anything, and differences P - D (B, h, w, K), to (B,) losses."""
        return tf.reduce_mean(tf.reduce_sum(tf.square(y_pred), axis=(1, 2)), axis=-1)


def with_teacher(model: keras.Model, facts: Facts) -> keras.Model:
    """The network with an output `HEAD_taught` beside each head that the teacher has an answer for: its own answer for
    heads at GT, its last stack's heatmaps for smaller scales that it has, too.

    Args:
        model: the training network; the result shares its weights.
        facts: `training.teacher` of their configuration runs in inference mode and learns nothing.

    Raises:
        MsposeError: the teacher has another skeleton or crop size, or is no trained network.
    """
    source = facts.config.training.teacher
    teacher, its = saved_model.load(source)
    where = f"training.teacher {source}"
    if its.skeleton.keypoints != facts.skeleton.keypoints:
        raise MsposeError(f"{where}: its keypoints are {its.skeleton.name}'s; expected {facts.skeleton.name}'s")
    if its.config.model.input_size != facts.config.model.input_size:
        raise MsposeError(
            f"{where}: its crops are {its.config.model.input_size}; expected {facts.config.model.input_size}"
        )
    heads = {scale: f"stack{its.config.model.stacks}_gt{scale}" for scale in its.config.model.scales}
    heads[1] = answer_name(teacher)
    shown = keras.Model(teacher.inputs[0], {str(s): teacher.output[name] for s, name in heads.items()}, name="teacher")
    shown.trainable = False
    answers = shown(model.inputs[0], training=False)
    taught = {}
    for name in model.output_names:
        if head_scale(name) in heads:
            pair = [model.output[name], answers[str(head_scale(name))]]
            taught[name + ENDING] = keras.layers.Subtract(name=name + ENDING, dtype="float32")(pair)
    return keras.Model(model.inputs[0], {**model.output, **taught}, name="taught")


def shared_weights(names: list[str], weights: dict[str, float], share: float) -> dict[str, float]:
    """Weights of all outputs' losses: of each head that is taught, the teacher's `share`, and the labels' rest.

    Args:
        names: of all outputs.
        weights: of the heads, by name.
    """
    found = {}
    for name in names:
        head = name.removesuffix(ENDING)
        part = 1.0 if head + ENDING not in names else 1.0 - share if head == name else share
        found[name] = weights[head] * part
    return found
