"""One person written is the same person read, and anything else is refused with a reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import records
from keras_mspose.errors import MsposeError
from keras_mspose.records import INDEX_NAME, Person, RecordSet
from keras_mspose.skeleton import LSP14, Skeleton

SKELETON = Skeleton("two", ("nose", "chin"))
KEYPOINTS = np.array([[1.25, 2.5, 2], [300.75, -4.0, 1]])


def _folder(path: Path, *serialized: bytes, skeleton: Skeleton = SKELETON) -> RecordSet:
    """A record folder of one shard, with whatever is given in it."""
    with tf.io.TFRecordWriter(str(path / "val.tfrecord")) as writer:
        for record in serialized:
            writer.write(record)
    splits = {"val": {"persons": 1, "images": 1, "shards": [{"file": "val.tfrecord", "persons": 1, "sha256": ""}]}}
    found = RecordSet(path, "own", skeleton, "pckh", splits)
    (path / INDEX_NAME).write_text(json.dumps(found.to_dict()))
    return RecordSet.load(path)


def test_a_person_comes_back_as_written() -> None:
    person = Person(
        image_name="Größe 1.jpg",
        keypoints=KEYPOINTS,
        image=b"",
        box=(10.5, 20.25, 200.0),
        head_box=(1.0, 2.0, 3.0, 4.5),
        head_size=12.75,
        person_id=70_000,
        activity="skiing, downhill",
    )
    found = records.parse(tf.constant(records.encode(person, b"\xff\xd8 jpeg", (640, 480))), 2)
    assert found["image"].numpy() == b"\xff\xd8 jpeg"
    assert found["image_name"].numpy().decode() == "Größe 1.jpg"
    assert found["activity"].numpy() == b"skiing, downhill"
    assert found["person_id"].numpy() == 70_000
    for key, expected in (
        ("image_size", [640, 480]),
        ("keypoints", KEYPOINTS),
        ("box", [10.5, 20.25, 200.0]),
        ("head_box", [1.0, 2.0, 3.0, 4.5]),
        ("head_size", 12.75),
    ):
        assert found[key].dtype == tf.float32
        np.testing.assert_array_equal(found[key], expected)


def test_what_a_person_lacks_is_zero() -> None:
    found = records.parse(tf.constant(records.encode(Person("a.jpg", KEYPOINTS, b""), b"", (1, 1))), 2)
    assert found["box"][2] == 0 and found["head_size"] == 0 and not found["head_box"].numpy().any()
    assert found["activity"].numpy() == b""


def test_the_same_person_is_the_same_bytes() -> None:
    person = Person("a.jpg", KEYPOINTS, b"", box=(1, 2, 3))
    assert len({records.encode(person, b"jpeg", (3, 4)) for _ in range(5)}) == 1


def test_an_index_comes_back_as_written(tmp_path: Path) -> None:
    splits = {"train": {"persons": 0, "images": 0, "shards": []}}
    written = RecordSet(tmp_path, "own", LSP14, "pck", splits, "somewhere", {"a": 1}, {"left out": [1, 2]})
    (tmp_path / INDEX_NAME).write_text(json.dumps(written.to_dict()))
    assert RecordSet.load(tmp_path) == written
    assert RecordSet.load(str(tmp_path)) == written


def test_a_good_folder_names_its_files(tmp_path: Path) -> None:
    data = _folder(tmp_path, records.encode(Person("a.jpg", KEYPOINTS, b""), b"", (1, 1)))
    assert data.files("val") == [str(tmp_path / "val.tfrecord")]
    assert data.persons("val") == 1


def test_another_schema_is_refused(tmp_path: Path) -> None:
    record = records.encode(Person("a.jpg", KEYPOINTS, b""), b"", (1, 1))
    other = _folder(tmp_path, record.replace(records.FORMAT.encode(), b"keras_mspose/0"))
    with pytest.raises(
        MsposeError, match=r"val\.tfrecord: record schema is 'keras_mspose/0', expected 'keras_mspose/1'"
    ):
        other.files("val")
    feature = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"jpeg"]))}
    strange = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    with pytest.raises(MsposeError, match=r"val\.tfrecord: record schema is 'none', expected"):
        _folder(tmp_path, strange).files("val")
    with pytest.raises(MsposeError, match=r"val\.tfrecord: "):
        _folder(tmp_path, b"no protobuf at all").files("val")


def test_another_skeleton_is_refused(tmp_path: Path) -> None:
    data = _folder(tmp_path, records.encode(Person("a.jpg", KEYPOINTS, b""), b"", (1, 1)), skeleton=LSP14)
    with pytest.raises(MsposeError, match="6 keypoint numbers a person, expected 42"):
        data.files("val")


def test_missing_empty_and_damaged_shards_are_named(tmp_path: Path) -> None:
    data = _folder(tmp_path)
    with pytest.raises(MsposeError, match=r"val\.tfrecord: holds no record"):
        data.files("val")
    (tmp_path / "val.tfrecord").write_bytes(b"not a TFRecord file, but long enough to hold a header")
    with pytest.raises(MsposeError, match=r"val\.tfrecord: not a readable TFRecord file"):
        data.files("val")
    (tmp_path / "val.tfrecord").unlink()
    with pytest.raises(MsposeError, match=r"val\.tfrecord: named in dataset\.json but missing"):
        data.files("val")


def test_an_unknown_split_is_refused_with_those_there_are(tmp_path: Path) -> None:
    data = _folder(tmp_path)
    for ask in (data.files, data.persons):
        with pytest.raises(MsposeError, match=r"no persons in a split 'test'; it has val \(1\)"):
            ask("test")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "not a record folder"),
        ("{", "not JSON"),
        ("[]", "format is 'list'"),
        ('{"name": "own"}', "format is None, expected 'keras_mspose/1'"),
        ('{"format": "keras_mspose/2"}', "format is 'keras_mspose/2', expected 'keras_mspose/1'"),
        ('{"format": "keras_mspose/1"}', "name: Field required"),
    ],
)
def test_a_folder_that_is_no_record_folder_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / INDEX_NAME).write_text(text)
    with pytest.raises(MsposeError, match=said) as error:
        RecordSet.load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MsposeError, match="not a record folder"):
        RecordSet.load(tmp_path / "absent")


@pytest.mark.parametrize("name", ["../val.tfrecord", "/val.tfrecord", "..\\val.tfrecord", "\0.tfrecord", "val.jpg"])
def test_a_shard_lies_in_the_folder(tmp_path: Path, name: str) -> None:
    data = _folder(tmp_path)
    data.splits["val"]["shards"][0]["file"] = name
    (tmp_path / INDEX_NAME).write_text(json.dumps(data.to_dict()))
    with pytest.raises(MsposeError, match=r"splits\.val\.shards\.0\.file"):
        RecordSet.load(tmp_path)


def test_a_shard_cut_behind_its_first_record_is_named(tmp_path: Path) -> None:
    record = records.encode(Person("a.jpg", KEYPOINTS, b""), b"", (1, 1))
    data = _folder(tmp_path, record, record)
    shard = tmp_path / "val.tfrecord"
    assert data.files("val") == [str(shard)]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(MsposeError, match=r"val\.tfrecord: .*cut short or altered behind record 1"):
        data.files("val")
