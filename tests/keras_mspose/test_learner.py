"""A training step in less memory is the step that it stands for."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_mspose import training
from keras_mspose.config import from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.layers import BN_MOMENTUM
from keras_mspose.learner import learner_of
from keras_mspose.model import build_model
from keras_mspose.objective import compile_model
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import LSP14

MODEL = {"stacks": 1, "channels": 4, "input_size": [32, 32], "depth": 1, "scales": [1], "regression": False}


def _network(*, frozen: bool = False, **training_settings: object) -> tuple[keras.Model, keras.Model]:
    """The network and what learns it: always from the same weights, in which no branch is closed.

    Args:
        frozen: batch normalisation uses its moving statistics, in training too, and learns nothing.
    """
    settings = {"learning_rate": 0.01, "decay": "constant", **training_settings}
    config = from_dict({"model": MODEL, "training": settings}, "small")
    keras.utils.set_random_seed(0)
    network, rng = build_model(config.model, 14), np.random.default_rng(0)
    network.set_weights([w + 0.1 * rng.random(w.shape, np.float32) for w in network.get_weights()])
    for layer in network.layers:
        layer.trainable = not (frozen and isinstance(layer, keras.layers.BatchNormalization))
    facts = Facts(LSP14, "pck", config)
    learner = learner_of(network, facts)
    compile_model(learner, facts, steps=5)
    return network, learner


def _persons(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops and targets; the first persons have a few labelled keypoints, the last ones all."""
    rng = np.random.default_rng(1)
    seen = np.arange(14) < np.linspace(2, 14, count)[:, None]
    numbers = [rng.uniform(0, 31, (count, 14, 2)), 2 * seen[..., None], np.full((count, 14, 1), 9)]
    return rng.integers(0, 256, (count, 32, 32, 3), np.uint8), np.concatenate(numbers, axis=2).astype(np.float32)


def _learn(learner: keras.Model, crops: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Two steps; what the log says of both."""
    for _ in range(2):
        logs = learner.train_on_batch(crops, dict.fromkeys(learner.output_names, targets), return_dict=True)
    assert learner.optimizer.iterations.numpy() == 2  # a step is one update: the learning rate's schedule goes by it
    return logs


def _compare(found: list[keras.Variable], expected: list[keras.Variable]) -> None:
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-5, err_msg=its.path)


def _same_gradients(found: keras.Model, expected: keras.Model) -> None:
    """As Adam's moments hold them: what batch normalisation takes out again has a gradient of 0 but for rounding, and
    Adam makes a whole step of that."""
    _compare(found.optimizer.variables, expected.optimizer.variables)
    assert max(np.abs(moment.numpy()).max() for moment in expected.optimizer.variables[2:]) > 0.01


def test_parts_make_the_update_of_the_whole() -> None:
    """Parts with few labelled keypoints and parts with many, and every craft of the loss."""
    crafts = {"weight_decay": 0.01, "hard_keypoints": 6, "structure": 0.1, "warmup_steps": 4, "batch_size": 6}
    _, whole = _network(frozen=True, **crafts)
    _, parts = _network(frozen=True, **crafts, accumulate=3)
    crops, targets = _persons(6)
    expected, found = _learn(whole, crops, targets), _learn(parts, crops, targets)
    assert found == pytest.approx(expected, rel=1e-5)
    _same_gradients(parts, whole)
    _compare(parts.trainable_variables, whole.trainable_variables)


def test_batch_normalisation_is_over_a_part() -> None:
    crops, targets = (np.concatenate([one, one]) for one in _persons(3))  # parts that are alike
    (_, whole), (network, parts) = _network(batch_size=6), _network(batch_size=6, accumulate=2)
    first = network.get_layer("stem_a_bn")
    before = first.moving_mean.numpy()
    features = keras.Model(network.inputs[0], network.get_layer("stem_a_conv").output)
    mean = features(crops).numpy().mean(axis=(0, 1, 2))
    parts.train_on_batch(crops, dict.fromkeys(parts.output_names, targets))
    np.testing.assert_allclose(first.moving_mean, mean + BN_MOMENTUM**2 * (before - mean), rtol=1e-5, atol=1e-6)
    whole.train_on_batch(crops, dict.fromkeys(whole.output_names, targets))
    _same_gradients(parts, whole)


@pytest.mark.parametrize(
    ("batch", "parts", "replicas", "said"),
    [
        (8, 3, 1, r"training\.accumulate 3 does not divide training\.batch_size 8: expected a multiple of 3 persons"),
        (8, 4, 4, r"accumulate 4 does not divide .* 8 \(2 on each of 4 devices\): expected a multiple of 16 persons"),
        (9, 3, 2, r"training\.batch_size 9 does not divide over 2 devices"),
    ],
)
def test_what_cannot_be_cut_is_refused(batch: int, parts: int, replicas: int, said: str) -> None:
    config = from_dict({"training": {"batch_size": batch, "accumulate": parts}}, "r")
    with pytest.raises(MsposeError, match=said):
        training.check_batch(config.training, SimpleNamespace(count=1, replicas=replicas))


@pytest.mark.parametrize("switch", [{"accumulate": 2}, {"checkpoint_gradients": True}], ids=str)
def test_less_memory_is_not_for_several_machines(switch: dict) -> None:
    config = from_dict({"training": {"batch_size": 8, **switch}}, "r")
    with pytest.raises(MsposeError, match="not together with TF_CONFIG"):
        training.check_batch(config.training, SimpleNamespace(count=2, replicas=2))


RESUMED = """
import json, os, signal, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from keras_mspose import run_log, saved_model, training
from keras_mspose.config import from_dict
from keras_mspose.interruption import Interrupted
from keras_mspose.keeper import Keeper
from keras_mspose.records import RecordSet
recipe, records, out = json.loads(sys.argv[1]), RecordSet.load(sys.argv[2]), Path(sys.argv[3])
training.train(from_dict(recipe, "tiny"), records, out / "whole")
step = Keeper.on_train_batch_end
def stopped(self, batch, logs=None):
    if self.step == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    step(self, batch, logs)
Keeper.on_train_batch_end = stopped
try:
    training.train(from_dict(recipe, "tiny"), records, out / "stopped")
except Interrupted as asked:
    assert "after step 2 of 3" in str(asked), asked
else:
    sys.exit("was not stopped")
Keeper.on_train_batch_end = step
training.train(from_dict(recipe, "tiny"), records, out / "stopped")
(a,), (b,) = (run_log.read_log(out / name) for name in ("whole", "stopped"))
del a["input_waits"], b["input_waits"]
assert a == b, (a, b)
for name in (saved_model.BEST, saved_model.LAST):
    first, second = (saved_model.load(out / folder / name)[0] for folder in ("whole", "stopped"))
    for mine, its in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(mine, its)
"""


@pytest.mark.stress
def test_a_stopped_run_ends_in_the_same_bits(dots, tmp_path: Path) -> None:
    """In a process of its own: TensorFlow cannot take back that it was to be deterministic."""
    settings = {"epochs": 1, "batch_size": 4, "accumulate": 2, "deterministic": True, "ema": 0.9}
    settings["checkpoint_gradients"] = True
    recipe = json.dumps({"model": MODEL, "data": {"box": "image"}, "training": settings})
    command = [sys.executable, "-c", RESUMED, recipe, str(dots.records.folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
