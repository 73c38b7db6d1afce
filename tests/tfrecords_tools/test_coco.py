"""COCO's person keypoints, by hand-made entries and by the real files."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import COCO17
from tfrecords_tools import coco


def entry(**changes) -> dict:
    keypoints = [v for k in range(17) for v in (5 + k, 4 + k, 1 + k % 2)]
    return {
        "id": 7,
        "image_id": 1,
        "iscrowd": 0,
        "bbox": [4, 6, 20, 10],
        "area": 150.5,
        "keypoints": keypoints,
        **changes,
    }


def save(source: Path, *entries: dict, split: str = "val2017", **more) -> None:
    (source / "annotations").mkdir(exist_ok=True)
    data = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": list(entries), **more}
    (source / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(data))


@pytest.fixture
def source(tmp_path: Path, jpeg) -> Path:
    for folder in ("val2017", "train2017"):
        (tmp_path / "coco" / folder).mkdir(parents=True)
        (tmp_path / "coco" / folder / "a.jpg").write_bytes(jpeg(0))
    return tmp_path / "coco"


def test_by_hand(source: Path, tmp_path: Path, records_of) -> None:
    save(source, entry(), entry(id=8, iscrowd=1), entry(id=9, keypoints=[0] * 51))
    data = coco.convert(source, tmp_path / "out")
    assert set(data.splits) == {"val"}
    assert data.notes["left_out"] == {"crowd": 1, "no labelled keypoint": 1}
    (person,) = records_of(tmp_path / "out", "val")
    np.testing.assert_allclose(person["keypoints"][COCO17.index("left_eye")], (6, 5, 2))
    # edges from 4 to 24 and from 6 to 16: centres from 4 to 23 and from 6 to 15
    np.testing.assert_allclose(person["box"], (13.5, 10.5, 25))
    assert person["area"] == 150.5 and person["person_id"] == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keypoints": [1, 2, 3]}, "annotation 0: 3 keypoint numbers, expected 51"),
        ({"bbox": [1, 2, 0, 5]}, "annotation 0: bbox .* has no size"),
        ({"bbox": None}, "annotation 0: "),
        ({"image_id": 5}, "annotation 0: image_id 5 is no image"),
    ],
)
def test_an_entry_of_another_form_is_named(source: Path, tmp_path: Path, changes: dict, said: str) -> None:
    save(source, entry(**changes))
    with pytest.raises(MsposeError, match=said):
        coco.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_of_another_form_are_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MsposeError, match="missing"):
        coco.convert(source, tmp_path / "out")
    save(source, entry(), categories=[{"name": "person", "keypoints": ["nose"]}])
    with pytest.raises(MsposeError, match="expected COCO's 17"):
        coco.convert(source, tmp_path / "out")
    save(source, entry(), images=[{"id": 1, "file_name": "../a.jpg"}])
    with pytest.raises(MsposeError, match="leads out of val2017/"):
        coco.convert(source, tmp_path / "out")


@pytest.mark.data
def test_the_real_files(real_data: Path, tmp_path: Path) -> None:
    data = coco.convert(real_data / "coco", tmp_path / "out")
    assert data.persons("train") + data.persons("val") == 166
    assert data.skeleton == COCO17
