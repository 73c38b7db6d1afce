"""FLIC's examples.mat, by hand-made entries and by the real annotation with stand-in frames."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import FLIC11
from tfrecords_tools import flic

FIELDS = ("coords", "filepath", "imgdims", "torsobox", "istrain", "istest")


def entry(name: str, split: str, **changes) -> dict:
    """A person whose column k lies at (10 + k, 20 + k) of MATLAB's pixels."""
    coords = np.array([10.0 + np.arange(29), 20.0 + np.arange(29)])
    return {
        "coords": coords,
        "filepath": name,
        "imgdims": np.array([30, 40, 3]),
        "torsobox": np.array([11.0, 21.0, 21.0, 41.0]),
        "istrain": float(split == "train"),
        "istest": float(split == "test"),
        **changes,
    }


def save(folder: Path, *entries: dict) -> Path:
    array = np.zeros((1, len(entries)), [(f, object) for f in FIELDS])
    for i, one in enumerate(entries):
        array[0, i] = tuple(one[f] for f in FIELDS)
    savemat(folder / flic.MAT_NAME, {"examples": array})
    return folder


@pytest.fixture
def source(tmp_path: Path, jpeg) -> Path:
    (tmp_path / "source" / "images").mkdir(parents=True)
    for i, name in enumerate("abc"):
        (tmp_path / "source" / "images" / f"{name}.jpg").write_bytes(jpeg(i))
    return tmp_path / "source"


def test_by_hand(source: Path, tmp_path: Path, records_of) -> None:
    unseen = entry("b.jpg", "test")
    unseen["coords"][:, 5] = np.nan
    save(source, entry("a.jpg", "train"), unseen, entry("c.jpg", "none"))
    data = flic.convert(source, tmp_path / "out")
    assert data.notes["left_out"] == {"in neither split": 1} and "observer" in data.notes["sides"]
    (train,), (test,) = records_of(tmp_path / "out", "train"), records_of(tmp_path / "out", "test")
    expected = {"left_shoulder": 0, "right_wrist": 5, "left_hip": 6, "right_hip": 9, "right_eye": 13, "nose": 16}
    for name, column in expected.items():
        np.testing.assert_allclose(train["keypoints"][FLIC11.index(name)], (9 + column, 19 + column, 2))
    # torso box from (10, 20) to (20, 40) of 0-based pixels, 20 high
    np.testing.assert_allclose(train["box"], (15, 30, 68))
    np.testing.assert_allclose(test["keypoints"][FLIC11.index("right_wrist")], 0)
    assert test["image_name"] == b"b.jpg" and test["person_id"] == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"coords": np.zeros((2, 5))}, "entry 1: coords are 2 x 5, expected 2 x 29"),
        ({"filepath": "../a.jpg"}, "entry 1: image name '../a.jpg' leads out of images/"),
        ({"torsobox": np.array([5.0, 5, 1, 1])}, "entry 1: torsobox .* is not x1, y1, x2, y2"),
    ],
)
def test_an_entry_of_another_form_is_named(source: Path, tmp_path: Path, changes: dict, said: str) -> None:
    save(source, entry("a.jpg", "train", **changes))
    with pytest.raises(MsposeError, match=said):
        flic.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MsposeError, match=r"examples\.mat: missing"):
        flic.convert(source, tmp_path / "out")
    savemat(source / flic.MAT_NAME, {"joints": np.zeros(3)})
    with pytest.raises(MsposeError, match="no struct `examples`"):
        flic.convert(source, tmp_path / "out")
    with pytest.raises(MsposeError, match="no such folder"):
        flic.convert(tmp_path / "absent", tmp_path / "out")


@pytest.mark.data
def test_the_real_annotation(real_data: Path, tmp_path: Path, jpeg) -> None:
    file = real_data / "flic" / flic.MAT_NAME
    persons, left_out = flic.read(file, tmp_path / "images")
    splits = [split for split, _ in persons]
    assert (splits.count("train"), splits.count("test"), left_out) == (3987, 1016, 0)
    left, right = (FLIC11.index(f"{side}_shoulder") for side in ("left", "right"))
    # what SIDES says of the file: left is to the right in every picture
    assert all(p.keypoints[left, 0] > p.keypoints[right, 0] for _, p in persons)
    assert all(p.keypoints[:, 2].all() and p.box[2] > 0 for _, p in persons)
    first = loadmat(file, squeeze_me=True)["examples"][0]
    np.testing.assert_allclose(persons[0][1].keypoints[left, :2], first["coords"][:, 0] - 1)

    (tmp_path / "source" / "images").mkdir(parents=True)
    (tmp_path / "source" / flic.MAT_NAME).write_bytes(file.read_bytes())
    frame = jpeg(0, size=(72, 48))  # the frames are 720 x 480; no frame's size matters here
    for name in {p.image_name for _, p in persons}:
        (tmp_path / "source" / "images" / name).write_bytes(frame)
    data = flic.convert(tmp_path / "source", tmp_path / "out")
    assert (data.persons("train"), data.persons("test")) == (3987, 1016)
    assert RecordSet.load(tmp_path / "out").skeleton == FLIC11
