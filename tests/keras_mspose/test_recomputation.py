"""Features that are computed again change nothing but the memory that a training step takes."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mspose import saved_model
from keras_mspose.config import from_dict
from keras_mspose.learner import learner_of
from keras_mspose.model import build_model
from keras_mspose.objective import compile_model
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import LSP14

MODEL = {"stacks": 2, "channels": 4, "input_size": [32, 32], "depth": 1, "scales": [1]}


def _stepped(**settings: object) -> tuple[keras.Model, keras.Model, dict[str, float]]:
    """A network, what has learned it for a step, and the step's log: from the same weights, on the same persons."""
    config = from_dict({"model": MODEL, "training": {"structure": 0.1, "hard_keypoints": 6, **settings}}, "small")
    rng = np.random.default_rng(0)
    network = build_model(config.model, 14)
    network.set_weights([w + 0.1 * rng.random(w.shape, np.float32) for w in network.get_weights()])
    facts = Facts(LSP14, "pck", config)
    learner = learner_of(network, facts)
    compile_model(learner, facts, steps=5)
    crops = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    numbers = [rng.uniform(0, 31, (4, 14, 2)), rng.integers(0, 3, (4, 14, 1)), np.full((4, 14, 1), 9)]
    targets = dict.fromkeys(learner.output_names, np.concatenate(numbers, axis=2).astype(np.float32))
    return network, learner, learner.train_on_batch(crops, targets, return_dict=True)


@pytest.mark.slow
def test_losses_gradients_and_moving_averages_are_the_same(tmp_path: Path) -> None:
    """With all that hangs on the heads: the next stack, the regression, a teacher."""
    larger = from_dict({"model": {**MODEL, "stacks": 1}}, "larger")
    saved_model.save(build_model(larger.model, 14), tmp_path / "teacher.keras", Facts(LSP14, "pck", larger))
    teacher = str(tmp_path / "teacher.keras")
    keras.utils.set_random_seed(0)
    network, kept, expected = _stepped(teacher=teacher)
    keras.utils.set_random_seed(0)
    other, again, found = _stepped(teacher=teacher, checkpoint_gradients=True)
    assert found == pytest.approx(expected, rel=1e-5) and "regression_taught_loss" in found
    pairs = [*zip(again.optimizer.variables, kept.optimizer.variables, strict=True)]  # Adam's moments: the gradients
    pairs += zip(other.non_trainable_variables, network.non_trainable_variables, strict=True)
    for mine, its in pairs:
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6, err_msg=its.path)
    assert max(np.abs(moment.numpy()).max() for moment in kept.optimizer.variables[2:]) > 0.01
    assert [w.path for w in other.weights] == [w.path for w in network.weights]
    assert [layer.name for layer in other.layers] == [layer.name for layer in network.layers]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_and_in_mixed_precision(precision: str) -> None:
    """As near as half precision comes: to one part in twenty of each gradient that is not nearly 0."""
    try:
        keras.config.set_dtype_policy(precision)
        keras.utils.set_random_seed(0)
        network, kept, expected = _stepped()
        keras.utils.set_random_seed(0)
        other, again, found = _stepped(checkpoint_gradients=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert found == pytest.approx(expected, rel=1e-5)
    compared = 0
    for weight, its in zip(other.trainable_variables, network.trainable_variables, strict=True):
        mine, moment = (_momentum(learner, variable) for learner, variable in ((again, weight), (kept, its)))
        if np.linalg.norm(moment) > 1e-3:
            compared += 1
            assert np.linalg.norm(mine - moment) < 0.05 * np.linalg.norm(moment), its.path
    assert compared > len(network.trainable_variables) / 2


def _momentum(learner: keras.Model, variable: keras.Variable) -> np.ndarray:
    """Adam's average of the gradients, after one step a tenth of the gradient."""
    optimizer = getattr(learner.optimizer, "inner_optimizer", learner.optimizer)
    return optimizer._momentums[optimizer._get_variable_index(variable)].numpy()


@pytest.mark.stress
def test_memory_of_a_step_falls(tmp_path: Path) -> None:
    """Each in a process of its own; two stacks alone."""
    script = Path(__file__).parents[2] / "benchmarks" / "checkpointing.py"
    small = ["--stacks", "2", "--channels", "32", "--batch", "32", "--steps", "2", "--json", str(tmp_path / "m.json")]
    done = subprocess.run([sys.executable, str(script), *small], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    kept, again = json.loads((tmp_path / "m.json").read_text())["sides"].values()
    assert again["memory_mb"] < kept["memory_mb"]
    assert 0 < again["memory_mb_a_person"] < 0.7 * kept["memory_mb_a_person"]
    assert again["losses"] == pytest.approx(kept["losses"], rel=1e-3)
