"""On a GPU: fit, mixed precision, resume and export. `pytest -m gpu` on a machine that has one."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from export.run import export_run
from keras_mspose import keeper, run_log, saved_model, training
from keras_mspose.config import RunConfig, from_dict

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True, scope="module")
def gpu() -> None:
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU here; install `.[gpu]` on a machine with one")


def _config(**more: object) -> RunConfig:
    schedule = {"epochs": 2, "steps_per_epoch": 60, "batch_size": 4, "learning_rate": 0.003, "decay": "constant"}
    return from_dict(
        {
            "model": {"stacks": 1, "channels": 16, "input_size": [64, 64], "depth": 2, "scales": [1, 2]},
            "data": {"box": "joints", "augment": {"scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0}},
            "training": {**schedule, **more},
        },
        "gpu",
    )


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_fit_learns_in_every_precision(dots, precision: str, tmp_path: Path) -> None:
    training.train(_config(precision=precision), dots.records, tmp_path / "run", devices=["GPU:0"])
    first, second = run_log.read_log(tmp_path / "run")
    assert 0 < float(second["loss"]) < 0.9 * float(first["loss"])
    model, _ = saved_model.load(tmp_path / "run")
    maps = model(np.zeros((1, 64, 64, 3), np.uint8), training=False)
    assert all(m.dtype == tf.float32 and np.isfinite(m).all() for m in maps.values())
    assert all("GPU" in m.device for m in maps.values())


def test_a_stopped_run_goes_on(dots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run = tmp_path / "run"
    kept = keeper.Keeper.on_epoch_end

    def stop(self, epoch: int, logs: dict | None = None) -> None:
        kept(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keeper.Keeper, "on_epoch_end", stop)
        training.train(_config(), dots.records, run, devices=["GPU:0"])
    training.train(_config(), dots.records, run, devices=["GPU:0"])
    assert "resuming" in capsys.readouterr().out
    assert [int(row["epoch"]) for row in run_log.read_log(run)] == [0, 1]


def test_what_a_gpu_trained_is_exported(dots, tmp_path: Path) -> None:
    training.train(_config(precision="mixed_float16"), dots.records, tmp_path / "run", devices=["GPU:0"])
    report = export_run(tmp_path / "run", tmp_path / "out", ["savedmodel", "tflite", "onnx"])
    assert report["good"], report["formats"]
