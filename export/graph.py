"""The graph that every format is made of: uint8 crops in, heatmaps and decoded keypoints out, all in float32."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from export import photographs
from export.network import Network
from export.photographs import BOXES, IMAGE_BYTES
from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE
from keras_mspose.model import inference_model
from keras_mspose.passes import flipped_back
from keras_mspose.saved_model import Facts

CROPS, HEATMAPS, KEYPOINTS = "crops", "heatmaps", "keypoints"  # tensor names, the same in every format
Answer = dict[str, np.ndarray]
Runner = Callable[[np.ndarray], Answer]


class InferenceGraph(tf.Module):
    """The network without its supervision heads, and the codec's decoding behind it.

    Args:
        model: the training network of any precision; its weights are copied.
        facts: skeleton, and the sigma that the heatmaps were trained with.

    Attributes:
        network: crops to heatmaps.
        skeleton, sigma: as the facts have them.
    """

    def __init__(self, model: keras.Model, facts: Facts):
        super().__init__()
        self.network = Network(inference_model(model))
        self.skeleton = facts.skeleton
        self.sigma = facts.config.training.sigma

    def answer(self, crops: tf.Tensor) -> dict[str, tf.Tensor]:
        """(B, H, W, 3) uint8 to `heatmaps` (B, h, w, K) and `keypoints` (B, K, 3): x, y in crop pixels, score."""
        heatmaps = self.network(crops)
        return {HEATMAPS: heatmaps, KEYPOINTS: codec.decode(heatmaps, STRIDE, self.sigma)}

    def function(self, batch: int | None) -> tf.types.experimental.PolymorphicFunction:
        """`answer` for one batch size, or for any where None."""
        return tf.function(self.answer, input_signature=[self.crops(batch)], autograph=False)

    def look(self, *, flip: bool) -> tf.types.experimental.PolymorphicFunction:
        """(B, H, W, 3) uint8 to the keypoints of `answer` alone. With `flip`, of heatmaps that are the mean with those
        of the mirrored crops. One function, which graphs call as often as they need it."""

        def keypoints(crops: tf.Tensor) -> tf.Tensor:
            # oneDNN's convolutions fail on no crops at all: then there is one, whose answer is left out.
            count = tf.shape(crops)[0]
            return seen(tf.pad(crops, [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]]))[:count]

        def seen(crops: tf.Tensor) -> tf.Tensor:
            if not flip:
                return self.answer(crops)[KEYPOINTS]
            plain, mirrored = tf.split(self.network(tf.concat([crops, crops[:, :, ::-1]], axis=0)), 2)
            return codec.decode((plain + flipped_back(mirrored, self.skeleton)) / 2, STRIDE, self.sigma)

        return tf.function(keypoints, input_signature=[self.crops(None)], autograph=False)

    def photographs(self, *, flip: bool, looks: int) -> list[tf.types.experimental.PolymorphicFunction]:
        """Encoded photographs to keypoints in the photographs' pixels: one function that takes the photographs alone,
        and one that takes a box for each; see `photographs.keypoints`."""
        size, look = self.network.input_size, self.look(flip=flip)

        def boxed(images: tf.Tensor, boxes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {KEYPOINTS: photographs.keypoints(images, boxes, look, size, looks)}

        def whole(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return boxed(images, tf.zeros([tf.size(images), 3]))

        files, boxes = tf.TensorSpec((None,), tf.string, IMAGE_BYTES), tf.TensorSpec((None, 3), tf.float32, BOXES)
        return [
            tf.function(whole, input_signature=[files], autograph=False),
            tf.function(boxed, input_signature=[files, boxes], autograph=False),
        ]

    def crops(self, batch: int | None) -> tf.TensorSpec:
        """Shape, type and name of the input."""
        return tf.TensorSpec((batch, *self.network.input_size, 3), tf.uint8, name=CROPS)
