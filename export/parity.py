"""How far a written file's answers are from Keras's own, and whether that is near enough.

The reference shares nothing with the exported graph: the training code's network, run eagerly, and the codec's NumPy
back end. A fault of the graph that every format is made of is therefore seen, not copied into the expectation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import keras
import numpy as np
import tensorflow as tf

from export.graph import HEATMAPS, KEYPOINTS, Answer, Runner
from keras_mspose import heatmaps as codec
from keras_mspose.layers import STRIDE
from keras_mspose.model import build_model, inference_model
from keras_mspose.saved_model import Facts

# Of heatmap values: share of the highest peak, or of 1 where all are lower. Integers are judged by what they do to
# accuracy, on photographs, by `mspose verify`; here they have to be numbers, and well decoded.
HEATMAP_TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "dynamic": None, "int8": None}
# Crop pixels: of float32 from the reference, of the others from what their own heatmaps say
KEYPOINT_TOLERANCES = {"float32": 0.01, "float16": 0.1, "dynamic": 0.1, "int8": 0.1}
BATCH = 8


@dataclass(frozen=True)
class Parity:
    """Largest differences of a file's answers from the reference. None where an answer is no number at all.

    Attributes:
        good: both differences are within their tolerances.
        heatmap_difference: of heatmap values and scores.
        keypoint_difference_px: distance in crop pixels.
        flipped_peaks: keypoints whose heatmap has its maximum at another pixel than the reference's: two pixels were
            equal but for rounding. Their expected place is decoded from the file's own heatmap.
    """

    good: bool
    heatmap_difference: float | None
    keypoint_difference_px: float | None
    flipped_peaks: int


def drawn_crops(size: tuple[int, int], count: int = 8) -> np.ndarray:
    """Seeded smooth blobs: pictures with edges and shades, as photographs have.

    Args:
        size: (height, width) in pixels.

    Returns:
        (count, height, width, 3) uint8.
    """
    height, width = size
    coarse = np.random.default_rng(0).integers(0, 256, (count, 9, 9, 3), np.uint8)
    return np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse])


def reference(model: keras.Model, facts: Facts, crops: np.ndarray) -> Answer:
    """What `runner` answers to crops (N, H, W, 3) uint8, as `answers` gives it."""
    return answers(runner(model, facts), crops)


def runner(model: keras.Model, facts: Facts) -> Runner:
    """The network in float32 as Keras runs it eagerly, and the NumPy decoding: none of the exported graph.

    Args:
        model: the training network, of any precision.
        facts: configuration, skeleton and sigma.

    Returns:
        Crops (B, H, W, 3) uint8 to `heatmaps` (B, h, w, K) and `keypoints` (B, K, 3): x, y in crop pixels, score.
    """
    network = inference_model(_in_float32(model, facts))

    def run(batch: np.ndarray) -> Answer:
        heatmaps = network(batch, training=False).numpy()
        return {HEATMAPS: heatmaps, KEYPOINTS: codec.decode(heatmaps, STRIDE, facts.config.training.sigma)}

    return run


def answers(run: Runner, crops: np.ndarray) -> Answer:
    """What a runner answers to crops (N, H, W, 3) uint8, a few at a time: `heatmaps` (N, h, w, K), `keypoints`
    (N, K, 3)."""
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    # A GPU would else round the factors of every product to 10 bits, on one side of the comparison alone
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        parts = [run(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
    return {name: np.concatenate([part[name] for part in parts]) for name in (HEATMAPS, KEYPOINTS)}


def compare(found: Answer, expected: Answer, sigma: float, precision: str = "float32") -> Parity:
    """Measure a file's answers against the reference's.

    Args:
        found, expected: `heatmaps` (N, h, w, K) and `keypoints` (N, K, 3).
        sigma: that decoding is to use, heatmap pixels.
        precision: of the file, a key of the tolerances.
    """
    if any(found[name].shape != expected[name].shape for name in (HEATMAPS, KEYPOINTS)):
        return Parity(False, None, None, 0)
    flipped = peaks(found[HEATMAPS]) != peaks(expected[HEATMAPS])
    own = codec.decode(found[HEATMAPS], STRIDE, sigma)
    difference = found[KEYPOINTS] - np.where(flipped[..., None], own, expected[KEYPOINTS])
    pixels = np.linalg.norm(difference[..., :2], axis=-1).max()
    # np.maximum and not max: the latter would pass over a NaN
    heat = np.maximum(np.abs(found[HEATMAPS] - expected[HEATMAPS]).max(), np.abs(difference[..., 2]).max())
    # A runtime may decode what it rounds to half precision for the answer alone, and that may make a maximum of two.
    answers = (np.linalg.norm((found[KEYPOINTS] - of)[..., :2], axis=-1) for of in (own, expected[KEYPOINTS]))
    decoding = np.minimum(*answers).max()
    judged = pixels if precision == "float32" else decoding
    share = HEATMAP_TOLERANCES[precision]
    limit = np.inf if share is None else share * max(1.0, float(np.abs(expected[HEATMAPS]).max()))
    good = bool(np.isfinite(heat) and heat <= limit and judged <= KEYPOINT_TOLERANCES[precision])
    return Parity(good, _number(heat), _number(pixels), int(flipped.sum()))


def _in_float32(model: keras.Model, facts: Facts) -> keras.Model:
    """The network itself, or its weights in a float32 network that is built anew from the run's configuration."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        twin = build_model(facts.config.model, len(facts.skeleton))
    finally:
        keras.config.set_dtype_policy(policy)
    for layer in twin.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    return twin


def peaks(heatmaps: np.ndarray) -> np.ndarray:
    """(N, h, w, K) to the flat position (N, K) of every maximum."""
    return heatmaps.reshape(len(heatmaps), -1, heatmaps.shape[-1]).argmax(axis=1)


def _number(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None
