"""A teacher's heatmaps are learned beside the labels; it learns nothing itself, and is refused where it cannot."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mspose import objective, saved_model
from keras_mspose.config import ModelConfig, RunConfig, TrainingConfig
from keras_mspose.distillation import with_teacher
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import LSP14, MPII16, Skeleton

LARGE = ModelConfig(stacks=2, channels=4, input_size=(32, 32), depth=2, scales=(1, 2))
SMALL = replace(LARGE, stacks=1)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    model, rng = build_model(LARGE, 14), np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.random(w.shape, np.float32) for w in model.get_weights()])
    path = tmp_path_factory.mktemp("large") / "large.keras"
    saved_model.save(model, path, Facts(LSP14, "pck", RunConfig(model=LARGE)))
    return path, model


def _facts(teacher: Path | str, skeleton: Skeleton = LSP14, model: ModelConfig = SMALL) -> Facts:
    settings = TrainingConfig(teacher=str(teacher), teacher_weight=0.25, scale_weights=(1.0, 0.5))
    return Facts(skeleton, "pck", RunConfig(model=model, training=settings))


def test_the_loss_is_shared_between_labels_and_teacher(large: tuple[Path, keras.Model]) -> None:
    path, teacher = large
    network, facts = build_model(SMALL, 14), _facts(path)
    learner = with_teacher(network, facts)
    objective.compile_model(learner, facts, steps=1)
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
    targets = np.concatenate([rng.uniform(0, 31, (2, 14, 2)), np.full((2, 14, 2), 2)], axis=2).astype(np.float32)

    given = dict.fromkeys(learner.output_names, targets)
    learned = learner.test_on_batch(crops, given, return_dict=True)["loss"]
    mine, its, labels = network(crops), teacher(crops), objective.head_losses(network, facts)
    expected = 0.0
    for name, weight, shown in (
        ("stack1_gt1", 1.0, "regression"),
        ("stack1_gt2", 0.5, "stack2_gt2"),
        ("regression", 1.0, "regression"),
    ):
        like_it = np.mean(np.sum(np.square(mine[name] - its[shown]), axis=(1, 2)))
        expected += weight * (0.75 * float(labels[name](targets, mine[name])) + 0.25 * like_it)
    assert learned == pytest.approx(expected, rel=1e-4)

    # what learns is the network alone: not even the teacher's moving averages may follow the batch
    assert {id(v) for v in learner.trainable_variables} == {id(v) for v in network.trainable_variables}
    (shown,) = (layer for layer in learner.layers if layer.name == "teacher")
    before = shown.get_weights()
    learner(crops, training=True)
    for now, then in zip(shown.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_another_skeleton_or_size_is_refused(large: tuple[Path, keras.Model]) -> None:
    path, _ = large
    network = build_model(SMALL, 14)
    with pytest.raises(MsposeError, match=r"large\.keras: its keypoints are lsp14's; expected mpii16's"):
        with_teacher(network, _facts(path, MPII16))
    with pytest.raises(MsposeError, match=r"its crops are \(32, 32\); expected \(64, 32\)"):
        with_teacher(network, _facts(path, model=replace(SMALL, input_size=(64, 32))))
    with pytest.raises(MsposeError, match="no such file or folder"):
        with_teacher(network, _facts("nowhere"))
