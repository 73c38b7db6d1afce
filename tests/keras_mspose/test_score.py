"""`mspose score`: predictions as others publish them, told apart to the pixel, and the published figures from them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from keras_mspose.cli import main
from keras_mspose.errors import MsposeError
from keras_mspose.prediction_file import read_predictions
from keras_mspose.score_run import score_file
from keras_mspose.truth_file import read_truth

PERSONS = 6
PUBLISHED = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")


@pytest.fixture
def positions() -> np.ndarray:
    """(P, 16, 2) in pixels from 1, as the files have them."""
    return np.random.default_rng(0).uniform(50, 400, (PERSONS, 16, 2))


@pytest.fixture
def truth(tmp_path: Path, positions: np.ndarray) -> Path:
    """A truth file of persons whose heads are 3 pixels large, so that half a head is 1.5 pixels."""
    boxes = np.zeros((2, 2, PERSONS))
    boxes[1] = 5 / np.sqrt(2)
    missing = np.zeros((16, PERSONS))
    missing[0, 0] = 1
    path = tmp_path / "truth.mat"
    savemat(path, {"pos_gt_src": positions.transpose(1, 2, 0), "jnt_missing": missing, "headboxes_src": boxes})
    return path


def h5(tmp_path: Path, preds: np.ndarray) -> Path:
    path = tmp_path / "preds.h5"
    with h5py.File(path, "w") as file:
        file["preds"] = preds
    return path


def pckh(predictions: Path, truth: Path, threshold: float = 0.5, **options) -> float:
    return score_file(predictions, truth, threshold=threshold, **options)["weighted_mean"]


def test_right_predictions_in_every_form(tmp_path: Path, positions: np.ndarray, truth: Path) -> None:
    savemat(tmp_path / "kit.mat", {"pos_pred_src": positions.transpose(1, 2, 0)})
    savemat(tmp_path / "preds.mat", {"preds": positions})
    ours = {"persons": [{"image": "a.jpg", "keypoints": [[x - 1, y - 1, 0.9] for x, y in one]} for one in positions]}
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    for path in (h5(tmp_path, positions), *(tmp_path / n for n in ("kit.mat", "preds.mat", "ours.json"))):
        assert pckh(path, truth, threshold=1e-6) == 100


@pytest.mark.parametrize("off", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_one_pixel_in_each_direction_is_told_apart(off: tuple, tmp_path: Path, positions, truth: Path) -> None:
    path = h5(tmp_path, positions + off)
    assert pckh(path, truth, threshold=0.3) == 0  # 0.9 pixels
    assert pckh(path, truth, threshold=0.34) == 100  # 1.02 pixels


def test_counting_from_0_in_a_file_that_should_count_from_1(tmp_path: Path, positions, truth: Path) -> None:
    path = h5(tmp_path, positions - 1)
    assert pckh(path, truth, threshold=0.47) == 0  # 1.41 pixels, diagonally
    assert pckh(path, truth, threshold=1e-6, first_pixel=0) == 100


def test_the_json_report(tmp_path: Path, positions, truth: Path) -> None:
    assert main(["score", str(h5(tmp_path, positions)), "--truth", str(truth), "--json", str(tmp_path / "s.json")]) == 0
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["protocol"] == "mpii" and report["threshold"] == 0.5
    assert report["mean"] == report["weighted_mean"] == 100
    assert list(report["groups"]) == [*PUBLISHED, "Total"]
    assert report["counts"]["right_ankle"] == PERSONS - 1 and report["counts"]["left_ankle"] == PERSONS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], "5 persons, but the truth has 6"),
        (lambda p: p[:, :14], r"\(6, 14, 2\), expected \(persons, 16 joints, 2\)"),
        (lambda p: np.where(np.arange(16)[:, None] == 3, np.nan, p), r"person 1, joint 3 \(from 0\)"),
        (lambda p: p[0], "expected"),
    ],
)
def test_predictions_that_do_not_fit(change, message: str, tmp_path: Path, positions, truth: Path, capsys) -> None:
    path = h5(tmp_path, change(positions))
    assert main(["score", str(path), "--truth", str(truth), "--json", str(tmp_path / "s.json")]) == 2
    error = capsys.readouterr().err
    assert "preds.h5" in error and "Traceback" not in error
    with pytest.raises(MsposeError, match=message):
        score_file(path, truth)
    assert not (tmp_path / "s.json").exists()


def test_files_of_other_kinds(tmp_path: Path, truth: Path) -> None:
    for name, content, message in (
        ("a.txt", b"", r"unknown form; expected \.h5"),
        ("a.h5", b"no", "not a readable HDF5"),
        ("a.mat", b"no", "not a readable MATLAB"),
        ("a.json", b"{}", "not the JSON of `mspose evaluate"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MsposeError, match=message):
            read_predictions(tmp_path / name, PERSONS, 16)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["heatmaps"] = [1]
    with pytest.raises(MsposeError, match="no data set `preds`, it has heatmaps"):
        read_predictions(tmp_path / "b.h5", PERSONS, 16)
    with pytest.raises(MsposeError, match="no such file"):
        read_predictions(tmp_path / "none.h5", PERSONS, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"headboxes_src": None}, "no head boxes"),
        ({"jnt_missing": None}, "no jnt_missing"),
        ({"headboxes_src": np.zeros((2, 2, PERSONS))}, "person 1: head box .* has no size"),
        ({"jnt_missing": np.zeros((16, 2))}, "jnt_missing is 16 x 2, expected 16 x 6"),
        ({"pos_gt_src": np.full((16, 2, PERSONS), np.nan)}, "person 1, right_ankle: labelled but not a number"),
    ],
)
def test_truth_that_does_not_serve(change: dict, message: str, tmp_path: Path) -> None:
    boxes = np.zeros((2, 2, PERSONS))
    boxes[1] = 4
    content = {"pos_gt_src": np.ones((16, 2, PERSONS)), "jnt_missing": np.zeros((16, PERSONS)), "headboxes_src": boxes}
    content = {k: v for k, v in {**content, **change}.items() if v is not None}
    savemat(tmp_path / "truth.mat", content)
    with pytest.raises(MsposeError, match=message):
        read_truth(tmp_path / "truth.mat")


def test_occlusion_by_hand(tmp_path: Path, positions, truth: Path) -> None:
    labelled = np.concatenate([positions - 1, np.full((PERSONS, 16, 1), 2.0)], axis=-1)
    elbow, wrist, shoulder = 11, 10, 12
    labelled[0, [elbow, wrist], 2] = 1  # the elbow's other neighbour is seen, of the wrist's only one is not
    wrong = positions.copy()
    wrong[0, elbow] += 100
    report = score_file(h5(tmp_path, wrong), truth, visibility=labelled)["occlusion"]
    assert report["occluded"]["weighted_mean"] == 50
    assert report["occluded_with_visible_neighbour"]["weighted_mean"] == 0
    assert report["occluded_with_visible_neighbour"]["counts"]["right_elbow"] == 1
    assert report["occluded_with_visible_neighbour"]["counts"]["right_wrist"] == 0
    assert report["visible"]["weighted_mean"] == 100 and report["visible"]["counts"]["right_shoulder"] == PERSONS
    labelled[:, shoulder, :2] += 5
    with pytest.raises(MsposeError, match="6 of the visibility file's 6 persons are others"):
        score_file(h5(tmp_path, wrong), truth, visibility=labelled)
    with pytest.raises(MsposeError, match="5 validation persons, the truth 6"):
        score_file(h5(tmp_path, wrong), truth, visibility=labelled[1:])


def test_newell_as_published(real_data: Path) -> None:
    mpii = real_data / "mpii"
    paths = mpii / "hourglass_val_predictions.h5", mpii / "detections_our_format.mat"
    found = score_file(*paths, protocol="bearpaw")
    assert [round(found["groups"][g], 2) for g in PUBLISHED] == [95.94, 94.68, 88.53, 83.38, 87.48, 83.09, 79.05]
    assert round(found["mean"], 2) == 87.56
    assert round(score_file(*paths, protocol="hrnet")["mean"], 2) == 88.04
    found = score_file(*paths, protocol="mpii")
    assert (round(found["groups"]["Head"], 2), round(found["groups"]["Total"], 2)) == (96.71, 88.04)


def test_tompson_as_published(real_data: Path) -> None:
    path = real_data / "mpii/detections_our_format.mat"
    found = score_file(path, path, protocol="bearpaw")
    assert [round(found["groups"][g], 2) for g in PUBLISHED] == [95.60, 92.71, 83.36, 76.74, 81.93, 73.36, 65.45]
    assert (round(found["mean"], 2), round(found["weighted_mean"], 2)) == (81.46, 82.34)
    assert round(score_file(path, path, protocol="mpii")["groups"]["Head"], 2) == 96.66


def test_newell_on_occluded_keypoints(real_data: Path, capsys) -> None:
    mpii = real_data / "mpii"
    arguments = [
        "score",
        str(mpii / "hourglass_val_predictions.h5"),
        "--truth",
        str(mpii / "detections_our_format.mat"),
    ]
    assert main([*arguments, "--visibility", str(mpii / "mpii_annotations.json.gz")]) == 0
    assert "total, pooled" in capsys.readouterr().out


def test_no_tensorflow_is_loaded_and_it_is_quick(tmp_path: Path, real_data: Path) -> None:
    mpii = real_data / "mpii"
    arguments = [str(mpii / "hourglass_val_predictions.h5"), "--truth", str(mpii / "detections_our_format.mat")]
    code = f"import sys, keras_mspose.cli as c; c.main(['score', *{arguments}]); print('tensorflow' in sys.modules)"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
    assert time.monotonic() - started < 30  # about 1 s; the bound only tells a hang


def test_coco_results(tmp_path: Path, real_data: Path) -> None:
    truth = max((real_data / "coco").rglob("person_keypoints_*.json"), key=lambda path: path.stat().st_size)
    labelled = json.loads(truth.read_text())["annotations"]
    results = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in labelled
        if a["num_keypoints"] and not a["iscrowd"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert score_file(tmp_path / "results.json", truth)["AP"] == pytest.approx(100, abs=0.1)
    for entry in results[: len(results) // 2]:
        entry["keypoints"] = [v + 500 for v in entry["keypoints"]]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert 20 < score_file(tmp_path / "results.json", truth)["AP"] < 80
    results[0]["image_id"] = -5
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(MsposeError, match="image_id -5 is no image"):
        score_file(tmp_path / "results.json", truth)
    (tmp_path / "results.json").write_text(json.dumps([{"image_id": 1}]))
    with pytest.raises(MsposeError, match="entry 0: no category_id, keypoints, score"):
        score_file(tmp_path / "results.json", truth)
