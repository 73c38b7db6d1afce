"""`mspose inspect --verify`: what is damaged after it was written is found and named, and the rest is still read."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_mspose import cli
from keras_mspose.records import Person, encode
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer

WIDTH, HEIGHT = 100, 170


def photograph(seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def person(number: int, **more) -> Person:
    """Standing, facing the camera, none like another."""
    x = [38, 38, 40, 60, 62, 64, 15, 20, 32, 68, 80, 84, 50, 50]
    y = [160, 125, 85, 85, 125, 160, 15, 35, 40, 40, 62, 85, 36, 12]
    moved = np.random.default_rng(number).uniform(-4, 4, (14, 2))
    keypoints = np.column_stack([np.transpose([x, y]) + moved, np.full(14, 2)])
    return Person(**{"image_name": f"{number}.jpg", "keypoints": keypoints, "image": photograph(number)} | more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six training persons in three files, two to validate."""
    persons = [("train" if i < 6 else "val", person(i, person_id=i)) for i in range(8)]
    out = tmp_path / "r"
    how = {"name": "few", "skeleton": LSP14, "metric": "pck", "source": "drawn", "options": {}, "persons_per_shard": 2}
    writer.write(iter(persons), out, **how)
    return out


@pytest.fixture
def verified(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, dict, str]]:
    """Exit code, the JSON file's content, and what was printed."""

    def run(*arguments: str) -> tuple[int, dict, str]:
        said = tmp_path / "found.json"
        code = cli.main(["inspect", str(folder), "--verify", "--json", str(said), *arguments])
        return code, json.loads(said.read_text()), capsys.readouterr().out

    return run


def rewritten(folder: Path, split: str, records: list[bytes]) -> str:
    """Put other records into a split's first file, which dataset.json then counts and whose checksum it has."""
    path = folder / "dataset.json"
    index = json.loads(path.read_text())
    shard = index["splits"][split]["shards"][0]
    with tf.io.TFRecordWriter(str(folder / shard["file"])) as file:
        for record in records:
            file.write(record)
    index["splits"][split]["persons"] += len(records) - shard["persons"]
    shard["persons"], shard["sha256"] = len(records), digest(folder / shard["file"])
    path.write_text(json.dumps(index))
    return shard["file"]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(number: int, *, size: tuple[int, int] = (WIDTH, HEIGHT), **more) -> bytes:
    one = person(number, person_id=number, **more)
    return encode(one, one.image, size)


def test_a_sound_folder(folder: Path, verified: Callable) -> None:
    code, found, said = verified()
    assert code == 0 and found["good"] and found["findings"] == []
    assert found["persons_read"] == {"train": 6, "val": 2}
    assert "nothing broken, nothing suspect" in said
    assert not list(folder.parent.glob("*.png"))


@pytest.mark.parametrize(
    ("damage", "what", "read"),
    [
        ("cut", "cut short or altered behind record 1 of 2", 5),
        ("bit", "cut short or altered behind record 0 of 2", 4),
        ("missing", "missing or not readable", 4),
        ("empty", "holds 0 records, dataset.json counts 2", 4),
        ("other file", "altered: SHA-256 is not the one in dataset.json", 6),
    ],
)
def test_damaged_files_do_not_stop_the_rest(
    folder: Path, verified: Callable, damage: str, what: str, read: int
) -> None:
    first, second, _ = sorted(folder.glob("train-*.tfrecord"))
    whole = second.read_bytes()
    if damage == "cut":
        second.write_bytes(whole[:-20])
    elif damage == "bit":
        second.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    elif damage == "missing":
        second.unlink()
    elif damage == "empty":
        second.write_bytes(b"")
    else:
        second.write_bytes(first.read_bytes())
    code, found, said = verified()
    assert code == 1 and not found["good"] and found["persons_read"] == {"train": read, "val": 2}
    assert (second.name, what) in {(f["file"], f["what"]) for f in found["findings"] if f["kind"] == "files"}
    assert what in said and second.name in said and "copy the folder again, or convert again" in said


def test_files_that_dataset_json_does_not_count(folder: Path, verified: Callable) -> None:
    (folder / "more.tfrecord").write_bytes(b"")
    path = folder / "dataset.json"
    index = json.loads(path.read_text())
    index["splits"]["val"]["persons"] = 7
    index["splits"]["train"]["shards"][0]["persons"] = 3
    path.write_text(json.dumps(index))
    code, found, _ = verified()
    assert code == 1
    assert {(f["split"], f["file"], f["what"]) for f in found["findings"]} == {
        ("", "more.tfrecord", "not named in dataset.json"),
        ("val", "dataset.json", "its files hold 2 persons by dataset.json, which counts 7"),
        ("train", "dataset.json", "its files hold 7 persons by dataset.json, which counts 6"),
        ("train", "train-00000-of-00003.tfrecord", "holds 2 records, dataset.json counts 3"),
    }


def test_every_broken_record_is_named(folder: Path, verified: Callable) -> None:
    whole, other = photograph(12), record(10)
    bomb = bytearray(photograph(13))
    size = bomb.index(b"\xff\xc0") + 5
    bomb[size : size + 4] = (65000).to_bytes(2, "big") * 2
    nan = person(15).keypoints
    nan[3, 0] = np.nan
    no_visibility = person(16).keypoints
    no_visibility[0, 2] = 3
    records = [
        b"no protobuf \xff\xff",
        other.replace(b"keras_mspose/1", b"keras_mspose/9"),
        record(11, keypoints=person(11).keypoints[:13]),
        record(12, image=whole[: len(whole) // 2]),
        record(13, image=bytes(bomb)),
        record(14, size=(90, 170)),
        record(15, keypoints=nan),
        record(16, keypoints=no_visibility),
        record(17, box=(50.0, float("inf"), 40.0)),
        record(18),
    ]
    file = rewritten(folder, "val", records)
    code, found, said = verified("--persons", "0")
    assert code == 1 and all(f["file"] == file for f in found["findings"])
    assert [(f["kind"], f["record"], f["image"]) for f in found["findings"]] == [
        ("records", 0, ""),
        ("records", 1, "10.jpg"),
        ("records", 2, ""),
        ("photographs", 3, "12.jpg"),
        ("photographs", 4, "13.jpg"),
        ("photographs", 5, "14.jpg"),
        ("numbers", 6, "15.jpg"),
        ("numbers", 7, "16.jpg"),
        ("numbers", 8, "17.jpg"),
    ]
    what = [f["what"] for f in found["findings"]]
    assert what[1] == "its format is 'keras_mspose/9', expected 'keras_mspose/1'"
    assert "person/keypoints" in what[2]
    assert what[3] == "not a whole JPEG file"
    assert what[4] == "declares 65000 x 65000 pixels, more than 80 megapixels"
    assert what[5] == "is 100 x 170 pixels, the record says 90 x 170"
    assert "val 17.jpg person 17 (record 8 of" in said


def test_the_same_in_two_splits_is_broken_and_in_one_a_suspect(folder: Path, verified: Callable) -> None:
    first = person(0)
    records = [
        record(20, image=first.image, image_name="again.jpg"),  # a training photograph
        record(21, keypoints=first.keypoints),  # a training person
        record(22, keypoints=person(23).keypoints),
        record(23),  # the person before
        record(24, image_name="3.jpg"),  # another photograph's name
        record(25, image=photograph(24)),  # the photograph before
    ]
    rewritten(folder, "val", records)
    code, found, _ = verified("--persons", "0")
    assert code == 1
    assert [(f["kind"], f["image"], f["what"]) for f in found["findings"]] == [
        ("photograph in two splits", "again.jpg", "the bytes of 0.jpg in train"),
        ("person in two splits", "21.jpg", "the keypoints of a person on 0.jpg in train"),
        ("photograph twice", "25.jpg", "the bytes of 3.jpg in val"),
        ("person twice", "23.jpg", "the keypoints of a person on 22.jpg in val"),
        ("name in two splits", "3.jpg", "another photograph in train has this name"),
    ]


def test_suspects_are_drawn_and_end_well(folder: Path, verified: Callable) -> None:
    twisted = person(30).keypoints
    legs = [LSP14.index(f"{side}_{part}") for part in ("hip", "knee", "ankle") for side in ("left", "right")]
    twisted[legs] = twisted[[k for pair in zip(legs[1::2], legs[::2], strict=True) for k in pair]]
    out = person(31).keypoints
    out[LSP14.index("head_top"), 1] = -9
    records = [
        record(30, keypoints=twisted),
        record(31, keypoints=out, box=(50.0, 85.0, 180.0)),
        record(32, box=(90.0, 150.0, 20.0)),
        record(33, head_box=(40.0, 8.0, 70.0, 48.0), head_size=50.0),
    ]
    rewritten(folder, "val", records)
    code, found, said = verified()
    assert code == 0 and found["good"]
    assert [(f["kind"], f["image"]) for f in found["findings"]] == [
        ("left and right", "30.jpg"),
        ("outside", "31.jpg"),
        ("box", "32.jpg"),
        ("head", "33.jpg"),
    ]
    assert found["counts"]["outside"] == {"val": 1} and "4 suspects" in said
    sheet = cv2.imread(str(folder.with_name("r-suspects.png")))
    assert sheet.shape[1] > 4 * 2 * 192
    assert verified("--sheet", str(folder.with_name("mine.png")), "--persons", "1")[0] == 0
    assert cv2.imread(str(folder.with_name("mine.png"))).shape[1] < 3 * 192


@pytest.mark.data
@pytest.mark.slow
def test_real_persons(real_data: Path, tmp_path: Path) -> None:
    """COCO's labels are good: hardly a limb is said to be crossed, and no box is wrong."""
    assert cli.main(["convert", "coco", str(real_data / "coco"), "--out", str(tmp_path / "coco")]) == 0
    assert cli.main(["inspect", str(tmp_path / "coco"), "--verify", "--json", str(tmp_path / "f.json")]) == 0
    found = json.loads((tmp_path / "f.json").read_text())
    assert sum(found["persons_read"].values()) == 166
    assert set(found["counts"]["left and right"].values()) <= {3}
    assert {f["kind"] for f in found["findings"]} <= {"left and right", "outside"}
