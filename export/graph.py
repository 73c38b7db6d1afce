"""The one graph that every format is made of: uint8 crops in, heatmaps and decoded keypoints out, all in float32."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE
from keras_mspose.model import inference_model

CROPS, HEATMAPS, KEYPOINTS = "crops", "heatmaps", "keypoints"  # tensor names, the same in every format
Answer = dict[str, np.ndarray]
Runner = Callable[[np.ndarray], Answer]


class InferenceGraph(tf.Module):
    """The network without its supervision heads, and the codec's decoding behind it.

    Args:
        model: the training network of any precision; its weights are copied.
        sigma: that the heatmaps were trained with, heatmap pixels.

    Attributes:
        input_size: (height, width) of the crops.
        sigma: as given.
        parameters: numbers in the weights.
        weights: the variables; a tracked Keras model would be written beside them, each weight a second time.
    """

    def __init__(self, model: keras.Model, sigma: float):
        super().__init__()
        network = _float32_network(inference_model(model))
        self.input_size: tuple[int, int] = tuple(network.inputs[0].shape[1:3])
        self.parameters: int = network.count_params()
        self.weights = [weight.value for weight in network.weights]
        self._forward = lambda crops: network(crops, training=False)
        self.sigma = sigma

    def answer(self, crops: tf.Tensor) -> dict[str, tf.Tensor]:
        """(B, H, W, 3) uint8 to `heatmaps` (B, h, w, K) and `keypoints` (B, K, 3): x, y in crop pixels, score."""
        heatmaps = self._forward(crops)
        return {HEATMAPS: heatmaps, KEYPOINTS: codec.decode(heatmaps, STRIDE, self.sigma)}

    def function(self, batch: int | None) -> tf.types.experimental.PolymorphicFunction:
        """`answer` for one batch size, or for any where None."""
        return tf.function(self.answer, input_signature=[self.crops(batch)])

    def crops(self, batch: int | None) -> tf.TensorSpec:
        """Shape, type and name of the input."""
        return tf.TensorSpec((batch, *self.input_size, 3), tf.uint8, name=CROPS)


def _float32_network(network: keras.Model) -> keras.Model:
    """A copy that computes in float32 and is made of operations that the converters know.

    Half precision is for training: its variables are float32 already, and neither TFLite's nor ONNX's normalisation
    takes bfloat16.
    """

    def layer(original: keras.Layer) -> keras.Layer:
        config = {**original.get_config(), "dtype": "float32"}
        if isinstance(original, keras.layers.UpSampling2D) and original.interpolation == "nearest":
            return _NearestUpSampling(original.size, name=original.name)
        return type(original).from_config(config)

    copy = keras.models.clone_model(network, clone_function=layer)
    for twin in copy.layers:
        twin.set_weights(network.get_layer(twin.name).get_weights())
    return copy


class _NearestUpSampling(keras.Layer):
    """Keras repeats rows and columns by a dozen reshapes and broadcasts, which converters keep; this is one resize."""

    def __init__(self, factors: tuple[int, int], **kwargs: str):
        super().__init__(dtype="float32", **kwargs)
        self.factors = factors

    def call(self, x: tf.Tensor) -> tf.Tensor:
        size = [side * factor for side, factor in zip(x.shape[1:3], self.factors, strict=True)]
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)
