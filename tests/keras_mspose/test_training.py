"""A run: it learns, it says what stops it, and devices do not change its losses. Kills: tests/stress/test_kills.py."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import cli, pipeline, run_log, saved_model, training
from keras_mspose.config import RunConfig, from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14

TINY = {
    "model": {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1, 2]},
    "data": {"box": "image"},
    "training": {"epochs": 3, "batch_size": 4, "learning_rate": 0.002, "decay": "constant"},
}


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
    return from_dict({**TINY, "training": {**TINY["training"], **more}}, "tiny")


DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_mspose import cli, training
from keras_mspose.config import load_recipe
from keras_mspose.records import RecordSet
recipe, records, out = sys.argv[1:]
for count in (1, 2):
    devices = [f"CPU:{i}" for i in range(count)]
    training.train(load_recipe(recipe), RecordSet.load(records), Path(out) / str(count), devices=devices)
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does(records: Path, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, training={"steps_per_epoch": 1, "batch_size": 8})
    command = [sys.executable, "-c", DEVICES, str(recipe), str(records), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (run_log.read_log(tmp_path / name) for name in ("1", "2"))
    assert len(one) == len(two) == 3
    for a, b in zip(one, two, strict=True):
        for key in a:
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
    often = replace(config, training=replace(config.training, checkpoint_minutes=1.0, keep_checkpoints=9))
    for same in (config, often):  # how checkpoints are kept may change
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
def test_a_loss_that_is_not_a_number_names_its_batch_and_the_last_good_checkpoint(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every craft at once works up to there: a teacher, hard keypoints, averaged weights, steps in two parts."""
    data, out = RecordSet.load(records), tmp_path / "run"
    larger = from_dict({"model": {**TINY["model"], "stacks": 2}}, "larger")
    saved_model.save(build_model(larger.model, 14), tmp_path / "large.keras", saved_model.Facts(LSP14, "pck", larger))
    crafts = {"distill": {"teacher": str(tmp_path / "large.keras")}, "hard_keypoints": 8, "ema": 0.9, "accumulate": 2}
    config, made = _config(**crafts, weight_decay=0.01, scale_weights=[1.0, 0.5]), pipeline.training_batches

    def spoilt(*arguments: object, **more: object) -> tuple[tf.data.Dataset, int]:
        batches, steps = made(*arguments, **more)
        number = 2 * (steps + 3)  # of 2 parts: in the fourth step of the second epoch
        bad = batches.enumerate().map(lambda i, batch: (batch[0], tf.where(i == number, float("nan"), batch[1])))
        return bad, steps

    monkeypatch.setattr(pipeline, "training_batches", spoilt)
    with pytest.raises(MsposeError, match=r"epoch 2, step 4 of 6: the loss or the weights are not a number") as error:
        training.train(config, data, out)
    (row,) = run_log.read_log(out)
    assert all(np.isfinite(float(value)) for value in row.values())
    newest = (out / "checkpoints" / "checkpoint").read_text().split('"')[1]
    assert f"the last good checkpoint is {out / 'checkpoints' / newest};" in str(error.value)
    names = str(error.value).partition("of the batch: ")[2].split(", ")
    assert names == pipeline.batch_names([data], config, epoch=1, step=3)
    model, _ = saved_model.load(out)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_damaged_record_is_named(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "records"
    shutil.copytree(records, folder)
    for shard in folder.glob("train-*"):
        shard.write_bytes(shard.read_bytes()[:-100])
    recipe = _recipe(tmp_path)
    assert cli.main(["train", str(recipe), "--data", str(folder), "--out", str(tmp_path / "run")]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mspose train: ")]
    assert len(said) == 1 and f"{folder}: a damaged record in split 'train'" in said[0]


@pytest.mark.data
@pytest.mark.slow
def test_eight_real_persons_are_learned_by_heart(real_data: Path, tmp_path: Path) -> None:
    from keras_mspose import evaluation, saved_model
    from tfrecords_tools import lsp

    lsp.convert(real_data / "lspet", tmp_path / "data", split="1-8:train,9-10:val")
    data = RecordSet.load(tmp_path / "data")
    config = from_dict(
        {
            "model": {"stacks": 1, "channels": 32, "input_size": [128, 128]},
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
