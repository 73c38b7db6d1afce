import json

import numpy as np
import pytest
from mpii_files import entry, in_order, one_joint, point, rect, save, save_json, save_plain, three_forms
from scipy.io import savemat

from keras_mspose.errors import MsposeError
from tfrecords_tools import mpii


def test_the_three_forms_of_the_same_persons_give_the_same_records(mpii_source, tmp_path, records_of):
    facts = three_forms(mpii_source)
    mat, plain, simple = (
        in_order(records_of(mpii.convert(tmp_path / name, tmp_path / f"out_{name}").folder, split))
        for name, split in (("source", "train"), ("json", "val"), ("hrnet", "val"))
    )
    for a, b, c, truth in zip(mat, plain, simple, facts, strict=True):
        assert a["image"] == b["image"] == c["image"]
        np.testing.assert_allclose(a["keypoints"][truth["labelled"], :2], truth["xy"][truth["labelled"]] - 1, atol=1e-4)
        for other in (b, c):
            np.testing.assert_allclose(a["keypoints"][:, :2], other["keypoints"][:, :2], atol=0.01)
            np.testing.assert_allclose(a["box"], other["box"], atol=0.01)
        assert a["keypoints"][:, 2].tolist() == b["keypoints"][:, 2].tolist()
        # HRNet's form does not know who is occluded
        assert np.minimum(2 * a["keypoints"][:, 2], 2).tolist() == c["keypoints"][:, 2].tolist()
        assert a["head_size"] == 30 and not a["head_size_estimated"] and b["head_size_estimated"]


@pytest.mark.parametrize("form", ["json/mpii_annotations.json.gz", "hrnet/valid.json"])
def test_json_takes_from_the_mat_what_it_lacks(mpii_source, tmp_path, records_of, form):
    three_forms(mpii_source)
    records = mpii.convert(mpii_source, tmp_path / "out", json=tmp_path / form)
    assert records.notes["head_size"] == {f"head box of {mpii.MAT_NAME}": 5}
    for i, record in enumerate(in_order(records_of(tmp_path / "out", "val"))):
        assert record["head_box"].tolist() == [9 + i, 19, 39 + i, 59]
        assert record["head_size"] == 30 and not record["head_size_estimated"]
        assert record["activity"] == b"sports/judo"


def test_hrnet_files_tell_the_mat_its_validation_split(mpii_source, tmp_path):
    three_forms(mpii_source)
    save_plain(mpii_source / "annot" / "valid.json", json.loads((tmp_path / "hrnet" / "valid.json").read_text())[:4])
    records = mpii.convert(mpii_source, tmp_path / "out")
    assert records.persons("val") == 4 and records.notes["split"] == "name of valid.json"
    assert records.notes["left_out"] == {"on a validation photograph but not in the validation split": 1}


@pytest.fixture
def validation(mpii_source):
    """Three validation persons and one of train in JSON, and a function that saves head boxes with a ground truth."""
    joints = np.random.default_rng(0).uniform(2, 90, (4, 16, 3)).round(2)
    joints[..., 2] = 1
    names = ("one.jpg", "three.jpg", "two.jpg", "one.jpg")
    save_json(mpii_source, [entry(n, (50, 50), n != "three.jpg", joints=j) for n, j in zip(names, joints, strict=True)])
    truth = joints[[0, 2, 3], :, :2]
    boxes = np.array([[[11.0 + i, 21], [41 + i, 61]] for i in range(3)])

    def write(name="detections_our_format.mat", truth=truth, boxes=boxes, **more):
        path = mpii_source / name
        path.parent.mkdir(exist_ok=True)
        arrays = {"pos_gt_src": np.transpose(truth, (1, 2, 0)), "headboxes_src": np.transpose(boxes, (1, 2, 0))}
        savemat(path, {k: v for k, v in {**arrays, **more}.items() if v is not None})
        return truth.copy()

    return write


@pytest.mark.parametrize("name", ["detections_our_format.mat", "annot/gt_valid.mat", "annotations/mpii_gt_val.mat"])
def test_head_boxes_of_the_validation_split(mpii_source, tmp_path, records_of, validation, name):
    validation(name)
    records = mpii.convert(mpii_source, tmp_path / "out")
    file = name.split("/")[-1]
    assert records.notes["head_size"] == {f"head box of {file}": 3, "0.75 * |neck - head top|": 1}
    found = records_of(tmp_path / "out", "val")
    assert [r["person_id"] for r in found] == [0, 2, 3]
    for i, record in enumerate(found):
        assert record["head_box"].tolist() == [10 + i, 20, 40 + i, 60]  # from pixels that count from 1
        assert record["head_size"] == 30 and not record["head_size_estimated"]
    (train,) = records_of(tmp_path / "out", "train")
    assert train["head_size_estimated"] and not train["head_box"].any()


def test_lost_coordinates_of_the_head_boxes_file_are_not_compared(mpii_source, tmp_path, validation):
    truth = validation()
    truth[1, 3, 0] = truth[2, 4] = 0
    validation(truth=truth)
    assert "head box of detections_our_format.mat" in mpii.convert(mpii_source, tmp_path / "out").notes["head_size"]


def test_head_boxes_of_other_persons_are_refused(mpii_source, tmp_path, validation):
    def message(**options):
        with pytest.raises(MsposeError) as caught:
            mpii.convert(mpii_source, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists() and "\n" not in str(caught.value)
        return str(caught.value)

    truth = validation()
    validation(truth=truth[[1, 0, 2]])
    assert "person 1 is not one.jpg" in message() and "without this file, head sizes are estimated" in message()
    moved = truth.copy()
    moved[2, 5, 1] += 0.6
    validation(truth=moved)
    assert "person 3 is not one.jpg, joints are 1 px off" in message()
    validation(truth=truth[:2])
    assert "3 head boxes, 2 persons; the annotation has 3" in message()
    validation(headboxes_src=np.zeros((2, 3)))
    assert "`headboxes_src` is 2 x 3 of float64, expected 2 x 2 x N numbers" in message()
    validation(headboxes_src=None)
    assert "`headboxes_src` is not there" in message()
    validation(boxes=np.full((3, 2, 2), np.nan))
    assert "values that are no numbers" in message()
    assert "x.mat: no such file; expected head boxes" in message(heads=mpii_source / "x.mat")
    save(mpii_source, [("one.jpg", [rect([point(3, 5, 5)])])], [1])
    assert "--heads goes with --json" in message(heads=mpii_source / "x.mat")


def test_head_boxes_that_lie_there_do_not_stop_the_training_split_alone(mpii_source, tmp_path, validation):
    validation()
    save_plain(mpii_source / "annot" / "train.json", [one_joint("one.jpg")])
    records = mpii.convert(mpii_source, tmp_path / "out", json=mpii_source / "annot" / "train.json")
    assert records.persons("train") == 1
