import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer

K = len(LSP14)


@pytest.fixture
def persons(tmp_path, jpeg):
    """Twenty persons for training and five for validation, each on a photograph of its own."""
    (tmp_path / "images").mkdir()
    found = []
    for i in range(25):
        path = tmp_path / "images" / f"{i:02d}.jpg"
        path.write_bytes(jpeg(i))
        keypoints = np.column_stack([np.arange(K) + i, np.arange(K) + 0.25, np.arange(K) % 3])
        found.append(("train" if i < 20 else "val", Person(path.name, keypoints, path, person_id=i)))
    return found


@pytest.fixture
def write(tmp_path):
    def call(persons, out: Path = tmp_path / "out", **options):
        fixed = {"name": "own", "skeleton": LSP14, "metric": "pck", "source": "here", "options": {}}
        return writer.write(persons, out, **{**fixed, **options})

    return call


def nothing_left(tmp_path) -> bool:
    return {p.name for p in tmp_path.iterdir()} <= {"images"}


def no_records(tmp_path) -> bool:
    """Whether there is no record folder, but for finished files from which the same call goes on."""
    return {p.name for p in tmp_path.iterdir()} <= {"images", "out.partial"}


def test_what_is_written_comes_back(write, persons, tmp_path, records_of):
    keypoints = np.zeros((K, 3))
    keypoints[3] = 7.5, -2.25, 1
    keypoints[9] = np.nan, 5, 0
    whole = Person(
        "a/b.jpg",
        keypoints,
        persons[0][1].image,
        box=(20.0, 15.0, 44.0),
        head_box=(1, 2, 4, 6),
        head_size=3.0,
        person_id=77,
        activity="sports/diving",
    )
    write([("val", whole)])
    (record,) = records_of(tmp_path / "out", "val")
    assert record["image"] == persons[0][1].image.read_bytes()
    assert record["image_name"] == b"a/b.jpg" and record["activity"] == b"sports/diving" and record["person_id"] == 77
    assert record["image_size"].tolist() == [40, 30]
    assert record["keypoints"][3].tolist() == [7.5, -2.25, 1]
    assert np.delete(record["keypoints"], 3, 0).tolist() == [[0, 0, 0]] * (K - 1)  # the unlabelled NaN too
    assert record["box"].tolist() == [20, 15, 44]
    assert record["head_box"].tolist() == [1, 2, 4, 6] and record["head_size"] == 3


def test_splits_shards_and_order(write, persons, tmp_path, records_of):
    answer = write(persons, persons_per_shard=8, notes={"licence": "none"})
    found = RecordSet.load(tmp_path / "out")
    assert found == answer
    assert found.notes == {"licence": "none"}
    assert [(s["file"], s["persons"]) for s in found.splits["train"]["shards"]] == [
        ("train-00000-of-00003.tfrecord", 7),
        ("train-00001-of-00003.tfrecord", 7),
        ("train-00002-of-00003.tfrecord", 6),
    ]
    train = [r["person_id"] for r in records_of(tmp_path / "out", "train")]
    assert sorted(train) == list(range(20)) and train != sorted(train)
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [20, 21, 22, 23, 24]


def test_same_bytes_again_and_another_order_with_another_seed(write, persons, tmp_path):
    def digests(name, **options):
        splits = write(persons, tmp_path / name, **options).splits
        return {split: [s["sha256"] for s in content["shards"]] for split, content in splits.items()}

    first = digests("a", workers=1)
    assert digests("b", workers=4) == first
    other = digests("c", seed=1)
    assert other["train"] != first["train"] and other["val"] == first["val"]


def test_several_persons_of_one_photograph_count_it_once(write, persons):
    person = persons[0][1]
    assert write([("val", person), ("val", person)]).splits["val"] | {"shards": None} == {
        "persons": 2,
        "images": 1,
        "shards": None,
    }


def test_jpeg_cut_in_half_is_named(write, persons, tmp_path):
    broken = persons[22][1].image
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(MsposeError, match=r"images/22\.jpg: broken image .*not a whole JPEG.*--skip-bad"):
        write(persons)
    assert no_records(tmp_path)


def test_bad_persons_are_left_out_and_counted(write, persons, tmp_path, records_of, capsys):
    half = persons[22][1].image
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    persons[23][1].image.unlink()
    persons[24][1].keypoints[4, 0] = np.nan
    notes = write(persons, skip_bad=True).notes
    assert [s["image"] for s in notes["skipped"]] == ["22.jpg", "23.jpg", "24.jpg"]
    reasons = " | ".join(s["reason"] for s in notes["skipped"])
    assert (
        "not a whole JPEG" in reasons
        and "No such file" in reasons
        and "person 24: labelled but not a number" in reasons
    )
    assert "left out 3 bad persons: 22.jpg" in capsys.readouterr().err
    assert [r["person_id"] for r in records_of(tmp_path / "out", "val")] == [20, 21]
    assert RecordSet.load(tmp_path / "out").persons("train") == 20


def test_missing_photographs_are_counted_before_any_work(write, persons, tmp_path):
    persons[3][1].image.unlink()
    persons[24][1].image.unlink()
    with pytest.raises(MsposeError, match=r"03\.jpg: no such image; images missing: 2, of a data set of 25 persons"):
        write(persons)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": np.full((K, 3), np.inf)}, "visibility other than 0, 1, 2"),
        ({"keypoints": np.column_stack([np.full((K, 2), np.inf), np.ones(K)])}, "not a number: right_ankle, right_kn"),
        ({"keypoints": np.zeros((16, 3))}, r"keypoints \(16, 3\), expected \(14, 3\)"),
        ({"box": (1.0, 2.0, 0.0)}, "side above 0"),
        ({"head_size": float("nan")}, "head size is nan"),
    ],
)
def test_bad_records_are_named(write, persons, tmp_path, change, message):
    for field, value in change.items():
        setattr(persons[24][1], field, value)
    with pytest.raises(MsposeError, match=rf"24\.jpg: person 24: .*{message}"):
        write(persons)
    assert no_records(tmp_path)


def test_only_bad_persons(write, persons, tmp_path):
    persons[0][1].image.write_bytes(b"no photograph")
    with pytest.raises(MsposeError, match=r"all 1 persons are bad, first 00\.jpg \(broken image"):
        write(persons[:1], skip_bad=True)
    assert nothing_left(tmp_path)


def test_no_persons(write, tmp_path):
    with pytest.raises(MsposeError, match="no persons to write"):
        write([])
    assert nothing_left(tmp_path)


def test_an_error_on_the_way_leaves_nothing(write, persons, tmp_path):
    def stops():
        yield persons[0]
        raise MsposeError("half way")

    with pytest.raises(MsposeError, match="half way"):
        write(stops())
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(("mode", "format"), [("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("CMYK", "JPEG")])
def test_other_photographs_become_rgb_jpeg(write, tmp_path, jpeg, records_of, mode, format):
    data = jpeg(mode=mode, format=format)
    write([("val", Person("x", np.zeros((K, 3)), data))])
    (record,) = records_of(tmp_path / "out", "val")
    with Image.open(io.BytesIO(record["image"])) as image:
        assert image.format == "JPEG" and image.mode == "RGB" and image.size == (40, 30)
        expected = Image.open(io.BytesIO(data)).convert("RGB")
        difference = np.asarray(image, float) - np.asarray(expected, float)
    assert np.abs(difference).mean() < 8  # quality 95 on noise


def test_grey_jpeg_is_copied(write, tmp_path, jpeg, records_of):
    data = jpeg(mode="L")
    write([("val", Person("x", np.zeros((K, 3)), data))])
    assert records_of(tmp_path / "out", "val")[0]["image"] == data


def test_sixteen_bit_photograph_is_refused(write):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(buffer, "PNG")
    with pytest.raises(MsposeError, match="pixels are I;16, expected 8 bits"):
        write([("val", Person("x", np.zeros((K, 3)), buffer.getvalue()))])


def test_existing_folder_is_replaced_only_on_request(write, persons, tmp_path):
    write(persons[:3])
    before = (tmp_path / "out" / "dataset.json").read_text()
    with pytest.raises(MsposeError, match="exists and is not empty; pass --overwrite"):
        write(persons)
    assert (tmp_path / "out" / "dataset.json").read_text() == before
    write(persons, overwrite=True)
    assert RecordSet.load(tmp_path / "out").persons("train") == 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "out"]


def test_failed_overwrite_keeps_the_old_records(write, persons, tmp_path):
    write(persons[:3])
    persons[1][1].image.write_bytes(b"")
    with pytest.raises(MsposeError, match=r"01\.jpg"):
        write(persons, overwrite=True)
    assert RecordSet.load(tmp_path / "out").persons("train") == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "out"]


@pytest.mark.parametrize("index", [False, True])
def test_folders_of_other_things_are_never_replaced(write, persons, tmp_path, index):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    if index:
        (tmp_path / "out" / "dataset.json").write_text(json.dumps({}))
    with pytest.raises(MsposeError, match=r"replaces record folders only and this folder holds thesis\.tex"):
        write(persons, overwrite=True)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_out_may_be_an_empty_folder_but_no_file(write, persons, tmp_path):
    (tmp_path / "empty").mkdir()
    assert write(persons, tmp_path / "empty").persons("val") == 5
    (tmp_path / "file").write_text("kept")
    with pytest.raises(MsposeError, match="is a file"):
        write(persons, tmp_path / "file", overwrite=True)
    assert (tmp_path / "file").read_text() == "kept"


def test_out_that_cannot_be_written(write, persons, tmp_path):
    (tmp_path / "images" / "file").write_text("")
    with pytest.raises(MsposeError, match="cannot be written"):
        write(persons, tmp_path / "images" / "file" / "out")
