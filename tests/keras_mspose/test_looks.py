"""Evaluation and prediction look at the same photographs in the same way, once or several times."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_mspose import cli, evaluation, saved_model
from keras_mspose.pose_estimator import PoseEstimator
from keras_mspose.records import Person
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer


@pytest.mark.parametrize("looks", [1, 3])
def test_evaluation_finds_what_prediction_finds(spot_run: Path, spot: Callable, tmp_path: Path, looks: int) -> None:
    places = np.random.default_rng(0).uniform(30, 170, (5, 2))

    def persons() -> Iterator[tuple[str, Person]]:
        for i, (x, y) in enumerate(places):
            Image.fromarray(spot(x, y, (320, 200))).save(tmp_path / f"{i}.jpg", quality=95)
            keypoints = np.tile((x, y, 2.0), (14, 1))
            yield "val", Person(f"{i}.jpg", keypoints, tmp_path / f"{i}.jpg", person_id=i)

    data = writer.write(
        persons(), tmp_path / "data", name="spots", skeleton=LSP14, metric="pck", source="drawn", options={}
    )
    model, facts = saved_model.load(spot_run)
    *_, found = evaluation.evaluate(model, facts, data, looks=looks, batch_size=3, choices=True)
    plain = found.choices["parabola", False, (1.0,)]
    np.testing.assert_equal(plain.to_dict(), found.accuracy.to_dict())
    assert len(found.choices) == 6
    assert found.looks == looks and len(found.predicted) == 5
    assert np.abs(found.predicted[..., :2] - places[:, None]).max() < 2
    estimator = PoseEstimator.load(spot_run)
    for name, keypoints in zip(found.image_names, found.predicted, strict=True):
        (pose,) = estimator.predict(tmp_path / name, looks=looks)
        np.testing.assert_allclose(pose.with_scores(), keypoints, atol=0.1)


def test_further_looks_come_closer(spot_run: Path, spot: Callable, tmp_path: Path) -> None:
    Image.fromarray(spot(613.4, 171.7, (800, 600))).save(tmp_path / "spot.png")
    estimator = PoseEstimator.load(spot_run)
    once, thrice = (estimator.predict(tmp_path / "spot.png", looks=n)[0] for n in (1, 3))
    assert once.box[2] == 800 and thrice.box[2] == pytest.approx(0.35 * 800)
    wrong = [np.abs(pose.keypoints[:, :2] - (613.4, 171.7)).max() for pose in (once, thrice)]
    assert wrong[1] < 2 and wrong[1] < wrong[0]
    # the default without a box is to look again; a given box is taken as it stands
    (default,) = estimator.predict(tmp_path / "spot.png")
    assert default.box == thrice.box and default.how == "coarse to fine, 3 looks"
    (given,) = estimator.predict(tmp_path / "spot.png", (600, 180, 200))
    assert given.box == (600, 180, 200) and given.how == "box given, 1 look"


def test_the_json_of_evaluate_says_all_at_full_precision(spot_run: Path, dots, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    arguments = [
        "evaluate",
        str(spot_run),
        "--data",
        str(dots.records.folder),
        "--looks",
        "2",
        "--flip",
        "--json",
        str(out),
    ]
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
    model, facts = saved_model.load(spot_run)
    *_, found = evaluation.evaluate(model, facts, dots.records, looks=2, flip=True)
    assert said["mean"] == found.accuracy.mean and said["joints"] == found.accuracy.joints
    # val3.jpg has no left shoulder, and so no torso
    assert said["persons"] == {"counted": 6, "all": 7}
    assert cli.main([*arguments[:4], "--looks", "0"]) == 2


def test_evaluation_tells_occluded_keypoints_apart(spot_run: Path, spot: Callable, tmp_path: Path) -> None:
    def persons() -> Iterator[tuple[str, Person]]:
        for i in range(4):
            Image.fromarray(spot(100 + i, 90, (200, 200))).save(tmp_path / f"{i}.jpg", quality=95)
            keypoints = np.tile((100.0 + i, 90.0, 2.0), (14, 1))
            keypoints[LSP14.index("right_hip"), 1] += 60  # the torso's other end, which this network does not find
            keypoints[LSP14.index("left_elbow"), 2] = 1 + (i > 0)
            yield "val", Person(f"{i}.jpg", keypoints, tmp_path / f"{i}.jpg", person_id=i)

    data = writer.write(
        persons(), tmp_path / "data", name="spots", skeleton=LSP14, metric="pck", source="drawn", options={}
    )
    model, facts = saved_model.load(spot_run)
    *_, found = evaluation.evaluate(model, facts, data)
    kinds = found.to_dict()["occlusion"]
    assert {kind: sum(one["counts"].values()) for kind, one in kinds.items()} == {
        "visible": 55,
        "occluded": 1,
        "occluded_with_visible_neighbour": 1,
    }
    assert kinds["occluded"]["weighted_mean"] == 100
    assert kinds["visible"]["weighted_mean"] == pytest.approx(100 * 51 / 55)
