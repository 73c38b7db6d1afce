"""Evaluation and prediction look at the same photographs in the same way, once or several times."""

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_mspose import cli, evaluation, saved_model
from keras_mspose.config import ModelConfig, RunConfig, from_dict
from keras_mspose.prediction import Predictor
from keras_mspose.records import Person
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer

CONFIG: RunConfig = from_dict(
    {
        "model": {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1], "regression": False},
        "data": {"box": "image"},
    },
    "looks",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A "network" that answers for keypoint k where the picture is brightest in a mixture of colours of its own."""
    assert CONFIG.model == ModelConfig(1, 8, (64, 64), depth=2, scales=(1,), regression=False)
    crop = keras.Input((64, 64, 3), dtype="uint8", name="crop")
    x = keras.layers.Rescaling(1 / 255)(crop)
    x = keras.layers.AveragePooling2D(4)(x)
    maps = keras.layers.Conv2D(14, 1, use_bias=False, name="stack1_gt1")(x)
    model = keras.Model(crop, {"stack1_gt1": maps})
    model.layers[-1].set_weights([np.random.default_rng(3).uniform(0.1, 1, (1, 1, 3, 14))])
    folder = tmp_path_factory.mktemp("run")
    saved_model.save(model, folder / "best.keras", saved_model.Facts(LSP14, "pck", CONFIG))
    return folder


def _spot(x: float, y: float, size: tuple[int, int]) -> np.ndarray:
    down, across = np.mgrid[: size[1], : size[0]]
    spot = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 9.0**2))
    return np.repeat(np.round(255 * spot[..., None]), 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("looks", [1, 3])
def test_evaluation_finds_what_prediction_finds(run: Path, tmp_path: Path, looks: int) -> None:
    places = np.random.default_rng(0).uniform(30, 170, (5, 2))

    def persons() -> Iterator[tuple[str, Person]]:
        for i, (x, y) in enumerate(places):
            Image.fromarray(_spot(x, y, (320, 200))).save(tmp_path / f"{i}.jpg", quality=95)
            keypoints = np.tile((x, y, 2.0), (14, 1))
            yield "val", Person(f"{i}.jpg", keypoints, tmp_path / f"{i}.jpg", person_id=i)

    data = writer.write(
        persons(), tmp_path / "data", name="spots", skeleton=LSP14, metric="pck", source="drawn", options={}
    )
    model, facts = saved_model.load(run)
    *_, found = evaluation.evaluate(model, facts, data, looks=looks, batch_size=3, choices=True)
    plain = found.choices["parabola", False, (1.0,)]
    np.testing.assert_equal(plain.to_dict(), found.accuracy.to_dict())
    assert len(found.choices) == 6
    assert found.looks == looks and len(found.predicted) == 5
    assert np.abs(found.predicted[..., :2] - places[:, None]).max() < 2
    predictor = Predictor(run)
    for name, keypoints in zip(found.image_names, found.predicted, strict=True):
        pose = predictor.predict(tmp_path / name, looks=looks)
        np.testing.assert_allclose(pose.keypoints, keypoints, atol=0.1)


def test_further_looks_come_closer(run: Path, tmp_path: Path) -> None:
    Image.fromarray(_spot(613.4, 171.7, (800, 600))).save(tmp_path / "spot.png")
    predictor = Predictor(run)
    once, thrice = (predictor.predict(tmp_path / "spot.png", looks=n) for n in (1, 3))
    assert once.box[2] == 800 and thrice.box[2] == pytest.approx(0.35 * 800)
    wrong = [np.abs(pose.keypoints[:, :2] - (613.4, 171.7)).max() for pose in (once, thrice)]
    assert wrong[1] < 2 and wrong[1] < wrong[0]
    # the default without a box is to look again; a given box is taken as it stands
    assert predictor.predict(tmp_path / "spot.png").box == thrice.box
    assert predictor.predict(tmp_path / "spot.png", (600, 180, 200)).box == (600, 180, 200)


def test_the_json_of_evaluate_says_all_at_full_precision(run: Path, dots, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    arguments = ["evaluate", str(run), "--data", str(dots.records.folder), "--looks", "2", "--flip", "--json", str(out)]
    assert cli.main(arguments) == 0
    said = json.loads(out.read_text())
    assert {"metric", "threshold", "mean", "weighted_mean", "groups", "joints", "counts", "heads"} <= said.keys()
    assert (said["metric"], said["threshold"], said["box"], said["looks"], said["flip"]) == (
        "PCK",
        0.2,
        "image",
        2,
        True,
    )
    assert list(said["other_boxes"]) == ["joints"]
    model, facts = saved_model.load(run)
    *_, found = evaluation.evaluate(model, facts, dots.records, looks=2, flip=True)
    assert said["mean"] == found.accuracy.mean and said["joints"] == found.accuracy.joints
    # val3.jpg has no left shoulder, and so no torso
    assert said["persons"] == {"counted": 6, "all": 7}
    assert cli.main([*arguments[:4], "--looks", "0"]) == 2


def test_predict_writes_photograph_pixels_and_pictures(run: Path, dots, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for folder in (photos, photos / "more"):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(dots.persons["val0.jpg"].image)
    (photos / "cut.jpg").write_bytes(dots.persons["val0.jpg"].image[:900])
    command = ["predict", str(run), str(photos), str(photos / "more"), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    assert not (tmp_path / "out").exists()
    assert cli.main([*command, "--skip-bad"]) == 0
    said = json.loads((tmp_path / "out" / "keypoints.json").read_text())
    assert len(said["poses"]) == 2 and said["skeleton"]["name"] == "lsp14"
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == ["a_2_pose.png", "a_pose.png"]
    assert Image.open(tmp_path / "out" / "a_pose.png").size == dots.size


def test_evaluation_tells_occluded_keypoints_apart(run: Path, tmp_path: Path) -> None:
    def persons() -> Iterator[tuple[str, Person]]:
        for i in range(4):
            Image.fromarray(_spot(100 + i, 90, (200, 200))).save(tmp_path / f"{i}.jpg", quality=95)
            keypoints = np.tile((100.0 + i, 90.0, 2.0), (14, 1))
            keypoints[LSP14.index("right_hip"), 1] += 60  # the torso's other end, which this network does not find
            keypoints[LSP14.index("left_elbow"), 2] = 1 + (i > 0)
            yield "val", Person(f"{i}.jpg", keypoints, tmp_path / f"{i}.jpg", person_id=i)

    data = writer.write(
        persons(), tmp_path / "data", name="spots", skeleton=LSP14, metric="pck", source="drawn", options={}
    )
    model, facts = saved_model.load(run)
    *_, found = evaluation.evaluate(model, facts, data)
    kinds = found.to_dict()["occlusion"]
    assert {kind: sum(one["counts"].values()) for kind, one in kinds.items()} == {
        "visible": 55,
        "occluded": 1,
        "occluded_with_visible_neighbour": 1,
    }
    assert kinds["occluded"]["weighted_mean"] == 100
    assert kinds["visible"]["weighted_mean"] == pytest.approx(100 * 51 / 55)
