"""`mspose evaluate --predictions`: what is written is in the photograph's pixels, and scores as `evaluate` does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.evaluation import Evaluation
from keras_mspose.metrics import accuracy, normalised_distances, reference_between
from keras_mspose.prediction_file import read_own, write_predictions
from keras_mspose.protocols import score
from keras_mspose.records import RecordSet
from keras_mspose.score_run import score_file
from keras_mspose.skeleton import LSP14, MPII16

PERSONS = 5


@pytest.fixture
def records(tmp_path: Path) -> RecordSet:
    return RecordSet(tmp_path, "lsp", LSP14, "pck", {})


@pytest.fixture
def found() -> Evaluation:
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.uniform(0, 100, (PERSONS, 14, 2)), rng.integers(0, 3, (PERSONS, 14, 1))], axis=-1)
    predicted = truth + rng.normal(0, 4, truth.shape)
    names, ids = [f"{i}.jpg" for i in range(PERSONS)], np.arange(PERSONS) + 40
    origins = np.tile([0.0, 0, 1], (PERSONS, 1))
    reference = np.array([20.0, 0, 30, 25, 10])
    seen = {
        "activities": [""] * PERSONS,
        "boxes": np.zeros((PERSONS, 3)),
        "box": "joints",
        "split": "val",
        "flip": True,
    }
    return Evaluation("regression", {}, predicted, truth, reference, names, ids, origins, **seen)


def test_it_scores_as_the_evaluation_does(tmp_path: Path, records: RecordSet, found: Evaluation) -> None:
    write_predictions(tmp_path / "p.json", found, records)
    expected = accuracy(normalised_distances(found.predicted, found.truth, found.reference), LSP14, "pck")
    report = score_file(tmp_path / "p.json")
    assert (report["mean"], report["weighted_mean"]) == (expected.mean, expected.weighted_mean)
    assert report["counts"] == expected.counts
    assert set(report["occlusion"]) == {"visible", "occluded", "occluded_with_visible_neighbour"}
    data = json.loads((tmp_path / "p.json").read_text())
    assert [(p["image"], p["person_id"]) for p in data["persons"]] == [(f"{i}.jpg", 40 + i) for i in range(PERSONS)]
    assert (data["split"], data["box"], data["flip"]) == ("val", "joints", True)


def test_own_predictions_of_pckh_go_by_protocols(tmp_path: Path, found: Evaluation) -> None:
    found = replace(
        found, predicted=np.repeat(found.predicted[:, :8], 2, axis=1), truth=np.repeat(found.truth[:, :8], 2, axis=1)
    )
    write_predictions(tmp_path / "p.json", found, RecordSet(tmp_path, "mpii", MPII16, "pckh", {}))
    distances = normalised_distances(found.predicted, found.truth, found.reference)
    for name in ("mpii", "bearpaw"):
        report = score_file(tmp_path / "p.json", protocol=name, threshold=0.4)
        assert report["protocol"] == name and report["threshold"] == 0.4
        assert report["mean"] == pytest.approx(score(distances, MPII16, name, 0.4).mean)
    assert set(score_file(tmp_path / "p.json", all_protocols=True)["protocols"]) == {"mpii", "bearpaw", "hrnet"}


def test_occluded_keypoints_go_by_the_tables_threshold_and_rules(tmp_path: Path, found: Evaluation, capsys) -> None:
    truth = np.concatenate([np.zeros((PERSONS, 16, 2)), np.ones((PERSONS, 16, 1))], axis=-1)
    quarter = truth + np.array([5, 0, 0])
    found = replace(found, truth=truth, predicted=quarter, reference=np.full(PERSONS, 20.0))
    write_predictions(tmp_path / "p.json", found, RecordSet(tmp_path, "mpii", MPII16, "pckh", {}))
    for how, right in (
        ({}, 100),
        ({"threshold": 0.2}, 0),
        ({"threshold": 0.25}, 100),
        ({"threshold": 0.25, "protocol": "bearpaw"}, 0),
    ):
        report = score_file(tmp_path / "p.json", **how)
        assert (report["mean"], report["occlusion"]["occluded"]["weighted_mean"]) == (right, right)
        assert f"by visibility, PCKh@{report['threshold']:g}" in capsys.readouterr().out


def test_pck_over_other_keypoints(tmp_path: Path, records: RecordSet, found: Evaluation) -> None:
    write_predictions(tmp_path / "p.json", found, records)
    pair = ("left_hip", "right_hip")
    reference = reference_between(found.truth, LSP14, pair)
    expected = accuracy(normalised_distances(found.predicted, found.truth, reference), LSP14, "pck")
    report = score_file(tmp_path / "p.json", between=pair)
    assert report["persons"]["counted"] == (reference > 0).sum() < PERSONS
    assert (report["protocol"], report["mean"]) == ("pck", pytest.approx(expected.mean))
    for change, message in (
        ({"protocol": "mpii"}, "is measured by PCK; --protocol says whose rules of PCKh"),
        ({"between": ("left_hip", "tail")}, "tail: no keypoint of lsp14"),
        ({"first_pixel": 1}, "--first-pixel says nothing about predictions that hold their truth"),
    ):
        with pytest.raises(MsposeError, match=message):
            score_file(tmp_path / "p.json", **change)


def test_persons_of_stored_crops_are_back_in_their_photograph(tmp_path: Path, records, found: Evaluation) -> None:
    found.origins[2] = 100, 50, 0.5
    write_predictions(tmp_path / "p.json", found, records)
    own = read_own(tmp_path / "p.json")
    np.testing.assert_allclose(own.predicted[2, :, :2], (found.predicted[2, :, :2] + 0.5) * 2 + (99.5, 49.5), atol=1e-3)
    assert own.reference[2] == 60
    np.testing.assert_allclose(own.predicted[0], found.predicted[0], atol=1e-3)
    unlabelled = found.truth[..., 2] == 0
    assert not own.truth[unlabelled].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="x"), "format is 'x'"),
        (lambda d: d.pop("skeleton"), "KeyError: 'skeleton'"),
        (lambda d: d["persons"][1]["keypoints"].pop(), "not the JSON of `mspose evaluate"),
        (lambda d: [p["truth"].pop() for p in d["persons"]], "not 14 x 3"),
        (lambda d: d.update(persons=3), "not the JSON"),
        (lambda d: d.update(metric="oks"), "metric is 'oks', expected one of pckh, pck, pck_box"),
    ],
)
def test_files_of_another_form(change, message: str, tmp_path: Path, records, found) -> None:
    write_predictions(tmp_path / "p.json", found, records)
    data = json.loads((tmp_path / "p.json").read_text())
    change(data)
    (tmp_path / "p.json").write_text(json.dumps(data))
    with pytest.raises(MsposeError, match=message):
        read_own(tmp_path / "p.json")


def test_other_forms_need_a_truth(tmp_path: Path) -> None:
    with pytest.raises(MsposeError, match="holds no truth; give --truth"):
        score_file(tmp_path / "preds.h5")
