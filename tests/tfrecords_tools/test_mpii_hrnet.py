import numpy as np
import pytest
from mpii_files import NECK, TOP, hrnet, one_joint, save_plain

from keras_mspose.errors import MsposeError
from tfrecords_tools import mpii, mpii_hrnet


def test_hrnet_form_by_hand(mpii_source, tmp_path, records_of):
    joints = np.full((16, 2), 7.0)
    joints[0], joints[NECK], joints[TOP] = (11, 21), (31, 51), (1, 11)
    labelled = np.isin(np.arange(16), (0, NECK, TOP))
    save_plain(mpii_source / "annot" / "train.json", [hrnet("one.jpg", (101, 51), joints, labelled, scale=2.0)])
    save_plain(mpii_source / "annot" / "valid.json", [one_joint("two.jpg"), one_joint("two.jpg", center=(-1, -1))])
    records = mpii.convert(mpii_source, tmp_path / "out")
    assert records.source == str(mpii_source / "annot") and records.options["json"] == ["train.json", "valid.json"]
    assert records.notes["split"] == "name of train.json, name of valid.json"
    assert "marked visible" in records.notes["visibility"]
    assert records.notes["left_out"] == {"no position or scale": 1}
    (record,) = records_of(tmp_path / "out", "train")
    assert record["keypoints"][0].tolist() == [10, 20, 2]
    assert (record["keypoints"][~labelled] == 0).all()
    # the loader: y + 15 * scale, scale * 1.25, then 1 less; scale is the person's height over 200
    assert record["box"].tolist() == [101 - 1, 51 + 15 * 2 - 1, 200 * 2 * 1.25]
    assert record["head_size"] == 37.5 and record["head_size_estimated"] == 1
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [0]


@pytest.mark.parametrize("folder", [".", "annot", "annotations"])
@pytest.mark.parametrize("names", [("train.json", "valid.json"), ("mpii_train.json", "mpii_val.json")])
def test_hrnet_form_is_found(mpii_source, tmp_path, folder, names):
    save_plain(mpii_source / folder / names[0], [one_joint("one.jpg")])
    save_plain(mpii_source / folder / names[1], [one_joint("two.jpg"), one_joint("three.jpg")])
    records = mpii.convert(mpii_source, tmp_path / "out")
    assert (records.persons("train"), records.persons("val")) == (1, 2)


def test_hrnet_test_persons_have_a_box_alone(mpii_source, tmp_path, records_of):
    person = {"image": "three.jpg", "center": [101.0, 51.0], "scale": 1.0}
    save_plain(mpii_source / "test.json", [person])
    save_plain(mpii_source / "trainval.json", [one_joint("one.jpg"), hrnet("two.jpg")])
    records = mpii.convert(
        mpii_source, tmp_path / "out", json=[mpii_source / "trainval.json", mpii_source / "test.json"]
    )
    assert records.notes["left_out"] == {"no joints": 1} and records.persons("train") == 1
    (record,) = records_of(tmp_path / "out", "test")
    assert not record["keypoints"].any() and record["box"].tolist() == [100, 65, 250]


def test_splits_of_the_hrnet_form_must_not_overlap(mpii_source, tmp_path):
    for name in ("trainval.json", "valid.json", "mine.json"):
        save_plain(mpii_source / name, [one_joint("one.jpg")])
    with pytest.raises(MsposeError, match=r"valid\.json: one\.jpg is in val here and in train in trainval\.json"):
        mpii.convert(mpii_source, tmp_path / "out", json=[mpii_source / "trainval.json", mpii_source / "valid.json"])
    with pytest.raises(MsposeError, match=r"mine\.json: the name says the split in this form; expected train\.json"):
        mpii.convert(mpii_source, tmp_path / "out", json=mpii_source / "mine.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joints": [[1, 2]]}, r"joints are \(1, 2\) and joints_vis \(16,\), expected"),
        ({"joints_vis": [2] * 16}, "joints_vis .* are not 0 and 1"),
        ({"joints_vis": None}, r"joints_vis \(\), expected"),
        ({"center": [1]}, "not enough values"),
        ({"scale": "x"}, "could not convert"),
    ],
)
def test_hrnet_entry_of_another_form(tmp_path, change, said):
    save_plain(tmp_path / "valid.json", [{**one_joint("a.jpg"), **change}])
    with pytest.raises(MsposeError, match=rf"valid\.json: entry 0: .*{said}"):
        mpii_hrnet.read(tmp_path / "valid.json", tmp_path)
    save_plain(tmp_path / "valid.json", [{k: v for k, v in one_joint("a.jpg").items() if k != next(iter(change))}])
    with pytest.raises(MsposeError, match=f"entry 0: no '{next(iter(change))}'"):
        mpii_hrnet.read(tmp_path / "valid.json", tmp_path)
