import gzip
import json

import numpy as np
import pytest
from scipy.io import savemat

from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import MPII16
from tfrecords_tools import mpii, mpii_hrnet, mpii_join, mpii_json, mpii_mat

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
    (_, both), (_, one) = mpii_mat.read(source / mpii.MAT_NAME, source / "images")[0]
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
    with pytest.raises(MsposeError, match=r"gone\.jpg: no such image; images missing: 2, of a data set of 3 persons"):
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


def hrnet(image, center=(101.0, 51.0), joints=None, labelled=None, scale=1.0) -> dict:
    """An entry in HRNet's form; unlabelled joints lie at -1, -1."""
    labelled = np.zeros(16, int) if labelled is None else np.asarray(labelled, int)
    joints = np.where(labelled[:, None] > 0, np.zeros((16, 2)) if joints is None else np.asarray(joints), -1.0)
    return {
        "image": image,
        "center": list(center),
        "scale": scale,
        "joints": joints.tolist(),
        "joints_vis": labelled.tolist(),
    }


def one_joint(image, **more) -> dict:
    return hrnet(image, joints=[[11.0, 21.0]] * 16, labelled=[1] + [0] * 15, **more)


def save_plain(path, entries) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entries))


def test_hrnet_form_by_hand(source, tmp_path, records_of):
    joints = np.full((16, 2), 7.0)
    joints[0], joints[NECK], joints[TOP] = (11, 21), (31, 51), (1, 11)
    labelled = np.isin(np.arange(16), (0, NECK, TOP))
    save_plain(source / "annot" / "train.json", [hrnet("one.jpg", (101, 51), joints, labelled, scale=2.0)])
    save_plain(source / "annot" / "valid.json", [one_joint("two.jpg"), one_joint("two.jpg", center=(-1, -1))])
    records = mpii.convert(source, tmp_path / "out")
    assert records.source == str(source / "annot") and records.options["json"] == ["train.json", "valid.json"]
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
def test_hrnet_form_is_found(source, tmp_path, folder, names):
    save_plain(source / folder / names[0], [one_joint("one.jpg")])
    save_plain(source / folder / names[1], [one_joint("two.jpg"), one_joint("three.jpg")])
    records = mpii.convert(source, tmp_path / "out")
    assert (records.persons("train"), records.persons("val")) == (1, 2)


def test_hrnet_test_persons_have_a_box_alone(source, tmp_path, records_of):
    person = {"image": "three.jpg", "center": [101.0, 51.0], "scale": 1.0}
    save_plain(source / "test.json", [person])
    save_plain(source / "trainval.json", [one_joint("one.jpg"), hrnet("two.jpg")])
    records = mpii.convert(source, tmp_path / "out", json=[source / "trainval.json", source / "test.json"])
    assert records.notes["left_out"] == {"no joints": 1} and records.persons("train") == 1
    (record,) = records_of(tmp_path / "out", "test")
    assert not record["keypoints"].any() and record["box"].tolist() == [100, 65, 250]


def test_splits_of_the_hrnet_form_must_not_overlap(source, tmp_path):
    for name in ("trainval.json", "valid.json", "mine.json"):
        save_plain(source / name, [one_joint("one.jpg")])
    with pytest.raises(MsposeError, match=r"valid\.json: one\.jpg is in val here and in train in trainval\.json"):
        mpii.convert(source, tmp_path / "out", json=[source / "trainval.json", source / "valid.json"])
    with pytest.raises(MsposeError, match=r"mine\.json: the name says the split in this form; expected train\.json"):
        mpii.convert(source, tmp_path / "out", json=source / "mine.json")


def three_forms(source, persons: int = 5) -> list[dict]:
    """The same persons as .mat in `source`, as isValidation JSON in json/ and as HRNet's in hrnet/, both beside it."""
    rng = np.random.default_rng(0)
    rects, plain, simple, facts = [], [], [], []
    for i in range(persons):
        xy = rng.uniform(2, 400, (16, 2)).round(3)
        labelled, visible = rng.random(16) < 0.8, rng.random(16) < 0.6
        labelled[[NECK, TOP]] = True
        x, y, scale = 40.0 * i, 30.0 + i, round(float(rng.uniform(0.5, 3)), 3)
        points = [point(k, *xy[k], is_visible=int(visible[k])) for k in np.flatnonzero(labelled)]
        head = dict(zip(("x1", "y1", "x2", "y2"), (10.0 + i, 20.0, 40.0 + i, 60.0), strict=True))
        rects.append(rect(points, x, y, scale, **head))
        joints = np.column_stack([xy, visible]) * labelled[:, None]
        plain.append({**entry("one.jpg", (x, y), True, i + 1, joints), "scale_provided": scale})
        simple.append(hrnet("one.jpg", (x, y), xy, labelled, scale))
        facts.append({"labelled": labelled, "xy": xy})
    save(source, [("one.jpg", rects)], [1], [{"cat_name": "sports", "act_name": "judo"}])
    for name in ("json", "hrnet"):
        (source.parent / name).mkdir()
        (source.parent / name / "images").symlink_to(source / "images")
    save_json(source.parent / "json", plain)
    save_plain(source.parent / "hrnet" / "valid.json", simple)
    return facts


def in_order(records: list[dict]) -> list[dict]:
    return sorted(records, key=lambda r: r["person_id"])


def test_the_three_forms_of_the_same_persons_give_the_same_records(source, tmp_path, records_of):
    facts = three_forms(source)
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
def test_json_takes_from_the_mat_what_it_lacks(source, tmp_path, records_of, form):
    three_forms(source)
    records = mpii.convert(source, tmp_path / "out", json=tmp_path / form)
    assert records.notes["head_size"] == {f"head box of {mpii.MAT_NAME}": 5}
    for i, record in enumerate(in_order(records_of(tmp_path / "out", "val"))):
        assert record["head_box"].tolist() == [9 + i, 19, 39 + i, 59]
        assert record["head_size"] == 30 and not record["head_size_estimated"]
        assert record["activity"] == b"sports/judo"


def test_hrnet_files_tell_the_mat_its_validation_split(source, tmp_path):
    three_forms(source)
    save_plain(source / "annot" / "valid.json", json.loads((tmp_path / "hrnet" / "valid.json").read_text())[:4])
    records = mpii.convert(source, tmp_path / "out")
    assert records.persons("val") == 4 and records.notes["split"] == "name of valid.json"
    assert records.notes["left_out"] == {"on a validation photograph but not in the validation split": 1}


@pytest.fixture
def validation(source):
    """Three validation persons and one of train in JSON, and a function that saves head boxes with a ground truth."""
    joints = np.random.default_rng(0).uniform(2, 90, (4, 16, 3)).round(2)
    joints[..., 2] = 1
    names = ("one.jpg", "three.jpg", "two.jpg", "one.jpg")
    save_json(source, [entry(n, (50, 50), n != "three.jpg", joints=j) for n, j in zip(names, joints, strict=True)])
    truth = joints[[0, 2, 3], :, :2]
    boxes = np.array([[[11.0 + i, 21], [41 + i, 61]] for i in range(3)])

    def write(name="detections_our_format.mat", truth=truth, boxes=boxes, **more):
        path = source / name
        path.parent.mkdir(exist_ok=True)
        arrays = {"pos_gt_src": np.transpose(truth, (1, 2, 0)), "headboxes_src": np.transpose(boxes, (1, 2, 0))}
        savemat(path, {k: v for k, v in {**arrays, **more}.items() if v is not None})
        return truth.copy()

    return write


@pytest.mark.parametrize("name", ["detections_our_format.mat", "annot/gt_valid.mat", "annotations/mpii_gt_val.mat"])
def test_head_boxes_of_the_validation_split(source, tmp_path, records_of, validation, name):
    validation(name)
    records = mpii.convert(source, tmp_path / "out")
    file = name.split("/")[-1]
    assert records.notes["head_size"] == {f"head box of {file}": 3, "0.75 * |neck - head top|": 1}
    found = records_of(tmp_path / "out", "val")
    assert [r["person_id"] for r in found] == [0, 2, 3]
    for i, record in enumerate(found):
        assert record["head_box"].tolist() == [10 + i, 20, 40 + i, 60]  # from pixels that count from 1
        assert record["head_size"] == 30 and not record["head_size_estimated"]
    (train,) = records_of(tmp_path / "out", "train")
    assert train["head_size_estimated"] and not train["head_box"].any()


def test_lost_coordinates_of_the_head_boxes_file_are_not_compared(source, tmp_path, validation):
    truth = validation()
    truth[1, 3, 0] = truth[2, 4] = 0
    validation(truth=truth)
    assert "head box of detections_our_format.mat" in mpii.convert(source, tmp_path / "out").notes["head_size"]


def test_head_boxes_of_other_persons_are_refused(source, tmp_path, validation):
    def message(**options):
        with pytest.raises(MsposeError) as caught:
            mpii.convert(source, tmp_path / "out", **options)
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
    assert "x.mat: no such file; expected head boxes" in message(heads=source / "x.mat")
    save(source, [("one.jpg", [rect([point(3, 5, 5)])])], [1])
    assert "--heads goes with --json" in message(heads=source / "x.mat")


def test_head_boxes_that_lie_there_do_not_stop_the_training_split_alone(source, tmp_path, validation):
    validation()
    save_plain(source / "annot" / "train.json", [one_joint("one.jpg")])
    records = mpii.convert(source, tmp_path / "out", json=source / "annot" / "train.json")
    assert records.persons("train") == 1


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "..", 5])
def test_photographs_outside_of_the_folder_are_refused(source, tmp_path, name):
    save(source, [(name, [rect([point(3, 5, 5)])])], [1])
    with pytest.raises(MsposeError, match="annolist entry 1: image name"):
        mpii.convert(source, tmp_path / "out")
    for one, file in ((entry(name, (9, 9), 0), "x.json"), (one_joint(name), "train.json")):
        save_plain(source / file, [one])
        with pytest.raises(MsposeError, match=rf"{file}: entry 0: image name"):
            mpii.convert(source, tmp_path / "out", json=source / file)


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
