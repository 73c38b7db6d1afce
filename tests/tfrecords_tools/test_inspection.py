"""`mspose inspect` counts what is there, by hand-made records, and draws it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_mspose import cli
from keras_mspose.records import Person
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer


@pytest.fixture
def folder(jpeg, tmp_path: Path) -> Path:
    """Three training persons on two photographs of 40 x 30, and one to validate, who has no right hip."""

    def person(image: str, seed: int, changes: dict[str, tuple], **more) -> Person:
        keypoints = np.array([[10.0 + k, 8.0 + k, 2] for k in range(14)])
        for name, values in changes.items():
            keypoints[LSP14.index(name)] = values
        return Person(image, keypoints, jpeg(seed), **more)

    persons = [
        ("train", person("a.jpg", 0, {"neck": (0, 0, 0), "head_top": (39.6, 5, 1)}, box=(20.0, 15.0, 30.0))),
        ("train", person("a.jpg", 0, {"head_top": (39.4, 29.4, 2)}, head_box=(1.0, 1.0, 5.0, 5.0), head_size=3.0)),
        ("train", person("b.jpg", 1, {"left_knee": (3, 3, 1)}, head_size=4.0, head_size_estimated=True)),
        ("val", person("c.jpg", 2, {"right_hip": (0, 0, 0)})),
    ]
    out = tmp_path / "records"
    writer.write(iter(persons), out, name="few", skeleton=LSP14, metric="pck", source="drawn", options={})
    return out


def test_counts_are_those_of_the_persons(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    said = tmp_path / "facts.json"
    assert cli.main(["inspect", str(folder), "--json", str(said), "--persons", "0"]) == 0
    facts = json.loads(said.read_text())
    train, val = facts["splits"]["train"], facts["splits"]["val"]
    assert (train["persons"], train["images"], val["persons"], val["images"]) == (3, 2, 1, 1)
    assert train["joints"]["head_top"] == {"visible": 2, "occluded": 1, "unlabelled": 0, "outside": 1}
    assert train["joints"]["neck"] == {"visible": 2, "occluded": 0, "unlabelled": 1, "outside": 0}
    assert train["joints"]["left_knee"] == {"visible": 2, "occluded": 1, "unlabelled": 0, "outside": 0}
    assert train["labelled_mean"] == pytest.approx(41 / 3)
    assert (train["with_box"], train["with_head_box"], train["head_size_estimated"]) == (1, 1, 1)
    assert (train["without_reference"], val["without_reference"]) == (0, 1)
    assert val["image_width"] == [40, 40, 40] and val["image_height"] == [30, 30, 30]
    assert val["person_side"] == pytest.approx([1.25 * 13] * 3)
    assert {k: v for k, v in val["person_sides"].items() if v} == {"16": 1}  # 16.25 pixels
    assert {k: v for k, v in train["image_sides"].items() if v} == {"32": 2}  # 40 pixels, each photograph once
    assert sum(train["person_sides"].values()) == 3
    assert "head_top" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.png"))


def test_persons_are_drawn_beside_the_folder(folder: Path) -> None:
    assert cli.main(["inspect", str(folder), "--persons", "2"]) == 0
    sheet = cv2.imread(str(folder.with_name("records.png")))
    assert sheet.shape[1] > 4 * 192  # two persons, each as labelled and as training sees them
    colours = sheet.reshape(-1, 3)[:, ::-1]
    for side in ((0, 114, 178), (230, 159, 0)):
        assert (colours == side).all(axis=1).any()


@pytest.mark.parametrize("damage", ["cut", "missing", "no folder", "no place"])
def test_what_cannot_be_read_is_named(folder: Path, damage: str, capsys: pytest.CaptureFixture) -> None:
    shard = next(folder.glob("train-*.tfrecord"))
    arguments = ["inspect", str(folder)]
    said = shard.name
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-20])
        said = f"{shard}: not a readable TFRecord file (cut short or altered behind record"
    elif damage == "missing":
        shard.unlink()
    elif damage == "no folder":
        arguments[1] = said = str(folder / "absent")
    else:
        arguments += ["--json", str(folder / "absent" / "facts.json")]
        said = "its folder does not exist"
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and len(error.strip().splitlines()) == 1
