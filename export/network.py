"""The inference network as bare TensorFlow operations, fewer than Keras would write.

The network is walked once, layer by layer, into a list of steps. On the way

- each batch normalisation becomes part of the convolution before it: `W' = W f` and `b' = beta - m f` with
  `f = gamma / sqrt(v + e)`;
- the factor that scales grey levels becomes part of the first convolution, so that only a subtraction is left before it
  (which cannot go in: beyond the border the convolution pads with what is then 0, mid-grey);
- 1x1 convolutions of which one feeds the other, or whose sum is all that is used, become one:
  `A x + B (C x + c) = (A + B C) x + B c`. So stacks join without their heatmaps being drawn.

All three are equal but for rounding; the products are taken in float64.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import reduce

import keras
import numpy as np
import tensorflow as tf

from keras_mspose.layers import BatchNorm


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        name: of the layer that it stands for; also of its result.
        kind: `subtract`, `convolution`, `add`, `pool`, `nearest`, `bilinear` or `concatenate`.
        inputs: names of the results that it takes.
        kernel: (kh, kw, in, out) of a convolution, in float64.
        bias: (out,) of a convolution, or (1,) what is subtracted.
        stride: of a convolution, or the factor of a pooling or up-sampling.
        relu: negative results become 0.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None
    stride: int = 1
    relu: bool = False


class Network(tf.Module):
    """The steps, with their weights as float32 variables, which every graph made of them shares.

    Args:
        model: functional inference model of one output; its weights are copied.

    Attributes:
        input_size: (height, width) of the crops.
        parameters: numbers in the weights that are left.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        self.input_size: tuple[int, int] = tuple(model.inputs[0].shape[1:3])
        self._source = model.layers[0].name
        self._steps = tuple(_merged(_folded(_steps(model))))
        self.weights = {
            step.name: (tf.Variable(np.float32(step.kernel)), tf.Variable(np.float32(step.bias)))
            for step in self._steps
            if step.kernel is not None
        }
        self.parameters = sum(int(tf.size(v)) for pair in self.weights.values() for v in pair)

    def __call__(self, crops: tf.Tensor) -> tf.Tensor:
        """(B, H, W, 3) of 0 to 255, of any type, to heatmaps (B, h, w, K) float32."""
        found = {self._source: tf.cast(crops, tf.float32)}
        for step in self._steps:
            found[step.name] = self._run(step, [found[name] for name in step.inputs])
        return found[self._steps[-1].name]

    def _run(self, step: Step, x: list[tf.Tensor]) -> tf.Tensor:
        if step.kind == "convolution":
            kernel, bias = self.weights[step.name]
            result = tf.nn.bias_add(tf.nn.conv2d(x[0], kernel, step.stride, "SAME"), bias, name=step.name)
        elif step.kind == "subtract":
            result = tf.subtract(x[0], np.float32(step.bias), name=step.name)
        elif step.kind == "add":
            result = x[0]
            for other in x[1:]:
                result = tf.add(result, other, name=step.name)
        elif step.kind == "pool":
            result = tf.nn.max_pool2d(x[0], step.stride, step.stride, "VALID", name=step.name)
        elif step.kind == "concatenate":
            result = tf.concat(x, axis=-1, name=step.name)
        else:
            result = _larger(x[0], step)
        return tf.nn.relu(result, name=f"{step.name}_relu") if step.relu else result


def _larger(x: tf.Tensor, step: Step) -> tf.Tensor:
    """One resize; Keras repeats rows and columns by a dozen reshapes and broadcasts, which converters keep."""
    size = [side * step.stride for side in x.shape[1:3]]
    if step.kind == "nearest":
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size, name=step.name)
    return tf.raw_ops.ResizeBilinear(images=x, size=size, half_pixel_centers=True, name=step.name)


def _steps(model: keras.Model) -> list[Step]:
    """The model's layers as steps, each after those that it takes its inputs from. A batch normalisation is as yet a
    step `normalise`, its kernel the channels' factors; a rescaling is `rescale`, its kernel the factor."""
    producers = {id(layer.output): layer.name for layer in model.layers}
    steps = []
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            tensors = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
            steps.append(_step(layer, tuple(producers[id(tensor)] for tensor in tensors)))
    return steps


def _step(layer: keras.Layer, inputs: tuple[str, ...]) -> Step:
    name = layer.name
    if isinstance(layer, keras.layers.Conv2D):
        padded = layer.padding == "same" or layer.kernel_size == (1, 1)
        if not padded or layer.dilation_rate != (1, 1) or layer.activation is not keras.activations.linear:
            raise NotImplementedError(f"{name}: expected a convolution with `same` padding, not dilated nor activated")
        kernel = np.asarray(layer.kernel, np.float64)
        bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(kernel.shape[-1])
        return Step(name, "convolution", inputs, kernel, bias, layer.strides[0])
    if isinstance(layer, BatchNorm):
        gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in layer.get_weights())
        factor = gamma / np.sqrt(variance + layer.epsilon)
        return Step(name, "normalise", inputs, np.diag(factor)[None, None], beta - mean * factor)
    if isinstance(layer, keras.layers.Rescaling):
        return Step(name, "rescale", inputs, np.array(layer.scale), np.array([-layer.offset / layer.scale]))
    if isinstance(layer, keras.layers.MaxPooling2D):
        return Step(name, "pool", inputs, stride=layer.pool_size[0])
    if isinstance(layer, keras.layers.UpSampling2D):
        return Step(name, layer.interpolation, inputs, stride=layer.size[0])
    kinds = {keras.layers.ReLU: "relu", keras.layers.Add: "add", keras.layers.Concatenate: "concatenate"}
    if type(layer) not in kinds:
        raise NotImplementedError(f"{name}: layers of type {type(layer).__name__} are not exported")
    return Step(name, kinds[type(layer)], inputs)


def _folded(steps: list[Step]) -> list[Step]:
    """Batch normalisation and activation go into the step before them, the grey levels' factor into the one behind."""
    uses = Counter(name for step in steps for name in step.inputs)
    done: dict[str, Step] = {}
    joined: dict[str, str] = {}  # a step that went into another, and that one
    for step in steps:
        alone = uses[step.inputs[0]] == 1
        step = replace(step, inputs=tuple(joined.get(name, name) for name in step.inputs))
        before = done.get(step.inputs[0])
        if step.kind == "normalise" and alone and before.kind == "convolution" and not before.relu:
            joined[step.name], done[before.name] = before.name, _chained(before, step)
        elif step.kind == "relu" and alone and before.kind in ("convolution", "add"):
            joined[step.name], done[before.name] = before.name, replace(before, relu=True)
        elif step.kind in ("normalise", "relu"):
            raise NotImplementedError(f"{step.name}: expected alone behind a convolution")
        elif before is not None and before.kind == "rescale":
            if step.kind != "convolution":
                raise NotImplementedError(f"{before.name}: expected to feed a convolution")
            done[step.name] = replace(step, kernel=step.kernel * before.kernel)
        else:
            done[step.name] = step
    return [replace(s, kind="subtract", kernel=None) if s.kind == "rescale" else s for s in done.values()]


def _merged(steps: list[Step]) -> list[Step]:
    """Of the chains of 1x1 convolutions that an addition sums up, those that begin at the same place become one."""
    by_name = {step.name: step for step in steps}
    order = list(by_name)
    uses = Counter(name for step in steps for name in step.inputs)

    def chain(name: str) -> list[Step]:
        """From its first convolution to the one that is added; empty where there is none."""
        step = by_name.get(name)
        if step is None or step.kind != "convolution" or step.relu or uses[name] > 1:
            return []
        if step.kernel.shape[:2] != (1, 1) or step.stride != 1:
            return []
        return [*chain(step.inputs[0]), step]

    for step in [one for one in steps if one.kind == "add"]:
        chains = [found for found in map(chain, step.inputs) if found]
        starts = Counter(found[0].inputs for found in chains)
        for start in [start for start, count in starts.items() if count > 1]:
            parts = [found for found in chains if found[0].inputs == start]
            wholes = [reduce(_chained, found) for found in parts]
            one = replace(
                wholes[0],
                name=f"{step.name}_joined",
                kernel=sum(whole.kernel for whole in wholes),
                bias=sum(whole.bias for whole in wholes),
            )
            gone = {found[-1].name for found in parts}
            kept = tuple(name for name in step.inputs if name not in gone)
            by_name[one.name], by_name[step.name] = one, replace(step, inputs=(*kept, one.name))
            for used in {used.name for found in parts for used in found}:
                del by_name[used]
            order = [name for name in order if name in by_name]
            order.insert(order.index(step.name), one.name)
    return [by_name[name] for name in order]


def _chained(first: Step, second: Step) -> Step:
    """A convolution and a 1x1 one behind it as one, under the first one's name."""
    through = second.kernel[0, 0]
    return replace(first, kernel=first.kernel @ through, bias=first.bias @ through + second.bias)
