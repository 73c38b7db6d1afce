"""Every shipped recipe trains: two steps of the real network on stand-in persons of its data set's form."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_mspose import cli, run_log, saved_model
from keras_mspose.config import PRESETS, load_recipe, recipe_names
from keras_mspose.records import Person
from keras_mspose.skeleton import FLIC11, LSP14, MPII16, Skeleton
from tfrecords_tools import writer

# skeleton, metric, and how the validation split is called
FORMS = {
    "mpii_paper": (MPII16, "pckh", "val"),
    "mpii_gpu": (MPII16, "pckh", "val"),
    "flic_paper": (FLIC11, "pck", "test"),
    "lsp_small": (LSP14, "pck", "val"),
    "synthetic_tiny": (MPII16, "pckh", "val"),
}


def _records(folder: Path, skeleton: Skeleton, metric: str, val: str) -> Path:
    rng = np.random.default_rng(0)

    def persons():
        for i in range(8):
            coarse = rng.integers(0, 256, (7, 9, 3), np.uint8)
            image = cv2.imencode(".jpg", cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC))[1].tobytes()
            xy = rng.uniform((60, 30), (140, 120), (len(skeleton), 2))
            keypoints = np.concatenate([xy, rng.integers(0, 3, (len(skeleton), 1))], axis=1)
            yield (
                ("train" if i < 6 else val),
                Person(f"{i}.jpg", keypoints, image, (100.0, 75.0, 120.0), head_size=12.0, person_id=i),
            )

    writer.write(persons(), folder, name="drawn", skeleton=skeleton, metric=metric, source="drawn", options={})
    return folder


def test_every_shipped_recipe_has_a_form_here() -> None:
    assert set(recipe_names()) == set(FORMS)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", FORMS)
def test_two_steps(recipe: str, tmp_path: Path) -> None:
    data, run = _records(tmp_path / "data", *FORMS[recipe]), tmp_path / "run"
    network = load_recipe(recipe).model
    same = [name for name in FORMS if load_recipe(name).model == network]
    # Building the paper's network takes a minute: whoever comes second with it has it with one stack.
    whole = same[0] == recipe
    changes = ["training.epochs=1", "training.steps_per_epoch=2", "training.batch_size=2"]
    changes += [] if whole else ["model.stacks=1"]
    assert cli.main(["train", recipe, "--data", str(data), "--out", str(run), "--set", *changes]) == 0
    (row,) = run_log.read_log(run)
    model, facts = saved_model.load(run)
    heads = model.output_names
    assert all(np.isfinite(float(row[f"{part}{head}_loss"])) for head in heads for part in ("", "val_"))
    # Before anything is learned, the loss is that of predicting nothing: the ground truth's own energy, not hundreds.
    assert 0 < float(row["loss"]) < 10 * len(heads)
    assert network in PRESETS.values() and (facts.config.model == network) == whole
    assert facts.skeleton == FORMS[recipe][0]
