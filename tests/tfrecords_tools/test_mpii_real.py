import gzip
import json

import numpy as np
import pytest
from mpii_files import hrnet, save_plain

from tfrecords_tools import mpii, mpii_hrnet, mpii_join, mpii_json, mpii_mat


@pytest.fixture(scope="module")
def whole_json(real_data):
    return mpii_json.read(real_data / "mpii" / "mpii_annotations.json.gz")


@pytest.mark.data
def test_real_json_is_the_standard_split(whole_json):
    splits = [split for split, _ in whole_json]
    assert (splits.count("train"), splits.count("val")) == (22246, 2958)
    labelled = np.array([p.keypoints[:, 2] > 0 for _, p in whole_json])
    assert labelled.any(axis=1).all()
    assert (~labelled).sum() == 27001


@pytest.mark.data
def test_real_mat_and_json_describe_the_same_persons(real_data, whole_json):
    folder = real_data / "mpii"
    persons, left_out = mpii_mat.read(folder / mpii.MAT_NAME, folder / "images")
    persons, strangers = mpii_join.standard_split(persons, whole_json)
    assert [split for split, _ in persons] == ["val"] * 5 + ["train"] * 5 + ["test"] * 2
    assert left_out == {"no position or scale": 3} and not strangers
    by_place = {(p.image_name, p.box): (split, p) for split, p in whole_json}
    for split, person in persons[:10]:
        other_split, other = by_place[person.image_name, person.box]  # the boxes are equal to the last bit
        assert split == other_split
        np.testing.assert_allclose(person.keypoints[:, :2], other.keypoints[:, :2], atol=0.01)
        assert person.keypoints[:, 2].tolist() == other.keypoints[:, 2].tolist()
        assert not person.head_size_estimated and other.head_size == pytest.approx(person.head_size, rel=0.02)


@pytest.mark.data
def test_real_folder(real_data, tmp_path, records_of):
    records = mpii.convert(real_data / "mpii", tmp_path / "out")
    assert {name: (s["persons"], s["images"]) for name, s in records.splits.items()} == {
        "val": (5, 5),
        "train": (5, 3),
        "test": (2, 2),
    }
    for record in records_of(tmp_path / "out", "val"):
        labelled = record["keypoints"][record["keypoints"][:, 2] > 0, :2]
        assert (labelled >= -0.5).all() and (labelled <= record["image_size"] - 0.5).all()
        assert (np.abs(labelled - record["box"][:2]) < record["box"][2] / 2).all()


@pytest.mark.data
def test_real_head_boxes_of_the_validation_split(real_data, whole_json):
    """They are those of the .mat, and the stand-in agrees with them within 2 % for 99 % of the persons."""
    folder = real_data / "mpii"
    persons, taken = mpii_join.validation_heads(whole_json, folder / "detections_our_format.mat")
    assert taken == 2958 and all(split == "train" or person.head_box for split, person in persons)
    estimated = np.array([person.head_size for split, person in whole_json if split == "val"])
    real = np.array([person.head_size for split, person in persons if split == "val"])
    off = np.abs(estimated / real - 1)[estimated > 0]
    assert len(off) == 2932 and (off < 0.02).mean() >= 0.99
    mat, _ = mpii_mat.read(folder / mpii.MAT_NAME, folder / "images")
    lent, count = mpii_join.lend(persons, mat)
    assert count == 2958 + 5  # the .mat's five of train; its five of val have theirs already
    for (_, one), (split, other) in zip(persons, lent, strict=True):
        if split == "val" and other is not one:
            np.testing.assert_allclose(one.head_box, other.head_box, atol=0.01)


@pytest.mark.data
def test_real_persons_in_the_hrnet_form(real_data, tmp_path, whole_json):
    """Made of the isValidation form with the roundings that HRNet's files have."""
    with gzip.open(real_data / "mpii" / "mpii_annotations.json.gz") as file:
        val = [e for e in json.load(file) if e["isValidation"]]
    joints = np.array([e["joint_self"] for e in val])
    labelled = (joints[..., :2] != 0).any(-1)
    forms = [
        hrnet(e["img_paths"], e["objpos"], j[:, :2].round(4), k, round(e["scale_provided"], 6))
        for e, j, k in zip(val, joints, labelled, strict=True)
    ]
    save_plain(tmp_path / "valid.json", forms)
    persons, left_out = mpii_hrnet.read(tmp_path / "valid.json", tmp_path / "images")
    assert not left_out and len(persons) == 2958
    known = [person for split, person in whole_json if split == "val"]
    for (split, person), other in zip(persons, known, strict=True):
        assert split == "val" and person.image_name == other.image_name
        np.testing.assert_allclose(person.keypoints[:, :2], other.keypoints[:, :2], atol=0.01)
        np.testing.assert_allclose(person.box, other.box, atol=0.01)
        assert ((person.keypoints[:, 2] > 0) == (other.keypoints[:, 2] > 0)).all()
    assert mpii_join.validation_heads(persons, real_data / "mpii" / "detections_our_format.mat")[1] == 2958


@pytest.mark.data
def test_real_json_beside_the_mat(real_data, tmp_path):
    folder = real_data / "mpii"
    records = mpii.convert(folder, tmp_path / "out", json=folder / "mpii_annotations.json.gz", skip_bad=True)
    assert (records.persons("val"), records.persons("train")) == (5, 5)
    assert records.notes["head_size"] == {
        f"head box of {mpii.MAT_NAME}": 10,
        "head box of detections_our_format.mat": 2953,
        "0.75 * |neck - head top|": 22094,
        "none": 147,
    }
