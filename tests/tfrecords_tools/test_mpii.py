import numpy as np
import pytest
from mpii_files import EMPTY, NECK, TOP, entry, one_joint, point, rect, save, save_json, save_plain
from scipy.io import savemat

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from tfrecords_tools import mpii, mpii_mat


def test_one_person_by_hand(mpii_source, tmp_path, records_of):
    person = rect(
        [point(0, 11, 21, is_visible=1), point(9, 5.5, 7.25), point(15, 3, 1, is_visible=0)],
        x=101,
        y=51,
        scale=2.0,
        x1=11.0,
        y1=21.0,
        x2=41.0,
        y2=61.0,
    )
    save(mpii_source, [("one.jpg", [person])], [1], [{"cat_name": "sports", "act_name": "high jump", "act_id": 3}])
    records = mpii.convert(mpii_source, tmp_path / "out")
    assert (records.name, records.skeleton.name, records.metric) == ("mpii", "mpii16", "pckh")
    assert "no mpii_annotations.json.gz" in records.notes["split"]
    (record,) = records_of(tmp_path / "out", "train")
    assert record["keypoints"][0].tolist() == [10, 20, 2]
    assert record["keypoints"][9].tolist() == [4.5, 6.25, 2]
    assert record["keypoints"][15].tolist() == [2, 0, 1]
    assert np.delete(record["keypoints"], (0, 9, 15), 0).tolist() == [[0, 0, 0]] * 13
    assert record["box"].tolist() == [100, 80, 500]  # 50 + 15 * 2, 1.25 * 200 * 2
    assert record["head_box"].tolist() == [10, 20, 40, 60]
    assert record["head_size"] == 30  # 0.6 of a diagonal of 50
    assert record["activity"] == b"sports/high jump"


def test_is_visible_in_all_its_forms(mpii_source, tmp_path, records_of):
    forms = [1, 0, "1", "0", EMPTY, "", True, np.uint8(0), np.uint8(1)]
    points = [point(i, i + 2, 1, is_visible=form) for i, form in enumerate(forms)]
    save(mpii_source, [("one.jpg", [rect(points)]), ("two.jpg", [rect([point(9, 1, 1)])])], [1, 1])
    mpii.convert(mpii_source, tmp_path / "out")
    found = {r["image_name"]: r["keypoints"][:, 2].tolist() for r in records_of(tmp_path / "out", "train")}
    assert found[b"one.jpg"] == [2, 1, 2, 1, 2, 2, 2, 1, 2] + [0] * 7
    assert found[b"two.jpg"][9] == 2


def test_who_is_left_out_and_what_is_never_opened(mpii_source, tmp_path, records_of):
    here = [point(3, 5, 5, is_visible=1)]
    images = [
        ("one.jpg", [rect(here, x1=1.0), rect(), rect(here, scale=EMPTY), {"x1": 5.0, "annopoints": EMPTY}]),
        ("gone.jpg", []),
        ("gone_too.jpg", [{"x1": 1.0, "x2": 2.0}]),
        ("two.jpg", [rect(here), rect(here, x=300.0)]),
        ("three.jpg", [rect(), {"x1": 1.0}]),
    ]
    save(mpii_source, images, [1, 1, 1, 1, 0])
    records = mpii.convert(mpii_source, tmp_path / "out")
    assert records.notes["left_out"] == {"no position or scale": 4, "no joints": 1}
    assert sorted(r["person_id"] for r in records_of(tmp_path / "out", "train")) == [0, 5, 6]
    assert records.splits["train"]["images"] == 2
    (test,) = records_of(tmp_path / "out", "test")
    assert test["image_name"] == b"three.jpg" and not test["keypoints"].any() and test["box"].tolist() == [99, 64, 250]


def test_without_head_box_the_head_size_is_estimated(mpii_source):
    points = [point(NECK, 10, 50), point(TOP, 10, 10)]
    save(mpii_source, [("one.jpg", [rect(points), rect(points[:1], x=200.0)])], [1])
    (_, both), (_, one) = mpii_mat.read(mpii_source / mpii.MAT_NAME, mpii_source / "images")[0]
    assert both.head_box is None and both.head_size_estimated and both.head_size == 30  # 0.75 * 40
    assert one.head_size == 0 and not one.head_size_estimated


def test_missing_photograph(mpii_source, tmp_path):
    save_json(mpii_source, [entry("one.jpg", (9, 9), 0), entry("gone.jpg", (9, 9), 0), entry("lost.jpg", (9, 9), 1)])
    with pytest.raises(MsposeError, match=r"gone\.jpg: no such image; images missing: 2, of a data set of 3 persons"):
        mpii.convert(mpii_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    records = mpii.convert(mpii_source, tmp_path / "out", skip_bad=True)
    assert records == RecordSet.load(tmp_path / "out") and records.persons("train") == 1
    assert [s["image"] for s in records.notes["skipped"]] == ["gone.jpg", "lost.jpg"]


def test_joint_without_coordinate_is_a_bad_record(mpii_source, tmp_path):
    bad = {"id": 3.0, "x": EMPTY, "y": 4.0}
    save(mpii_source, [("one.jpg", [rect([bad, point(2, 1, 1)])]), ("two.jpg", [rect([point(2, 1, 1)])])], [1, 1])
    with pytest.raises(MsposeError, match=r"one\.jpg: person 0: labelled but not a number: left_hip"):
        mpii.convert(mpii_source, tmp_path / "out")
    assert mpii.convert(mpii_source, tmp_path / "out", skip_bad=True).persons("train") == 1


def test_source_is_no_data_set(mpii_source, tmp_path):
    def message(folder=mpii_source, **options):
        with pytest.raises(MsposeError) as caught:
            mpii.convert(folder, tmp_path / "out", **options)
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
        return str(caught.value)

    assert "nowhere: no such folder" in message(tmp_path / "nowhere")
    assert "no folder images/" in message(mpii_source / "images")
    assert "neither mpii_human_pose_v1_u12_1.mat nor mpii_annotations.json.gz" in message()
    assert "x.json: no such file" in message(json=mpii_source / "x.json")
    mat = mpii_source / mpii.MAT_NAME
    mat.write_bytes(b"<html>404</html>" * 20)
    assert "not a readable MATLAB file" in message()
    savemat(mat, {"annolist": 1})
    assert "RELEASE has 0 annolist and 0 img_train" in message()
    save(mpii_source, [("one.jpg", [])], [1, 1])
    assert "RELEASE has 1 annolist and 2 img_train" in message()
    save(mpii_source, [("one.jpg", [rect([point(16, 1, 1)])])], [1])
    assert "one.jpg: a point's id is 16" in message()
    save(mpii_source, [("one.jpg", [])], [1])
    assert "no persons to write" in message()
    mat.rename(mpii_source / "mpii_human_pose_a.mat")
    (mpii_source / "mpii_human_pose_b.mat").write_bytes(b"")
    assert "several MPII files: mpii_human_pose_a.mat, mpii_human_pose_b.mat" in message()


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "..", 5])
def test_photographs_outside_of_the_folder_are_refused(mpii_source, tmp_path, name):
    save(mpii_source, [(name, [rect([point(3, 5, 5)])])], [1])
    with pytest.raises(MsposeError, match="annolist entry 1: image name"):
        mpii.convert(mpii_source, tmp_path / "out")
    for one, file in ((entry(name, (9, 9), 0), "x.json"), (one_joint(name), "train.json")):
        save_plain(mpii_source / file, [one])
        with pytest.raises(MsposeError, match=rf"{file}: entry 0: image name"):
            mpii.convert(mpii_source, tmp_path / "out", json=mpii_source / file)
