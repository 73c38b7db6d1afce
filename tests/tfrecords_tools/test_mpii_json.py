import gzip
import json

import numpy as np
import pytest
from mpii_files import NECK, TOP, entry, point, rect, save, save_json

from keras_mspose.errors import MsposeError
from tfrecords_tools import mpii, mpii_json


def test_validation_split_from_the_json_form(mpii_source, tmp_path, records_of):
    here = [point(3, 5, 5)]
    images = [
        ("one.jpg", [rect(here, x=10.0), rect(here, x=90.0), rect(here, x=50.0)]),
        ("two.jpg", [rect(here), rect(here, x=300.0)]),
    ]
    save(mpii_source, images, [1, 1])
    known = [entry("one.jpg", (50, 50), 1, 3), entry("one.jpg", (10, 50), 1, 1), entry("two.jpg", (100, 50), 0)]
    save_json(mpii_source, known)
    records = mpii.convert(mpii_source, tmp_path / "out")
    assert records.notes["split"] == "isValidation of mpii_annotations.json.gz"
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [0, 2]
    assert sorted(r["person_id"] for r in records_of(tmp_path / "out", "train")) == [3, 4]
    # the third person of one.jpg would show a validation photograph to the training
    assert records.notes["left_out"] == {"on a validation photograph but not in the validation split": 1}


def test_json_form_by_hand(mpii_source, tmp_path, records_of):
    joints = np.zeros((16, 3))
    joints[0], joints[5], joints[6] = (11, 21, 1), (3, 4, 0), (9, 0, 1)
    joints[NECK], joints[TOP] = (31, 51, 1), (1, 11, 1)
    path = save_json(mpii_source, [entry("one.jpg", (101, 51), 0, joints=joints), entry("two.jpg", (1, 1), 1)])
    records = mpii.convert(mpii_source, tmp_path / "out")  # there is no .mat
    assert records.source == str(path)
    (record,) = records_of(tmp_path / "out", "train")
    assert record["keypoints"][0].tolist() == [10, 20, 2]
    assert record["keypoints"][5].tolist() == [2, 3, 1]
    assert record["keypoints"][6].tolist() == [8, -1, 2]  # only x = y = 0 is no label
    assert record["keypoints"][7].tolist() == [0, 0, 0]
    assert record["box"].tolist() == [100, 65, 250]
    assert record["head_box"].tolist() == [0, 0, 0, 0] and record["head_size"] == 37.5  # 0.75 of 50
    (other,) = records_of(tmp_path / "out", "val")
    assert other["person_id"] == 1 and record["head_size_estimated"] and not other["head_size_estimated"]


def test_json_named_goes_before_the_mat(mpii_source, tmp_path):
    save(mpii_source, [("one.jpg", [rect([point(3, 5, 5)])])], [1])
    path = save_json(mpii_source, [entry("two.jpg", (1, 1), 1)], "mine.json")
    assert list(mpii.convert(mpii_source, tmp_path / "out", json=path).splits) == ["val"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[1, 2", "not readable as JSON"),
        (b"{}", "holds a dict, expected a list"),
        (b"[3]", "entry 0: "),
        (json.dumps([entry("a", (1, 1), 0), {}]).encode(), "entry 1: no 'img_paths'"),
        (json.dumps([entry("a", (1, 1), 0, joints=np.zeros((14, 3)))]).encode(), r"entry 0: joint_self is \(14, 3\)"),
        (json.dumps([entry("a", (1,), 0)]).encode(), "entry 0: not enough values"),
    ],
)
def test_json_of_another_form(tmp_path, content, expected):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(MsposeError, match=rf"x\.json: {expected}"):
        mpii_json.read(tmp_path / "x.json")
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(MsposeError, match=r"x\.json\.gz: not readable as JSON"):
        mpii_json.read(tmp_path / "x.json.gz")
