"""MPII's test submission: read back as the evaluation reads it, each person in place, to the pixel."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from mpii_files import EMPTY, structs
from scipy.io import loadmat, savemat

from keras_mspose import cli, saved_model
from keras_mspose.config import from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.published_file import read_predictions
from keras_mspose.skeleton import MPII16
from tfrecords_tools import mpii, mpii_submission
from tfrecords_tools.cropping import Crop

CONFIG = from_dict(
    {
        "model": {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1], "regression": False},
        "data": {"box": "record"},
    },
    "submission",
)


def rect(x: float, scale: float = 0.15) -> dict:
    return {"scale": scale, "objpos": structs({"x": x, "y": 15.0})}


@pytest.fixture
def source(tmp_path: Path, jpeg) -> Path:
    """Five photographs: a training one, then tests with a single person behind one without position; with nobody; with
    two single persons of three; and with one whom the evaluation leaves out."""
    folder = tmp_path / "mpii"
    (folder / "images").mkdir(parents=True)
    points = structs(*({"id": float(k), "x": 5.0 + k, "y": 9.0} for k in range(16)))
    labelled = {**rect(20.0), "annopoints": structs({"point": points}), "x1": 3.0, "y1": 3.0, "x2": 9.0, "y2": 9.0}
    rects = [
        [labelled],
        [{"scale": EMPTY, "objpos": EMPTY}, rect(12.0)],
        [],
        [rect(10.0), rect(20.0, 0.2), rect(30.0)],
        [rect(18.0)],
    ]
    singles = [[1], [2], [], [3, 1], []]
    for i in range(len(rects)):
        (folder / "images" / f"{i}.jpg").write_bytes(jpeg(i))
    single = np.zeros((len(singles), 1), object)
    for i, places in enumerate(singles):
        single[i, 0] = np.array([places], float).T if places else EMPTY
    images = ({"image": structs({"name": f"{i}.jpg"}), "annorect": structs(*r) if r else EMPTY, "vididx": 1.0 * i}
              for i, r in enumerate(rects))  # fmt: skip
    release = {
        "annolist": structs(*images),
        "img_train": np.array([[1, 0, 0, 0, 0]], float),
        "single_person": single,
        "act": structs({"act_id": 0}),
    }
    savemat(folder / mpii.MAT_NAME, {"RELEASE": release})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("run")
    saved_model.save(build_model(CONFIG.model, 16), folder / "best.keras", saved_model.Facts(MPII16, "pckh", CONFIG))
    return folder


def test_what_is_written_comes_back_in_place(source: Path, tmp_path: Path) -> None:
    test, singles = mpii_submission.read_test(source / mpii.MAT_NAME)
    assert [(one.image, one.rect, one.name, one.person_id) for one in singles] == [
        (0, 1, "1.jpg", 2),
        (2, 2, "3.jpg", 5),
        (2, 0, "3.jpg", 3),
    ]
    keypoints = {number: np.random.default_rng(number).uniform(-5, 300, (16, 3)) for number in (2, 3, 5, 4, 6)}
    out = tmp_path / "pred_keypoints_mpii.mat"
    mpii_submission.write(out, test, singles, keypoints)

    pred = loadmat(out, squeeze_me=True, struct_as_record=False)["pred"]
    assert [entry.image.name for entry in pred] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]  # one for every test image
    assert [np.size(entry.annorect) for entry in pred] == [2, 0, 3, 1]
    assert pred[2].vididx == 3
    for image, place, number in ((0, 1, 2), (2, 2, 5), (2, 0, 3)):
        points = pred[image].annorect[place].annopoints.point
        assert [p.id for p in points] == list(range(16))
        np.testing.assert_allclose([[p.x, p.y] for p in points], keypoints[number][:, :2] + 1, atol=1e-9)
    assert pred[2].annorect[1].annopoints.size == 0 and pred[0].annorect[0].annopoints.size == 0
    assert (pred[2].annorect[1].scale, pred[2].annorect[1].objpos.x) == (0.2, 20)
    # and by the reader that `mspose score` has, which goes by images and their persons, from 0
    again = read_predictions(out, 3, 16)
    np.testing.assert_allclose(again, [keypoints[number][:, :2] for number in (2, 3, 5)], atol=1e-9)


def test_a_single_person_without_prediction_is_named(source: Path, tmp_path: Path) -> None:
    test, singles = mpii_submission.read_test(source / mpii.MAT_NAME)
    some = dict.fromkeys((2, 5), np.zeros((16, 2)))
    with pytest.raises(MsposeError, match=r"1 of 3 single persons have no prediction, the first is person 1 of 3\.jpg"):
        mpii_submission.write(tmp_path / "p.mat", test, singles, some)
    with pytest.raises(MsposeError, match="expected 16 positions"):
        mpii_submission.write(tmp_path / "p.mat", test, singles, {**some, 3: np.full((16, 2), np.nan)})
    assert list(tmp_path.glob("p.mat*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("crop", [None, Crop(32)])
def test_from_records_to_the_file(crop: Crop | None, source: Path, run: Path, tmp_path: Path, capsys) -> None:
    mpii.convert(source, tmp_path / "data", crop=crop)
    out, predictions = tmp_path / "pred.mat", tmp_path / "p.json"
    command = ["submit", str(run), "--data", str(tmp_path / "data"), "--flip", "--scales", "0.9", "1"]
    assert cli.main([*command, "--out", str(out)]) == 0
    assert "pred.mat: 3 persons" in capsys.readouterr().out
    evaluate = ["evaluate", *command[1:4], "--split", "test", "--flip", "--scales", "0.9", "1"]
    assert cli.main([*evaluate, "--predictions", str(predictions)]) == 0
    found = {p["person_id"]: p["keypoints"] for p in json.loads(predictions.read_text())["persons"]}
    assert sorted(found) == [2, 3, 4, 5, 6]
    written = read_predictions(out, 3, 16)
    np.testing.assert_allclose(written, np.array([found[number] for number in (2, 3, 5)])[..., :2], atol=1e-3)


@pytest.mark.slow
def test_a_split_without_labels_and_one_of_pckh_are_both_reported(source: Path, run: Path, tmp_path: Path) -> None:
    """Nothing counts in the first: no figure is NaN in JSON, and no chart breaks. The second has all protocols."""
    mpii.convert(source, tmp_path / "data")
    found = {}
    for split in ("test", "train"):
        out = ["--json", str(tmp_path / f"{split}.json"), "--report", str(tmp_path / split)]
        assert cli.main(["evaluate", str(run), "--data", str(tmp_path / "data"), "--split", split, *out]) == 0
        found[split] = json.loads((tmp_path / f"{split}.json").read_text(), parse_constant=pytest.fail)
        assert (tmp_path / split / "index.html").is_file()
    assert found["test"]["mean"] is None and found["test"]["persons"] == {"counted": 0, "all": 5}
    assert list(found["train"]["protocols"]) == ["mpii", "bearpaw", "hrnet"]
    assert found["train"]["at_0.1"]["threshold"] == 0.1 and found["train"]["persons"] == {"counted": 1, "all": 1}
    assert sorted(path.name for path in (tmp_path / "train").glob("worst*")) == ["worst-01.png"]


def test_what_is_refused(source: Path, run: Path, tmp_path: Path) -> None:
    mpii.convert(source, tmp_path / "data")
    other = tmp_path / "other.mat"
    savemat(other, {"RELEASE": {"annolist": structs({"a": 1.0}), "img_train": 0.0}})
    for changes, message in (
        ({"out": tmp_path / "p.txt"}, "a name that ends with .mat"),
        ({"annotation": tmp_path / "none.mat"}, "give MPII's annotation with --annotation"),
        ({"annotation": other}, "no single_person in RELEASE"),
        ({"split": "holiday"}, "no persons in a split 'holiday'"),
        ({"split": "train"}, "3 of 3 single persons have no prediction"),
    ):
        options = {"out": tmp_path / "p.mat", **changes}
        with pytest.raises(MsposeError, match=message):
            mpii_submission.submit(run, tmp_path / "data", **options)
        assert not options["out"].exists()


def test_the_real_annotation(real_data: Path, tmp_path: Path) -> None:
    test, singles = mpii_submission.read_test(real_data / "mpii" / mpii.MAT_NAME)
    assert [(one.name, one.rect) for one in singles] == [("031130770.jpg", 0), ("078618267.jpg", 0)]
    keypoints = {one.person_id: np.full((16, 2), float(one.person_id)) for one in singles}
    mpii_submission.write(tmp_path / "pred.mat", test, singles, keypoints)
    again = read_predictions(tmp_path / "pred.mat", 2, 16)
    assert again[:, 0, 0].tolist() == sorted(keypoints)
