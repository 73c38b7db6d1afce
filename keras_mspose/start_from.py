"""Training that begins with the weights of another network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras

from keras_mspose import saved_model
from keras_mspose.errors import MsposeError
from keras_mspose.saved_model import Facts


def take_weights(model: keras.Model, facts: Facts, source: Path) -> None:
    """Begin with another run's weights, of crops of any size; the optimizer and the schedule begin anew.

    Of a network for another skeleton, the layers whose weights depend on the number of keypoints, the heads and what
    maps heatmaps back, stay as they were initialised, and so do heads for as many other keypoints. What was kept and
    what was not is printed.

    Raises:
        MsposeError: the network has other stacks, channels or scales, or is no trained network.
    """
    other, theirs = saved_model.load(source)
    same_size = replace(theirs.config.model, input_size=facts.config.model.input_size)
    if same_size != facts.config.model:
        raise MsposeError(
            f"training.start_from {source}: another network ({theirs.config.model}); expected {facts.config.model}"
        )
    mine, its = facts.skeleton, theirs.skeleton
    kept, fresh = [], []
    for layer in model.layers:
        if not layer.weights:
            continue
        given = other.get_layer(layer.name).get_weights()
        fits = [w.shape for w in given] == [w.shape for w in layer.get_weights()]
        if fits and (mine.keypoints == its.keypoints or not of_keypoints(layer)):
            layer.set_weights(given)
            kept.append(layer.name)
        else:
            fresh.append(layer.name)
    sections = ", ".join(dict.fromkeys(name.split("_")[0] for name in kept))
    anew = f", {len(fresh)} made anew" if fresh else ""
    print(f"starting from {source}: {len(kept)} layers kept{anew}; kept are those of {sections or 'nothing'}")
    if fresh:
        print(
            f"made anew, for {mine.name}'s {len(mine)} keypoints instead of {its.name}'s {len(its)}: {', '.join(fresh)}"
        )


def of_keypoints(layer: keras.layers.Layer) -> bool:
    """Whether a layer's channels, in or out, are keypoints: heads, and what reads heatmaps."""
    name = layer.name
    return "_gt" in name or name.endswith("_remap_heatmaps") or name in ("regression_in_conv", "regression_correction")
