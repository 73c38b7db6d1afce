"""A run: it resumes after a kill, it learns, and devices do not change its losses."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_mspose import cli, objective, pipeline, run_log, saved_model, training
from keras_mspose.config import RunConfig, from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.interruption import Interrupted
from keras_mspose.keeper import Keeper
from keras_mspose.model import build_model
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14

TINY = {
    "model": {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1, 2]},
    "data": {"box": "image"},
    "training": {"epochs": 3, "batch_size": 4, "learning_rate": 0.002, "decay": "constant"},
}
SHALLOW = {"depth": 1, "scales": [1]}  # half as many layers to trace, where a training takes most of the time


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 + 5 persons: a photograph of blobs, one at each keypoint."""
    from tfrecords_tools import writer

    rng = np.random.default_rng(0)

    def persons():
        for i in range(29):
            xy = rng.uniform(8, 72, (14, 2))
            image = np.full((80, 80, 3), 90, np.uint8)
            for x, y in xy:
                cv2.circle(image, (int(x), int(y)), 3, rng.integers(0, 255, 3).tolist(), -1)
            keypoints = np.concatenate([xy, np.full((14, 1), 2)], axis=1)
            jpeg = cv2.imencode(".jpg", image)[1].tobytes()
            yield ("train" if i < 24 else "val"), Person(f"{i}.jpg", keypoints, jpeg, person_id=i)

    out = tmp_path_factory.mktemp("records") / "blobs"
    writer.write(persons(), out, name="blobs", skeleton=LSP14, metric="pck", source="drawn", options={})
    return out


def _recipe(folder: Path, **changes: dict) -> Path:
    path = folder / "tiny.json"
    path.write_text(json.dumps({k: {**v, **changes.get(k, {})} for k, v in TINY.items()}))
    return path


def _config(**more: object) -> RunConfig:
    return from_dict({**TINY, "model": {**TINY["model"], **SHALLOW}, "training": {**TINY["training"], **more}}, "tiny")


DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_mspose import training
from keras_mspose.config import load_recipe
from keras_mspose.records import RecordSet
recipe, records, out = sys.argv[1:]
for count in (1, 2):
    devices = [f"CPU:{i}" for i in range(count)]
    training.train(load_recipe(recipe), RecordSet.load(records), Path(out) / str(count), devices=devices)
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does(records: Path, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, model=SHALLOW, training={"epochs": 2, "steps_per_epoch": 2, "batch_size": 8, "ema": 0.5})
    command = [sys.executable, "-c", DEVICES, str(recipe), str(records), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (run_log.read_log(tmp_path / name) for name in ("1", "2"))
    assert len(one) == len(two) == 2
    for a, b in zip(one, two, strict=True):
        # Who fills up the last validation batch adds to the validation losses, though not to the accuracy.
        for key in a.keys() - {"input_waits"} - {k for k in a if k.startswith("val_") and k.endswith("loss")}:
            assert float(b[key]) == pytest.approx(float(a[key]), rel=1e-4, abs=1e-4), key


def test_a_folder_that_holds_something_else_is_left_alone(records: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(MsposeError, match="not empty and not a run"):
        training.train(from_dict(TINY, "tiny"), RecordSet.load(records), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_batch_must_hold_enough_persons(records: Path, tmp_path: Path) -> None:
    config = from_dict({**TINY, "training": {"batch_size": 64}}, "tiny")
    with pytest.raises(MsposeError, match="24 persons, fewer than a batch of 64"):
        training.train(config, RecordSet.load(records), tmp_path / "run")


def test_a_run_of_an_earlier_version_goes_on(records: Path, tmp_path: Path) -> None:
    config, run = from_dict({**TINY, "training": {"batch_size": 64}}, "tiny"), tmp_path / "run"
    with pytest.raises(MsposeError, match="24 persons, fewer than a batch of 64"):
        training.train(config, RecordSet.load(records), run)
    written = json.loads((run / "config.json").read_text())
    del written["config"]["data"]["augment"]["mask_keypoints"], written["config"]["data"]["augment"]["patch_size"]
    (run / "config.json").write_text(json.dumps(written))
    often = replace(config, training=replace(config.training, checkpoint_steps=5, keep_checkpoints=9, images_every=1))
    for same in (config, often):  # what is kept and shown may change
        with pytest.raises(MsposeError, match="24 persons, fewer than a batch of 64"):  # not: holds a run with another
            training.train(same, RecordSet.load(records), run)
    other = replace(config, training=replace(config.training, seed=9))
    with pytest.raises(MsposeError, match=r"holds a run with another config\.training\.seed"):
        training.train(other, RecordSet.load(records), run)


@pytest.mark.slow
def test_a_run_can_start_from_another(records: Path, tmp_path: Path) -> None:
    data = RecordSet.load(records)
    training.train(_config(epochs=1), data, tmp_path / "first")
    # other persons' order, crops of another size, and next to no learning: what was learned before is still there
    frozen = {"epochs": 1, "start_from": str(tmp_path / "first"), "learning_rate": 1e-12, "seed": 5}
    config = _config(**frozen)
    training.train(replace(config, model=replace(config.model, input_size=(32, 48))), data, tmp_path / "second")
    a, b = (saved_model.load(tmp_path / name)[0] for name in ("first", "second"))
    for mine, its in zip(a.trainable_variables, b.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-6)


@pytest.mark.slow
def test_every_craft_at_once_up_to_a_loss_that_is_not_a_number(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to end in the first epoch's validation, it goes on with that; a batch of the second is spoilt."""
    data, out = RecordSet.load(records), tmp_path / "run"
    larger = from_dict({"model": {**TINY["model"], "stacks": 2}}, "larger")
    saved_model.save(build_model(larger.model, 14), tmp_path / "large.keras", saved_model.Facts(LSP14, "pck", larger))
    crafts = {"teacher": str(tmp_path / "large.keras"), "ema": 0.9, "checkpoint_steps": 2, "images_every": 1}
    crafts |= {"hard_keypoints": 8, "weight_decay": 0.01, "scale_weights": [1.0, 0.5]}
    config = from_dict({**TINY, "training": {**TINY["training"], **crafts}}, "tiny")

    def spoilt(*arguments: object, **more: int) -> tuple[tf.data.Dataset, int]:
        batches, steps = unspoilt(*arguments, **more)
        number = (1 - more["start_epoch"]) * steps + 3 - more["start_step"]
        nan = lambda i, target: tf.where(i == number, float("nan"), target)  # noqa: E731
        return batches.enumerate().map(lambda i, b: (b[0], {head: nan(i, t) for head, t in b[1].items()})), steps

    unspoilt = pipeline.training_batches
    monkeypatch.setattr(pipeline, "training_batches", spoilt)
    losses = []
    step = Keeper.on_train_batch_end
    monkeypatch.setattr(
        Keeper, "on_train_batch_end", lambda self, batch, logs: (losses.append(logs["loss"]), step(self, batch, logs))
    )
    with monkeypatch.context() as asked:
        validated = Keeper.on_test_batch_end
        asked.setattr(
            Keeper,
            "on_test_batch_end",
            lambda self, batch, logs=None: (os.kill(os.getpid(), signal.SIGTERM), validated(self, batch, logs)),
        )
        with pytest.raises(Interrupted, match="stopped by SIGTERM in epoch 1, after step 6 of 6; saved in") as stop:
            training.train(config, data, out)
    assert stop.value.code == 75 and not run_log.read_log(out)

    with pytest.raises(MsposeError, match=r"epoch 2, step 4 of 6: the loss or the weights are not a number") as error:
        training.train(config, data, out)
    (row,) = run_log.read_log(out)
    assert float(row["loss"]) == pytest.approx(losses[5], rel=1e-6)
    assert all(np.isfinite(float(value)) for value in row.values())
    newest = (out / "checkpoints" / "checkpoint").read_text().split('"')[1]
    assert f"the last good checkpoint is {out / 'checkpoints' / newest};" in str(error.value)
    names = str(error.value).partition("of the batch: ")[2].split(", ")
    assert names == pipeline.batch_names([data], config, epoch=1, step=3) and len(names) == 4
    model, _ = saved_model.load(out)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert sorted(model.output_names) == ["regression", "stack1_gt1", "stack1_gt2"]  # the teacher stays at home

    shown = EventAccumulator(str(out / "tensorboard" / "validation")).Reload().Tags()["tensors"]
    assert {"predictions", "heatmaps", "epoch_stack1_gt2_loss", "epoch_regression_taught_loss"} <= set(shown)
    trained = EventAccumulator(str(out / "tensorboard" / "train")).Reload().Tags()["tensors"]
    assert {"epoch_stack1_gt1_loss", "epoch_stack1_gt2_loss", "epoch_regression_loss"} <= set(trained)


@pytest.mark.slow
def test_what_small_batches_learn_holds_in_inference_mode() -> None:
    """The field's most reported failure: training fine, validation near 0, where the moving statistics of batch
    normalisation lag behind."""
    config = from_dict({"model": {**TINY["model"], "input_size": [32, 32]}, "training": TINY["training"]}, "small")
    keras.utils.set_random_seed(0)
    model = build_model(config.model, 14)
    objective.compile_model(model, saved_model.Facts(LSP14, "pck", config), steps=150)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    numbers = [rng.uniform(2, 30, (4, 14, 2)), np.full((4, 14, 1), 2), np.full((4, 14, 1), 9)]
    targets = dict.fromkeys(model.output_names, np.concatenate(numbers, axis=2).astype(np.float32))
    first = model.train_on_batch(crops, targets, return_dict=True)["loss"]
    for _ in range(149):
        model.reset_metrics()
        last = model.train_on_batch(crops, targets, return_dict=True)["loss"]
    model.reset_metrics()
    assert last < 0.6 * first
    assert model.test_on_batch(crops, targets, return_dict=True)["loss"] < 1.3 * last


@pytest.mark.slow
def test_a_disk_that_fills_up_is_named_and_the_run_goes_on(
    records: Path, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With TensorBoard's scalars and pictures, too."""
    often = {"images_every": 1, "checkpoint_steps": 2, "keep_checkpoints": 1}
    recipe, run = _recipe(tmp_path, model=SHALLOW, training=often), small_disk / "run"
    line = ["train", str(recipe), "--data", str(records), "--out", str(run)]
    assert cli.main([*line, "--set", "training.epochs=1"]) == 0
    changed = json.loads((run / "config.json").read_text())
    changed["config"]["training"]["epochs"] = 3
    (run / "config.json").write_text(json.dumps(changed))
    filler = small_disk / "filler"
    for left in (0, 20_000, 120_000):
        filler.unlink(missing_ok=True)
        filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - left))
        capsys.readouterr()
        assert cli.main(line) == 2
        (said,) = [row for row in capsys.readouterr().err.splitlines() if row.startswith("mspose train: ")]
        assert f"{run}: cannot be written" in said and " is whole: make room" in said
    filler.unlink()
    assert cli.main(line) == 0
    assert len(run_log.read_log(run)) == 3


def test_another_network_is_no_start(records: Path, tmp_path: Path) -> None:
    config = from_dict({**TINY, "training": {"batch_size": 4, "start_from": str(tmp_path / "small.keras")}}, "tiny")
    other = from_dict(
        {"model": {"stacks": 1, "channels": 4, "input_size": [64, 64], "depth": 2, "scales": [1]}}, "other"
    )
    facts = saved_model.Facts(LSP14, "pck", other)
    saved_model.save(build_model(other.model, 14), tmp_path / "small.keras", facts)
    with pytest.raises(MsposeError, match=r"small\.keras: another network"):
        training.train(config, RecordSet.load(records), tmp_path / "run")


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_damaged_record_is_named(records: Path, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "records"
    shutil.copytree(records, folder)
    shard = next(folder.glob("train-*"))
    content = bytearray(shard.read_bytes())
    if damage == "cut":  # seen by the lengths alone, before training begins
        content, expected = content[:-100], f"{shard}: not a readable TFRecord file (cut short or altered behind record"
    else:
        content[-100] ^= 255
        expected = f"{folder}: a damaged record in split 'train'"
    shard.write_bytes(content)
    recipe = _recipe(tmp_path)
    assert cli.main(["train", str(recipe), "--data", str(folder), "--out", str(tmp_path / "run")]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mspose train: ")]
    assert len(said) == 1 and expected in said[0]


def test_the_recipe_says_what_each_head_is_learned_by() -> None:
    decay = {"weight_decay": 0.01, "learning_rate": 1.0, "decay": "constant"}
    config = from_dict(
        {
            "model": {**TINY["model"], "regression": True},
            "training": {"scale_weights": [0.5, 2.0], "hard_keypoints": 6, "structure": 0.1, **decay},
        },
        "t",
    )
    model = build_model(config.model, 14)
    facts = saved_model.Facts(LSP14, "pck", config)
    objective.compile_model(model, facts, steps=5)
    found = objective.head_losses(model, facts)
    assert {name: loss.hardest for name, loss in found.items() if loss.hardest} == {"regression": 6}
    assert all(loss.structure == 0.1 for loss in found.values())
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (2, 64, 64, 3), np.uint8)
    targets = np.concatenate([rng.uniform(0, 63, (2, 14, 2)), np.full((2, 14, 2), 2)], axis=2).astype(np.float32)
    learned = model.test_on_batch(crops, dict.fromkeys(model.output_names, targets), return_dict=True)["loss"]
    outputs = model(crops, training=False)
    weights = {"stack1_gt1": 0.5, "stack1_gt2": 2.0, "regression": 1.0}
    assert learned == pytest.approx(sum(w * float(found[n](targets, outputs[n])) for n, w in weights.items()), rel=1e-5)
    before = model.get_layer("stem_a_conv").get_weights()[0], model.get_layer("stem_a_bn").get_weights()[0]
    model.optimizer.apply([v * 0 for v in model.trainable_variables])  # no gradient: what is left is the decay
    np.testing.assert_allclose(model.get_layer("stem_a_conv").get_weights()[0], 0.99 * before[0], rtol=1e-5)
    np.testing.assert_array_equal(model.get_layer("stem_a_bn").get_weights()[0], before[1])


def test_as_many_weights_as_scales() -> None:
    recipe = {"model": {"scales": [1, 2]}, "training": {"scale_weights": [1.0]}}
    with pytest.raises(MsposeError, match=r"training\.scale_weights: 1 for the 2 of model\.scales"):
        from_dict(recipe, "r")


@pytest.mark.data
@pytest.mark.slow
def test_eight_real_persons_are_learned_by_heart(real_data: Path, tmp_path: Path) -> None:
    from keras_mspose import evaluation, saved_model
    from tfrecords_tools import lsp

    lsp.convert(real_data / "lspet", tmp_path / "data", split="1-8:train,9-10:val")
    data = RecordSet.load(tmp_path / "data")
    config = from_dict(
        {
            "model": {"stacks": 1, "channels": 32, "input_size": [96, 96], "depth": 3, "scales": [1, 2, 4]},
            "data": {
                "box": "joints",
                "augment": {"scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0},
            },
            "training": {
                "epochs": 1,
                "steps_per_epoch": 400,
                "batch_size": 8,
                "learning_rate": 0.004,
                "warmup_steps": 40,
                "decay": "cosine",
            },
        },
        "overfit",
    )
    training.train(config, data, tmp_path / "run")
    model, facts = saved_model.load(tmp_path / "run")
    *_, found = evaluation.evaluate(model, facts, data, split="train")
    assert found.accuracy.persons["counted"] >= 5
    assert found.accuracy.mean == 100.0
