"""What a network costs, by calculation: parameters, FLOPs, outputs, and the memory of a training step."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import keras

BYTES = 4  # float32
ADAM_COPIES = 4  # weights, gradients, and Adam's two moments


@dataclass(frozen=True)
class Cost:
    """What one network costs.

    Attributes:
        parameters: of the training network.
        inference_parameters: of what inference keeps.
        gflops: 1e9 floating-point operations of one crop's forward pass through the training network, a
            multiply-add counted as two; convolutions alone, which are 99 % of it.
        inference_gflops: the same for what inference keeps.
        outputs: (height, width, keypoints) of every head, by name.
        activation_bytes: what the backward pass needs of one crop's forward pass.
        weight_bytes: weights, gradients and Adam's moments.
    """

    parameters: int
    inference_parameters: int
    gflops: float
    inference_gflops: float
    outputs: dict[str, tuple[int, int, int]]
    activation_bytes: int
    weight_bytes: int

    def training_bytes(self, batch: int) -> int:
        """Memory of a training step of `batch` crops: kept activations, weights, and once more the largest
        activations for the gradients in flight."""
        return self.weight_bytes + batch * self.activation_bytes


def cost(model: keras.Model, inference: keras.Model) -> Cost:
    """Work out the cost of a training network and of its inference network."""
    return Cost(
        parameters=model.count_params(),
        inference_parameters=inference.count_params(),
        gflops=_gflops(model),
        inference_gflops=_gflops(inference),
        outputs={name: tuple(maps.shape[1:]) for name, maps in model.output.items()},
        activation_bytes=_activation_bytes(model),
        weight_bytes=ADAM_COPIES * BYTES * sum(prod(w.shape) for w in model.trainable_weights),
    )


def _gflops(model: keras.Model) -> float:
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(operations(convolution) for convolution in convolutions) / 1e9


def operations(convolution: keras.layers.Conv2D) -> int:
    """Floating-point operations of one crop's forward pass, a multiply-add counted as two."""
    return 2 * prod(convolution.kernel.shape) * prod(convolution.output.shape[1:3])


def _activation_bytes(model: keras.Model) -> int:
    """Outputs that the backward pass reads: a convolution's (batch normalisation's gradient), ReLU's and sums' (the
    next convolution's gradient), pooling's. Batch normalisation's own output is overwritten by ReLU's."""
    kept = (keras.layers.Conv2D, keras.layers.ReLU, keras.layers.Add, keras.layers.MaxPooling2D, keras.layers.Rescaling)
    kept += (keras.layers.Concatenate,)
    sizes = [prod(layer.output.shape[1:]) for layer in model.layers if isinstance(layer, kept)]
    gradients_in_flight = 2 * max(sizes)
    return BYTES * (sum(sizes) + gradients_in_flight)
