"""What tests of exports share."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from keras_mspose.config import ModelConfig
from keras_mspose.layers import BatchNorm
from keras_mspose.model import build_model


@pytest.fixture(scope="session")
def as_trained() -> Callable[..., keras.Model]:
    """Makes a network for 16 keypoints whose normalisation and heads are far from their start, so that wrong folding
    shows. It takes a configuration and a precision."""

    def made(config: ModelConfig, precision: str = "float32") -> keras.Model:
        rng = np.random.default_rng(0)
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(precision)
        try:
            model = build_model(config, 16)
        finally:
            keras.config.set_dtype_policy("float32")
        for layer in model.layers:
            if isinstance(layer, BatchNorm):
                layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
            elif "_gt" in layer.name or layer.name == "regression_correction":
                layer.set_weights([rng.normal(0, 0.3, w.shape) for w in layer.get_weights()])
        return model

    return made
