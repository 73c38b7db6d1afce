"""`mspose score`: predictions as others publish them, told apart to the pixel, and the published figures from them."""

import json
import subprocess
import sys
import time
from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from keras_mspose.cli import main
from keras_mspose.errors import MsposeError
from keras_mspose.prediction_file import FORMAT
from keras_mspose.published_file import read_predictions
from keras_mspose.score_run import score_file
from keras_mspose.skeleton import COCO17
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


def test_axes_in_any_order_and_scores_beside(tmp_path: Path, positions: np.ndarray, truth: Path) -> None:
    scored = np.concatenate([positions, np.full((PERSONS, 16, 1), 0.5)], axis=-1)
    for array in (positions, scored):
        for number, order in enumerate(permutations(range(3))):
            turned = array.transpose(order)
            savemat(tmp_path / f"{number}.mat", {"preds": turned})
            savemat(tmp_path / f"{number}_kit.mat", {"pos_pred_src": turned})
            for path in (h5(tmp_path, turned), tmp_path / f"{number}.mat", tmp_path / f"{number}_kit.mat"):
                assert pckh(path, truth, threshold=1e-6) == 100, (array.shape, order, path)


def test_matlab_version_7_3_is_hdf5_with_its_axes_turned(tmp_path: Path, positions: np.ndarray, truth: Path) -> None:
    for name, content in (("preds", {"preds": positions.T}), ("truth", {})):
        with h5py.File(tmp_path / f"{name}73.mat", "w", userblock_size=512) as file:
            if name == "truth":
                content = {k: v.T for k, v in loadmat(truth).items() if not k.startswith("_")}
            for key, value in content.items():
                file[key] = value
    assert pckh(tmp_path / "preds73.mat", tmp_path / "truth73.mat", threshold=1e-6) == 100


def test_json_as_others_write_it(tmp_path: Path, positions: np.ndarray, truth: Path) -> None:
    points = np.concatenate([positions - 1, np.full((PERSONS, 16, 1), 0.5)], axis=-1)
    order = [3, 0, 5, 1, 2, 4, 3]
    forms = [
        points.tolist(),
        points[..., :2].tolist(),
        {"preds": points.tolist()},
        [{"keypoints": one.ravel().tolist()} for one in points],
        points[..., :2].reshape(PERSONS, -1).tolist(),
        [{"keypoints": points[i].tolist(), "bbox_id": i} for i in order],  # MMPose: in any order, some twice
    ]
    for form in forms:
        (tmp_path / "p.json").write_text(json.dumps(form))
        assert pckh(tmp_path / "p.json", truth, threshold=1e-6) == 100
    for form, message in (
        ([[0.5] * 51] * PERSONS, "51 numbers a person, expected 32 or 48"),
        ([], "a list where a list of persons was expected|list of persons"),
        ([{"image": "a.jpg"}], "KeyError: 'keypoints'"),
    ):
        (tmp_path / "p.json").write_text(json.dumps(form))
        with pytest.raises(MsposeError, match=message):
            pckh(tmp_path / "p.json", truth)


def annolist(positions: np.ndarray, left_out: tuple[int, int]) -> list[dict]:
    """Structs of the tool kit: two persons an image, and one more without points in each."""
    images = []
    for i in range(0, PERSONS, 2):
        rects = [{"scale": 2.0, "annopoints": []}]
        for p in (i, i + 1):
            xy = [(k, *positions[p, k]) for k in reversed(range(16)) if (p, k) != left_out]
            points = np.array([(x, y, k) for k, x, y in xy], [(n, "O") for n in ("x", "y", "id")])
            rects.append({"scale": 2.0, "annopoints": {"point": points}})
        images.append({"image": {"name": f"{i}.jpg"}, "annorect": rects})
    return images


def test_the_tool_kits_structs(tmp_path: Path, positions: np.ndarray, truth: Path, capsys) -> None:
    wrist = 10
    savemat(tmp_path / "pred.mat", {"pred": annolist(positions, left_out=(2, wrist))})
    report = score_file(tmp_path / "pred.mat", truth, threshold=1e-6)
    assert report["joints"]["right_wrist"] == pytest.approx(100 * 5 / 6) and report["joints"]["left_wrist"] == 100
    assert report["not_predicted"] == 1
    assert "1 labelled joints are not predicted and count as wrong" in capsys.readouterr().out
    savemat(tmp_path / "fewer.mat", {"pred": annolist(positions, left_out=(0, 0))[:2]})
    with pytest.raises(MsposeError, match="4 persons with annopoints, but the truth has 6"):
        score_file(tmp_path / "fewer.mat", truth)
    broken = positions.copy()
    broken[1, 4, 0] = np.nan
    savemat(tmp_path / "broken.mat", {"pred": annolist(broken, left_out=(2, wrist))})
    with pytest.raises(MsposeError, match=r"person 2, joint 4 \(from 0\): .*nan.* is no position"):
        score_file(tmp_path / "broken.mat", truth)


def test_a_file_without_pelvis_and_thorax(tmp_path: Path, positions: np.ndarray, truth: Path) -> None:
    positions[:, [6, 7]] = np.nan
    report = score_file(h5(tmp_path, positions), truth, threshold=1e-6)
    assert (report["mean"], report["joints"]["pelvis"], report["not_predicted"]) == (100, 0, 0)
    positions[:, 9] = np.nan  # a joint that counts
    with pytest.raises(MsposeError, match=r"person 1, joint 9"):
        score_file(h5(tmp_path, positions), truth)


def test_a_shift_of_all_by_one_is_said(tmp_path: Path, positions: np.ndarray, truth: Path, capsys) -> None:
    for shift, said in (
        ((0, 0), False),
        ((-1, -1), "from 0 and were read as if from 1: see --first-pixel"),
        ((1, 1), "from 1 and were read as if from 0: see --first-pixel"),
        ((1, 0), False),
        ((1, -1), False),
    ):
        report = score_file(h5(tmp_path, positions + shift), truth)
        out = " ".join(capsys.readouterr().out.split())
        assert report["median_shift"] == pytest.approx(shift)
        assert said in out if said else "--first-pixel" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--between", "pelvis", "thorax"], "--between says nothing about predictions beside a --truth"),
        (["--threshold", "0"], "expected more than 0"),
    ],
)
def test_options_that_do_not_go_together(arguments, message, tmp_path, positions, truth, capsys) -> None:
    assert main(["score", str(h5(tmp_path, positions)), "--truth", str(truth), *arguments]) == 2
    assert message in capsys.readouterr().err


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


def test_newell_by_another_road(tmp_path: Path, real_data: Path) -> None:
    mpii = real_data / "mpii"
    with h5py.File(mpii / "hourglass_val_predictions.h5") as file:
        preds = file["preds"][()]
    savemat(tmp_path / "preds.mat", {"preds": preds})  # bearpaw, HRNet
    (tmp_path / "p.json").write_text(
        json.dumps([{"keypoints": one.tolist(), "bbox_id": i} for i, one in enumerate(preds - 1)])
    )
    for path in (tmp_path / "preds.mat", h5(tmp_path, preds.T), tmp_path / "p.json"):
        found = score_file(path, mpii / "detections_our_format.mat", protocol="bearpaw")
        assert round(found["mean"], 2) == 87.56 and round(found["groups"]["Head"], 2) == 95.94


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


def test_own_predictions_of_coco_by_oks(tmp_path: Path, real_data: Path) -> None:
    truth = max((real_data / "coco").rglob("person_keypoints_*.json"), key=lambda path: path.stat().st_size)
    labelled = json.loads(truth.read_text())
    names = {image["id"]: image["file_name"] for image in labelled["images"]}
    persons = [
        {
            "image": names[a["image_id"]],
            "keypoints": np.array(a["keypoints"], float).reshape(17, 3).tolist(),
            "truth": np.array(a["keypoints"], float).reshape(17, 3).tolist(),
            "reference": 1.0,
        }
        for a in labelled["annotations"]
        if a["num_keypoints"] and not a["iscrowd"]
    ]
    own = {"format": FORMAT, "metric": "pck", "skeleton": COCO17.to_dict(), "persons": persons}
    (tmp_path / "own.json").write_text(json.dumps(own))
    assert score_file(tmp_path / "own.json", truth)["AP"] == pytest.approx(100, abs=0.1)
    (tmp_path / "own.json").write_text(json.dumps({**own, "persons": [{**persons[0], "image": "x.jpg"}]}))
    with pytest.raises(MsposeError, match=r"x\.jpg is no image of the truth"):
        score_file(tmp_path / "own.json", truth)
