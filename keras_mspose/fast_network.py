"""The training network, run on a CPU in fused parts: the same layers, weights and files, the same numbers.

The network is a Keras functional model. For training its layers are not called one by one: runs of them that `fused`
knows are computed together, and whatever is left over is called as it stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from keras_mspose import fused, fused_scale
from keras_mspose.config import RunConfig
from keras_mspose.layers import STRIDE, BatchNorm

SMALLEST = 2**20  # values in a batch's features at GT size, from which on the fast way is faster
Values = dict[int, tf.Tensor]  # by id of the KerasTensor that stands for the value


class FastNetwork(keras.Model):
    """A network over the layers of another, which it shares: `FastNetwork(model.inputs[0], model.output)`.

    Training (`training=True`) goes through `fused` and `fused_scale`, anything else as in any Keras model.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> Any:
        return run(self, inputs) if training else super().call(inputs, training=training, mask=mask)


def suits(strategy: tf.distribute.Strategy, config: RunConfig) -> bool:
    """Whether a training should go the fast way: one replica, on a CPU, in float32, of features large enough.

    GPUs have fused kernels of their own; several replicas share the statistics of batch normalisation; and for small
    features starting the fused parts costs more than they save (`docs/training-speed.md`).
    """
    on_cpu = all("CPU" in device for device in strategy.extended.worker_devices)
    height, width = (side // STRIDE for side in config.model.input_size)
    features = config.training.batch_size * height * width * config.model.channels
    alone = strategy.num_replicas_in_sync == 1 and config.training.precision == "float32"
    return on_cpu and alone and features >= SMALLEST


@tf.autograph.experimental.do_not_convert
def run(network: keras.Model, crops: tf.Tensor) -> Any:
    """The outputs of `network(crops, training=True)`, and its effect on the moving averages."""
    values: Values = {id(network.inputs[0]): crops}
    for step in _steps(network):
        step(values)
    return tf.nest.map_structure(lambda output: values[id(output)], network.output)


def _steps(network: keras.Model) -> list[Callable[[Values], None]]:
    """The network's layers in their order, those that go together as one step at the place of their last."""
    users: dict[int, list[layers.Layer]] = defaultdict(list)
    for layer in network.layers:
        if not isinstance(layer, layers.InputLayer):
            for tensor in tf.nest.flatten(layer.input):
                users[id(tensor)].append(layer)
    for output in tf.nest.flatten(network.output):
        users[id(output)].append(None)

    def only_user(layer: layers.Layer, kind: type) -> layers.Layer | None:
        found = users[id(layer.output)]
        return found[0] if len(found) == 1 and isinstance(found[0], kind) else None

    steps: dict[layers.Layer, Callable[[Values], None]] = {}
    taken: set[layers.Layer] = set()
    for layer in network.layers:
        if layer in taken or isinstance(layer, layers.InputLayer):
            continue
        if isinstance(layer, layers.Conv2D) and (chain := _chain(layer, only_user)):
            taken.update(chain)
            steps[chain[-1]] = _residual(chain) if isinstance(chain[-1], layers.Add) else _convolution(chain)
        elif isinstance(layer, layers.Conv2D) and tuple(layer.kernel_size) == (1, 1) and layer.use_bias:
            steps[layer] = _pointwise(layer)
        elif isinstance(layer, layers.MaxPooling2D) and tuple(layer.pool_size) == (2, 2) == tuple(layer.strides):
            steps[layer] = _pool(layer)
        elif isinstance(layer, layers.UpSampling2D) and (merge := _enlarged_sum(layer, only_user)):
            taken.update((layer, merge))
            steps[merge] = _add_enlarged(layer, merge)
        else:
            steps[layer] = _call(layer)
    return [steps[layer] for layer in network.layers if layer in steps]


def _chain(first: layers.Conv2D, only_user: Callable) -> list[layers.Layer]:
    """All layers of a residual module up to its sum; else the convolution, its normalisation and its ReLU, if any;
    nothing where the convolution is not normalised."""
    unit = _unit(first, only_user)
    chain = list(unit)
    for kernel in (3, 1):
        following = only_user(chain[-1], layers.Conv2D) if chain else None
        if following is None or following.kernel_size != (kernel, kernel) or following.strides != (1, 1):
            return unit
        chain += _unit(following, only_user)
    add = only_user(chain[-1], layers.Add)
    starts_narrow = first.kernel_size == (1, 1) == first.strides
    if starts_narrow and len(chain) == 8 and add and len(add.input) == 2 and add.input[1] is chain[-1].output:
        return [*chain, add]
    return unit


def _unit(convolution: layers.Conv2D, only_user: Callable) -> list[layers.Layer]:
    normalisation = only_user(convolution, BatchNorm)
    if convolution.use_bias or normalisation is None:
        return []
    relu = only_user(normalisation, layers.ReLU)
    return [convolution, normalisation, *([relu] if relu else [])]


def _stage(convolution: layers.Conv2D, normalisation: BatchNorm) -> fused.Stage:
    weights = (convolution.kernel, normalisation.gamma, normalisation.beta)
    return fused.Stage(*(tf.convert_to_tensor(weight.value) for weight in weights))


def _move_averages(normalisation: BatchNorm, moments: fused.Moments) -> None:
    for average, now in zip((normalisation.moving_mean, normalisation.moving_variance), moments, strict=True):
        average.assign(average * normalisation.momentum + now * (1.0 - normalisation.momentum))


def _convolution(chain: list[layers.Layer]) -> Callable[[Values], None]:
    first, normalisation, end = chain[0], chain[1], chain[-1]

    def step(values: Values) -> None:
        values[id(end.output)], moments = fused.convolution(
            values[id(first.input)],
            _stage(first, normalisation),
            stride=first.strides[0],
            relu=isinstance(end, layers.ReLU),
            epsilon=normalisation.epsilon,
        )
        _move_averages(normalisation, moments)

    return step


def _residual(chain: list[layers.Layer]) -> Callable[[Values], None]:
    pairs = [tuple(chain[i : i + 2]) for i in (0, 3, 6)]
    first, add = chain[0], chain[-1]

    def step(values: Values) -> None:
        skip = None if add.input[0] is first.input else values[id(add.input[0])]
        stages = tuple(_stage(*pair) for pair in pairs)
        found = fused.residual(values[id(first.input)], stages, epsilon=chain[1].epsilon, skip=skip)
        values[id(add.output)], moments = found
        for (_, normalisation), one in zip(pairs, moments, strict=True):
            _move_averages(normalisation, one)

    return step


def _pointwise(layer: layers.Conv2D) -> Callable[[Values], None]:
    def step(values: Values) -> None:
        kernel, bias = (tf.convert_to_tensor(weight.value) for weight in (layer.kernel, layer.bias))
        values[id(layer.output)] = fused.pointwise(values[id(layer.input)], kernel, bias)

    return step


def _pool(layer: layers.MaxPooling2D) -> Callable[[Values], None]:
    def step(values: Values) -> None:
        values[id(layer.output)] = fused_scale.pool(values[id(layer.input)])

    return step


def _enlarged_sum(layer: layers.UpSampling2D, only_user: Callable) -> layers.Add | None:
    if layer.interpolation != "nearest" or tuple(layer.size) != (2, 2):
        return None
    add = only_user(layer, layers.Add)
    return add if add is not None and len(add.input) == 2 and add.input[1] is layer.output else None


def _add_enlarged(layer: layers.UpSampling2D, add: layers.Add) -> Callable[[Values], None]:
    def step(values: Values) -> None:
        values[id(add.output)] = fused_scale.add_enlarged(values[id(add.input[0])], values[id(layer.input)])

    return step


def _call(layer: layers.Layer) -> Callable[[Values], None]:
    known = {"training": True} if isinstance(layer, BatchNorm) else {}

    def step(values: Values) -> None:
        inputs = tf.nest.map_structure(lambda tensor: values[id(tensor)], layer.input)
        values[id(layer.output)] = layer(inputs, **known)

    return step
