"""A teacher shows what it would answer, learns nothing itself, and is refused where it cannot teach."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import saved_model
from keras_mspose.config import DistillConfig, ModelConfig, RunConfig
from keras_mspose.distillation import Teacher
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import LSP14, MPII16

LARGE = ModelConfig(stacks=2, channels=6, input_size=(32, 32), depth=2, scales=(1, 2))
SMALL = replace(LARGE, stacks=1, channels=4)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    model, rng = build_model(LARGE, 14), np.random.default_rng(0)
    model.set_weights([rng.random(w.shape, np.float32) for w in model.get_weights()])
    path = tmp_path_factory.mktemp("large") / "large.keras"
    saved_model.save(model, path, Facts(LSP14, "pck", RunConfig(model=LARGE)))
    return path, model


def test_it_shows_its_answer_and_its_last_stack(large) -> None:
    path, model = large
    crops = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    teacher = Teacher(DistillConfig(str(path)), Facts(LSP14, "pck", RunConfig(model=SMALL)))
    before = [w.numpy() for w in teacher.model.weights]
    with tf.GradientTape() as tape:
        shown = teacher(crops)
        total = tf.add_n([tf.reduce_sum(maps) for maps in shown.values()])
    expected = model(crops, training=False)
    np.testing.assert_allclose(shown[1], expected["regression"], rtol=1e-5)
    np.testing.assert_allclose(shown[2], expected["stack2_gt2"], rtol=1e-5)
    assert list(shown) == [1, 2] and not teacher.model.trainable_variables
    assert all(g is None for g in tape.gradient(total, teacher.model.weights[0].value) or [None])
    for now, then in zip(teacher.model.weights, before, strict=True):  # nor do its moving averages move
        np.testing.assert_array_equal(now, then)


def test_another_skeleton_or_size_is_refused(large) -> None:
    path, _ = large
    with pytest.raises(MsposeError, match=r"large\.keras: its keypoints are lsp14's; expected mpii16's"):
        Teacher(DistillConfig(str(path)), Facts(MPII16, "pckh", RunConfig(model=SMALL)))
    with pytest.raises(MsposeError, match=r"its crops are \(32, 32\); expected \(64, 32\)"):
        tall = replace(SMALL, input_size=(64, 32))
        Teacher(DistillConfig(str(path)), Facts(LSP14, "pck", RunConfig(model=tall)))
    with pytest.raises(MsposeError, match="no such file or folder"):
        Teacher(DistillConfig("nowhere"), Facts(LSP14, "pck", RunConfig(model=SMALL)))
