"""The one graph that every format is made of: uint8 crops in, heatmaps and keypoints out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE
from keras_mspose.model import inference_model
from keras_mspose.saved_model import Facts

if TYPE_CHECKING:
    import keras


class InferenceGraph(tf.Module):
    """The network without its supervision heads, and the codec's decoding behind it.

    Args:
        model: the training network; its weights are shared.
        facts: input size and sigma come from here.
    """

    def __init__(self, model: keras.Model, facts: Facts):
        super().__init__()
        network = inference_model(model)
        self.parameters = network.count_params()
        # Tracked as plain variables: a tracked Keras model would be written beside them, each weight a second time.
        self.weights = [weight.value for weight in network.weights]
        self._forward = lambda crops: network(crops, training=False)
        self._sigma = facts.config.training.sigma
        spec = tf.TensorSpec((None, *facts.config.model.input_size, 3), tf.uint8, name="crops")
        self.serve = tf.function(self._answer, input_signature=[spec])

    def _answer(self, crops: tf.Tensor) -> dict[str, tf.Tensor]:
        """(B, H, W, 3) uint8 to `heatmaps` (B, h, w, K) and `keypoints` (B, K, 3): x, y in crop pixels, score."""
        heatmaps = self._forward(crops)
        return {"heatmaps": heatmaps, "keypoints": codec.decode(heatmaps, STRIDE, self._sigma)}
