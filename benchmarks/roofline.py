"""The least time that a training step can take on a machine: no operation runs faster than its arithmetic at the speed
of matrix multiplication, or its bytes at the speed of memory (Williams, Waterman and Patterson, CACM 2009).

Every tensor of a whole batch is counted as coming from memory and going there. Where a cache holds it, an operation may
be faster.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

FLOAT = 4  # bytes
# Passes over a layer's output in a training step, forward and backward, each operation by itself: normalisation reads
# its input twice and writes, backward it reads input and gradient twice and writes; ReLU reads and writes, backward
# reads two and writes; a sum reads two and writes; enlarging and pooling read and write either way.
PASSES = {"BatchNorm": 8, "ReLU": 5, "Add": 3, "UpSampling2D": 3, "MaxPooling2D": 6}


def work(model: keras.Model, batch: int) -> dict[str, list]:
    """What a step has to do: `convolutions`, 1e9 operations and 1e9 bytes of each one's forward pass, which either
    gradient has again; `others`, 1e9 bytes of each other layer in the whole step."""
    from keras_mspose.info import operations  # loads TensorFlow, which the benchmark's own process has not

    found: dict[str, list] = {"convolutions": [], "others": []}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            given, made = (batch * prod(tensor.shape[1:]) for tensor in (layer.input, layer.output))
            size = FLOAT * (given + made + prod(layer.kernel.shape))
            found["convolutions"].append([batch * operations(layer) / 1e9, size / 1e9])
        elif kind in PASSES:
            found["others"].append(PASSES[kind] * FLOAT * batch * prod(layer.output.shape[1:]) / 1e9)
    return found


def least_seconds(step: dict[str, list], gflops: float, gigabytes: float) -> dict[str, float]:
    """Seconds of a step by what bounds them.

    Args:
        step: as `work` gives it.
        gflops: 1e9 operations a second of matrix multiplication.
        gigabytes: 1e9 bytes a second that memory gives and takes together.
    """
    found = {"convolutions, by arithmetic": 0.0, "convolutions, by memory": 0.0}
    for work_done, size in step["convolutions"]:
        arithmetic, memory = work_done / gflops, size / gigabytes
        kind = "arithmetic" if arithmetic > memory else "memory"
        found[f"convolutions, by {kind}"] += 3 * max(arithmetic, memory)
    return found | {"other layers, by memory": sum(step["others"]) / gigabytes}
