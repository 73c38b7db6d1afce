"""The Multi-Scale Supervised Network (Ke, Chang, Qi, Lyu, ICIP 2018), and what inference keeps of it."""

from __future__ import annotations

import keras
from keras import layers

from keras_mspose.config import ModelConfig
from keras_mspose.heads import REGRESSION, head_scale, head_stack
from keras_mspose.layers import STRIDE, convolution, head, hourglass, residual


def build_model(config: ModelConfig, keypoints: int) -> keras.Model:
    """The training network.

    Args:
        config: stacks, channels, scales and so on.
        keypoints: K, the number of keypoints of the skeleton.

    Returns:
        A functional model from uint8 crops (B, H, W, 3) to a dict of heatmaps by head name:
        `stack{s}_gt{f}` (B, H / 4f, W / 4f, K) for every stack s from 1 and scale f, and `regression`
        (B, H / 4, W / 4, K) where the configuration has it. The answer is `answer_name(model)`.
    """
    crop = keras.Input((*config.input_size, 3), dtype="uint8", name="crop")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="to_float")(crop)
    x = _stem(x, config.channels)
    outputs: dict[str, keras.KerasTensor] = {}
    for stack in range(1, config.stacks + 1):
        name = f"stack{stack}"
        features = hourglass(x, config.depth, name)
        top = convolution(features[1], config.channels, 1, f"{name}_top")
        for scale in sorted(config.scales, reverse=True):
            source = top if scale == 1 else features[scale]
            outputs[f"{name}_gt{scale}"] = head(source, keypoints, f"{name}_gt{scale}")
        if stack < config.stacks:
            x = _next_input(x, top, outputs[f"{name}_gt1"], name)
    if config.regression:
        last = [outputs[f"stack{config.stacks}_gt{scale}"] for scale in config.scales]
        outputs[REGRESSION] = _regression(last, config)
    return keras.Model(crop, outputs, name="mspose")


def _stem(x: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    x = convolution(x, channels // 2, 4, "stem_a", stride=2)
    x = convolution(x, channels, 4, "stem_b", stride=2)
    for module in ("c", "d"):
        x = residual(x, channels, f"stem_{module}")
    return x


def _next_input(
    x: keras.KerasTensor, top: keras.KerasTensor, heatmaps: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    """Intermediate supervision: the stack's features and its GT heatmaps, mapped back, join the residual stream."""
    channels = x.shape[-1]
    features = layers.Conv2D(channels, 1, name=f"{name}_remap_features")(top)
    mapped = layers.Conv2D(channels, 1, name=f"{name}_remap_heatmaps")(heatmaps)
    return layers.Add(name=f"{name}_next")([x, features, mapped])


def _regression(heatmaps: list[keras.KerasTensor], config: ModelConfig) -> keras.KerasTensor:
    """Global keypoint regression (section 2.2): the last stack's heatmaps of all scales at GT size, refined together.

    An hourglass sees the whole body at every heatmap pixel. It learns a correction of the GT heatmaps, so that the
    answer starts as good as they are.
    """
    keypoints = heatmaps[0].shape[-1]
    same_size = [
        maps
        if scale == 1
        else layers.UpSampling2D(scale, interpolation="bilinear", name=f"regression_resize{scale}")(maps)
        for scale, maps in zip(config.scales, heatmaps, strict=True)
    ]
    x = layers.Concatenate(name="regression_concat")(same_size) if len(same_size) > 1 else same_size[0]
    x = convolution(x, config.channels, 1, "regression_in")
    x = hourglass(x, config.depth, "regression", plain_skips=True)[1]
    x = convolution(x, config.channels, 1, "regression_top")
    correction = head(x, keypoints, "regression_correction")
    return layers.Add(dtype="float32", name=REGRESSION)([heatmaps[0], correction])


def answer_name(model: keras.Model) -> str:
    """Name of the head that is the model's answer: the regression, else the last stack's GT heatmaps."""
    names = list(model.output_names)
    if REGRESSION in names:
        return REGRESSION
    return max((n for n in names if n.endswith("_gt1")), key=head_stack)


def head_stride(name: str) -> int:
    """Crop pixels a heatmap pixel of a head, from its name."""
    return STRIDE * head_scale(name)


def inference_model(model: keras.Model) -> keras.Model:
    """The network without what only supervision needs, sharing the given model's weights.

    Returns:
        A functional model from uint8 crops (B, H, W, 3) to the answer's heatmaps (B, H / 4, W / 4, K).
    """
    return keras.Model(model.inputs[0], model.output[answer_name(model)], name="mspose_inference")


def removed_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers of the training network that `inference_model` leaves out."""
    kept = {layer.name for layer in inference_model(model).layers}
    return [layer for layer in model.layers if layer.name not in kept]
