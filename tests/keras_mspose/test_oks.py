"""COCO's images are told by their whole names, and results of another form are said in a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.oks import score_coco
from keras_mspose.prediction_file import FORMAT
from keras_mspose.skeleton import COCO17


def test_images_of_one_name_in_two_folders(tmp_path: Path) -> None:
    names, places = ("a/1.jpg", "b/1.jpg"), np.random.default_rng(0).uniform(50, 250, (2, 17, 2))
    persons = np.concatenate([places, np.full((2, 17, 1), 2.0)], axis=2)
    about = {"category_id": 1, "iscrowd": 0, "num_keypoints": 17, "area": 10_000.0, "bbox": [50, 50, 200, 200]}
    truth = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {"id": i, "image_id": i, "keypoints": one.ravel().tolist(), **about} for i, one in enumerate(persons, 1)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))

    def score(called: tuple[str, ...]) -> float:
        found = [
            {"image": name, "keypoints": one.tolist(), "truth": one.tolist(), "reference": 1.0}
            for name, one in zip(called, persons, strict=True)
        ]
        own = {"format": FORMAT, "metric": "pck", "skeleton": COCO17.to_dict(), "persons": found}
        (tmp_path / "own.json").write_text(json.dumps(own))
        return score_coco(tmp_path / "own.json", tmp_path / "truth.json")["AP"]

    assert score(names) == pytest.approx(100, abs=0.1)
    with pytest.raises(MsposeError, match=r"truth\.json: 1\.jpg may be its a/1\.jpg or b/1\.jpg"):
        score(("1.jpg", "b/1.jpg"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"image_id": 1, "category_id": 1, "keypoints": null, "score": 1}]', "entry 0: keypoints is no list"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_results_of_another_form(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(MsposeError, match=said):
        score_coco(tmp_path / "results.json", tmp_path / "truth.json")
