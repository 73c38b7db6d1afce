import gzip
import json

import numpy as np
import pytest
from scipy.io import savemat

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import mpii, mpii_json

EMPTY = np.zeros((0, 0))
NECK, TOP = MPII16.index("upper_neck"), MPII16.index("head_top")


def structs(*entries: dict) -> np.ndarray:
    """A MATLAB struct array; fields that an entry lacks are empty, as MATLAB has it."""
    fields = list(dict.fromkeys(f for e in entries for f in e))
    array = np.zeros((1, len(entries)), [(f, object) for f in fields])
    for i, entry in enumerate(entries):
        array[0, i] = tuple(entry.get(f, EMPTY) for f in fields)
    return array


def rect(points=(), x=100.0, y=50.0, scale=1.0, **more) -> dict:
    """One annorect; without points it has no annopoints."""
    entry = {"scale": scale, "objpos": structs({"x": x, "y": y}), **more}
    if points:
        entry["annopoints"] = structs({"point": structs(*points)})
    return entry


def point(id, x, y, **visible) -> dict:
    return {"id": float(id), "x": float(x), "y": float(y), **visible}


def save(folder, images: list[tuple[str, list[dict]]], training: list[int], acts: list[dict] | None = None) -> None:
    annolist = structs(*({"image": structs({"name": n}), "annorect": structs(*r) if r else EMPTY} for n, r in images))
    release = {
        "annolist": annolist,
        "img_train": np.array([training], float),
        "act": structs(*(acts or [{"act_id": 0}])),
    }
    savemat(folder / mpii.MAT_NAME, {"RELEASE": release})


@pytest.fixture
def source(tmp_path, jpeg):
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    for i, name in enumerate(("one.jpg", "two.jpg", "three.jpg")):
        (folder / "images" / name).write_bytes(jpeg(i))
    return folder


def entry(image, objpos, validation, people_index=1, joints=None) -> dict:
    joints = np.zeros((16, 3)) if joints is None else joints
    return {
        "img_paths": image,
        "joint_self": np.asarray(joints, float).tolist(),
        "objpos": list(objpos),
        "scale_provided": 1.0,
        "isValidation": float(validation),
        "people_index": float(people_index),
    }


def save_json(folder, entries, name="mpii_annotations.json.gz"):
    text = json.dumps(entries).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return folder / name


def test_one_person_by_hand(source, tmp_path, records_of):
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
    save(source, [("one.jpg", [person])], [1], [{"cat_name": "sports", "act_name": "high jump", "act_id": 3}])
    records = mpii.convert(source, tmp_path / "out")
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


def test_is_visible_in_all_its_forms(source, tmp_path, records_of):
    forms = [1, 0, "1", "0", EMPTY, "", True, np.uint8(0), np.uint8(1)]
    points = [point(i, i + 2, 1, is_visible=form) for i, form in enumerate(forms)]
    save(source, [("one.jpg", [rect(points)]), ("two.jpg", [rect([point(9, 1, 1)])])], [1, 1])
    mpii.convert(source, tmp_path / "out")
    found = {r["image_name"]: r["keypoints"][:, 2].tolist() for r in records_of(tmp_path / "out", "train")}
    assert found[b"one.jpg"] == [2, 1, 2, 1, 2, 2, 2, 1, 2] + [0] * 7
    assert found[b"two.jpg"][9] == 2


def test_who_is_left_out_and_what_is_never_opened(source, tmp_path, records_of):
    here = [point(3, 5, 5, is_visible=1)]
    images = [
        ("one.jpg", [rect(here, x1=1.0), rect(), rect(here, scale=EMPTY), {"x1": 5.0, "annopoints": EMPTY}]),
        ("gone.jpg", []),
        ("gone_too.jpg", [{"x1": 1.0, "x2": 2.0}]),
        ("two.jpg", [rect(here), rect(here, x=300.0)]),
        ("three.jpg", [rect(), {"x1": 1.0}]),
    ]
    save(source, images, [1, 1, 1, 1, 0])
    records = mpii.convert(source, tmp_path / "out")
    assert records.notes["left_out"] == {"no position or scale": 4, "no joints": 1}
    assert sorted(r["person_id"] for r in records_of(tmp_path / "out", "train")) == [0, 5, 6]
    assert records.splits["train"]["images"] == 2
    (test,) = records_of(tmp_path / "out", "test")
    assert test["image_name"] == b"three.jpg" and not test["keypoints"].any() and test["box"].tolist() == [99, 64, 250]


def test_without_head_box_the_head_size_is_estimated(source):
    points = [point(NECK, 10, 50), point(TOP, 10, 10)]
    save(source, [("one.jpg", [rect(points), rect(points[:1], x=200.0)])], [1])
    (_, both), (_, one) = mpii.read(source / mpii.MAT_NAME, source / "images")[0]
    assert both.head_box is None and both.head_size_estimated and both.head_size == 30  # 0.75 * 40
    assert one.head_size == 0


def test_validation_split_from_the_json_form(source, tmp_path, records_of):
    here = [point(3, 5, 5)]
    images = [
        ("one.jpg", [rect(here, x=10.0), rect(here, x=90.0), rect(here, x=50.0)]),
        ("two.jpg", [rect(here), rect(here, x=300.0)]),
    ]
    save(source, images, [1, 1])
    known = [entry("one.jpg", (50, 50), 1, 3), entry("one.jpg", (10, 50), 1, 1), entry("two.jpg", (100, 50), 0)]
    save_json(source, known)
    records = mpii.convert(source, tmp_path / "out")
    assert records.notes["split"] == "isValidation of mpii_annotations.json.gz"
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [0, 2]
    assert sorted(r["person_id"] for r in records_of(tmp_path / "out", "train")) == [3, 4]
    # the third person of one.jpg would show a validation photograph to the training
    assert records.notes["left_out"] == {"on a validation photograph but not in the validation split": 1}


def test_json_form_by_hand(source, tmp_path, records_of):
    joints = np.zeros((16, 3))
    joints[0], joints[5], joints[6] = (11, 21, 1), (3, 4, 0), (9, 0, 1)
    joints[NECK], joints[TOP] = (31, 51, 1), (1, 11, 1)
    path = save_json(source, [entry("one.jpg", (101, 51), 0, joints=joints), entry("two.jpg", (1, 1), 1)])
    records = mpii.convert(source, tmp_path / "out")  # there is no .mat
    assert records.source == str(path)
    (record,) = records_of(tmp_path / "out", "train")
    assert record["keypoints"][0].tolist() == [10, 20, 2]
    assert record["keypoints"][5].tolist() == [2, 3, 1]
    assert record["keypoints"][6].tolist() == [8, -1, 2]  # only x = y = 0 is no label
    assert record["keypoints"][7].tolist() == [0, 0, 0]
    assert record["box"].tolist() == [100, 65, 250]
    assert record["head_box"].tolist() == [0, 0, 0, 0] and record["head_size"] == 37.5  # 0.75 of 50
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [1]


def test_json_named_goes_before_the_mat(source, tmp_path):
    save(source, [("one.jpg", [rect([point(3, 5, 5)])])], [1])
    path = save_json(source, [entry("two.jpg", (1, 1), 1)], "mine.json")
    assert list(mpii.convert(source, tmp_path / "out", json=path).splits) == ["val"]


def test_missing_photograph(source, tmp_path):
    save_json(source, [entry("one.jpg", (9, 9), 0), entry("gone.jpg", (9, 9), 0), entry("lost.jpg", (9, 9), 1)])
    with pytest.raises(MsposeError, match=r"gone\.jpg: no such image; 2 of the data set's 3 are missing"):
        mpii.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    records = mpii.convert(source, tmp_path / "out", skip_bad=True)
    assert records == RecordSet.load(tmp_path / "out") and records.persons("train") == 1
    assert [s["image"] for s in records.notes["skipped"]] == ["gone.jpg", "lost.jpg"]


def test_joint_without_coordinate_is_a_bad_record(source, tmp_path):
    bad = {"id": 3.0, "x": EMPTY, "y": 4.0}
    save(source, [("one.jpg", [rect([bad, point(2, 1, 1)])]), ("two.jpg", [rect([point(2, 1, 1)])])], [1, 1])
    with pytest.raises(MsposeError, match=r"one\.jpg: person 0: labelled but not a number: left_hip"):
        mpii.convert(source, tmp_path / "out")
    assert mpii.convert(source, tmp_path / "out", skip_bad=True).persons("train") == 1


def test_source_is_no_data_set(source, tmp_path):
    def message(folder=source, **options):
        with pytest.raises(MsposeError) as caught:
            mpii.convert(folder, tmp_path / "out", **options)
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
        return str(caught.value)

    assert "nowhere: no such folder" in message(tmp_path / "nowhere")
    assert "no folder images/" in message(source / "images")
    assert "neither mpii_human_pose_v1_u12_1.mat nor mpii_annotations.json.gz" in message()
    assert "x.json: no such file" in message(json=source / "x.json")
    mat = source / mpii.MAT_NAME
    mat.write_bytes(b"<html>404</html>" * 20)
    assert "not a readable MATLAB file" in message()
    savemat(mat, {"annolist": 1})
    assert "RELEASE has 0 annolist and 0 img_train" in message()
    save(source, [("one.jpg", [])], [1, 1])
    assert "RELEASE has 1 annolist and 2 img_train" in message()
    save(source, [("one.jpg", [rect([point(16, 1, 1)])])], [1])
    assert "one.jpg: a point's id is 16" in message()
    save(source, [("one.jpg", [])], [1])
    assert "no persons to write" in message()
    mat.rename(source / "mpii_human_pose_a.mat")
    (source / "mpii_human_pose_b.mat").write_bytes(b"")
    assert "several MPII files: mpii_human_pose_a.mat, mpii_human_pose_b.mat" in message()


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
    persons, left_out = mpii.read(folder / mpii.MAT_NAME, folder / "images", whole_json)
    assert [split for split, _ in persons] == ["val"] * 5 + ["train"] * 5 + ["test"] * 2
    assert left_out == {"no position or scale": 3}
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
