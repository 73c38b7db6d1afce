"""What tests of exports share."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest

from keras_mspose.config import ModelConfig
from keras_mspose.layers import BatchNorm
from keras_mspose.model import build_model

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1200,900"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing can come from elsewhere
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """Opens a headless Chromium that reaches this machine alone, as a context."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    webdriver = pytest.importorskip("selenium.webdriver")

    @contextmanager
    def opened() -> Iterator[Any]:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()

    return opened


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
