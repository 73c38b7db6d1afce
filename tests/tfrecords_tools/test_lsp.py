import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from tfrecords_tools import lsp


@pytest.fixture
def source(tmp_path, jpeg):
    """A folder in the official layout; joint j of person i (from 1) is at (10 i + j, j + 0.5)."""

    def make(persons: int, extended: bool):
        folder = tmp_path / "source"
        (folder / "images").mkdir(parents=True)
        joints = np.zeros((persons, 14, 3))
        for i in range(1, persons + 1):
            name = f"im{i:05d}.jpg" if extended else f"im{i:04d}.jpg"
            (folder / "images" / name).write_bytes(jpeg(i))
            joints[i - 1] = np.column_stack([10 * i + np.arange(14), np.arange(14) + 0.5, np.arange(14) == 4])
        savemat(folder / "joints.mat", {"joints": joints.transpose((1, 2, 0) if extended else (2, 1, 0))})
        return folder

    return make


def test_lsp(source, tmp_path, records_of):
    records = lsp.convert(source(3, extended=False), tmp_path / "out", split="1-2:train,3:val")
    assert (records.name, records.skeleton.name, records.metric) == ("lsp", "lsp14", "pck")
    (record,) = records_of(tmp_path / "out", "val")
    assert record["image_name"] == b"im0003.jpg" and record["person_id"] == 3
    assert record["keypoints"][0].tolist() == [30, 0.5, 2]
    assert record["keypoints"][4].tolist() == [34, 4.5, 1]  # flagged: occluded, and labelled all the same
    assert record["keypoints"][13].tolist() == [43, 13.5, 2]
    assert record["box"][2] == 0


def test_lsp_extended(source, tmp_path, records_of):
    records = lsp.convert(source(20, extended=True), tmp_path / "out")
    assert records.name == "lspet"
    assert (records.persons("train"), records.persons("val")) == (18, 2)
    record = records_of(tmp_path / "out", "val")[0]
    assert record["image_name"] == b"im00019.jpg"
    assert record["keypoints"][4].tolist() == [194, 4.5, 2]
    assert np.delete(record["keypoints"], 4, 0).tolist() == [[0, 0, 0]] * 13  # flagged 0: not labelled


def test_default_split_of_lsp_is_the_authors(tmp_path, source, monkeypatch):
    monkeypatch.setattr(lsp, "LSP_TRAIN", 4)
    records = lsp.convert(source(7, extended=False), tmp_path / "out")
    assert lsp.parse_split("1-1000:train", 2000)[1000] == "train"
    assert (records.persons("train"), records.persons("val")) == (4, 3)


def test_persons_without_any_keypoint_are_left_out(source, tmp_path):
    folder = source(3, extended=True)
    joints = np.ones((14, 3, 3))
    joints[:, 2, 1] = 0
    savemat(folder / "joints.mat", {"joints": joints})
    records = lsp.convert(folder, tmp_path / "out", split="1-3:train")
    assert records.persons("train") == 2 and records.notes["left_out"] == {"no labelled keypoint": 1}


def test_ranges_may_leave_persons_out(source, tmp_path, records_of):
    lsp.convert(source(9, extended=True), tmp_path / "out", split=" 2-3:val, 8 : test ,5-5:val")
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [2, 3, 5]
    assert [r["person_id"] for r in records_of(tmp_path / "out", "test")] == [8]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("1-3:train,3-4:val", "person 3 stands in train and again in '3-4:val'"),
        ("1-5:train", "'1-5:train' must rise and lie within 1-4"),
        ("0-2:train", "must rise and lie within 1-4"),
        ("3-2:train", "must rise and lie within 1-4"),
        ("1-3", "'1-3' is not FIRST-LAST:NAME"),
        ("1-3:", "is not FIRST-LAST:NAME"),
        ("1-3:../x", "is not FIRST-LAST:NAME"),
        ("", "is not FIRST-LAST:NAME"),
        ("1-3:train,", "'' is not FIRST-LAST:NAME"),
    ],
)
def test_splits_that_do_not_fit(split, message, source, tmp_path):
    with pytest.raises(MsposeError, match=message):
        lsp.convert(source(4, extended=True), tmp_path / "out", split=split)
    assert not (tmp_path / "out").exists()


def test_missing_images(source, tmp_path, records_of):
    folder = source(4, extended=True)
    (folder / "images" / "im00002.jpg").unlink()
    with pytest.raises(MsposeError, match=r"im00002\.jpg: no such image; images missing: 1, of a data set of 4"):
        lsp.convert(folder, tmp_path / "out")
    records = lsp.convert(folder, tmp_path / "out", split="1-4:val", skip_bad=True)
    assert records.persons("val") == 3 and len(records.notes["skipped"]) == 1


def test_broken_image_is_named_and_leaves_no_folder(source, tmp_path):
    folder = source(4, extended=False)
    path = folder / "images" / "im0004.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(MsposeError, match=r"im0004\.jpg: broken image"):
        lsp.convert(folder, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"source"}


def test_source_is_no_data_set(source, tmp_path):
    def message(folder):
        with pytest.raises(MsposeError) as caught:
            lsp.convert(folder, tmp_path / "out")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "nowhere: no such folder" in message(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no folder images/" in message(tmp_path / "empty")
    (tmp_path / "empty" / "images").mkdir()
    assert "no images im*.jpg" in message(tmp_path / "empty")
    folder = source(2, extended=True)
    (folder / "joints.mat").unlink()
    assert "joints.mat: missing" in message(folder)
    (folder / "joints.mat").write_bytes(b"MATLAB 5.0 MAT-file, says it")
    assert "joints.mat: not a readable MATLAB file" in message(folder)
    savemat(folder / "joints.mat", {"joint": np.zeros((14, 3, 2))})
    assert "no variable `joints`" in message(folder)
    savemat(folder / "joints.mat", {"joints": np.zeros((16, 3, 2))})
    assert "`joints` is 16 x 3 x 2 of float64, expected numbers, 3 x 14 x N" in message(folder)
    joints = np.zeros((14, 3, 2))
    joints[13, 2, 1] = 7
    savemat(folder / "joints.mat", {"joints": joints})
    assert "person 2, head_top: flag is 7.0, expected 0 or 1" in message(folder)


@pytest.mark.data
def test_real_images(real_data, tmp_path, records_of):
    split = "1-100:train,7249-7348:val"
    records = lsp.convert(real_data / "lspet", tmp_path / "out", split=split)
    assert records == RecordSet.load(tmp_path / "out")
    first = records_of(tmp_path / "out", "val")[0]
    assert first["image"] == (real_data / "lspet" / "images" / "im07249.jpg").read_bytes()
    for record in records_of(tmp_path / "out", "train"):
        labelled = record["keypoints"][record["keypoints"][:, 2] > 0]
        assert len(labelled) >= 10 and (record["keypoints"][:, 2] != 1).all()
        assert (labelled[:, :2] > -2).all() and (labelled[:, :2] < record["image_size"] + 1).all()


@pytest.mark.data
def test_real_labels_count_from_zero(real_data):
    keypoints, extended = lsp.read(real_data / "lspet" / "joints.mat")
    assert extended and keypoints.shape == (8148, 14, 3)
    first = last = 0
    for i, person in enumerate(keypoints, 1):
        xy = person[person[:, 2] > 0, :2]
        with Image.open(real_data / "lspet" / "images" / f"im{i:05d}.jpg") as image:
            last += (xy > np.subtract(image.size, 1)).sum()
        first += (xy < 1).sum()
    assert (first, last) == (27, 1)  # counting from 1 it would be the other way round
