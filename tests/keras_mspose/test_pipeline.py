"""Record folders to batches: every person, in the right order, cut out by the right box, and repeatable."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import geometry, person_truth, pipeline, records
from keras_mspose.config import RunConfig, from_dict
from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from keras_mspose.skeleton import LSP14, Skeleton

CROP = (64, 64)
PLAIN = {"scale": 0.0, "rotation": 0.0, "rotation_share": 0.0, "flip": 0.0, "colour": 0.0}
WILD = {"scale": 0.25, "rotation": 30.0, "rotation_share": 0.6, "flip": 0.5, "colour": 0.2}
WILD |= {"mask_keypoints": 0.5, "copy_keypoints": 0.5, "occluders": 0.5, "half_body": 0.3}


def _config(augment: dict, **training: int) -> RunConfig:
    return from_dict(
        {
            "model": {"stacks": 1, "channels": 8, "input_size": list(CROP), "depth": 2, "scales": [1]},
            "data": {"box": "image", "shuffle_buffer": 5, "augment": augment},
            "training": {"batch_size": 4, **training},
        },
        "test",
    )


def _evaluation(dots, box: str = "record", batch: int = 3, **changes) -> list[dict]:
    return list(pipeline.evaluation_batches(dots.records, "val", CROP, box, batch, **changes).as_numpy_iterator())


@pytest.fixture(scope="module")
def evaluation(dots) -> dict[str, np.ndarray]:
    """The whole of `val` under its record boxes."""
    batches = _evaluation(dots)
    return {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}


def test_evaluation_sees_everybody_once_in_order(dots) -> None:
    batches = _evaluation(dots, batch=3)
    assert [len(b["crop"]) for b in batches] == [3, 3, 1]
    assert [n.decode() for b in batches for n in b["image_name"]] == [f"val{i}.jpg" for i in range(7)]
    assert [int(i) for b in batches for i in b["person_id"]] == list(range(7))


def test_evaluation_can_stop_early_and_drop_what_is_left(dots) -> None:
    assert [len(b["crop"]) for b in _evaluation(dots, batch=3, persons=4)] == [3, 1]
    assert [len(b["crop"]) for b in _evaluation(dots, batch=3, drop_remainder=True)] == [3, 3]


def test_evaluation_gives_the_keypoints_and_crops_as_they_are(dots, evaluation: dict) -> None:
    assert evaluation["crop"].shape == (7, *CROP, 3) and evaluation["crop"].dtype == np.uint8
    for i in range(7):
        person = dots.persons[f"val{i}.jpg"].keypoints
        labelled = person[:, 2] > 0
        np.testing.assert_allclose(evaluation["keypoints"][i][labelled], person[labelled], rtol=1e-6)
        np.testing.assert_array_equal(evaluation["keypoints"][i][:, 2], person[:, 2])
        expected = geometry.apply(evaluation["matrix"][i].astype(float), person[:, :2])
        np.testing.assert_allclose(evaluation["targets"][i][labelled, :2], expected[labelled], atol=1e-3)


def test_targets_stand_where_the_dots_do(dots, evaluation: dict) -> None:
    for i in range(7):
        for (x, y, visibility, _), colour in zip(evaluation["targets"][i], dots.colours, strict=True):
            if visibility and min(x, y) >= 0 and max(x, y) <= 63:
                pixel = evaluation["crop"][i][round(float(y)), round(float(x))].astype(float)
                assert pixel @ colour > 0.95 * np.linalg.norm(pixel) * np.linalg.norm(colour) > 0


@pytest.mark.parametrize("rule", ["record", "joints", "image"])
def test_boxes_follow_the_rule(dots, rule: str) -> None:
    width, height = dots.size
    for batch in _evaluation(dots, rule):
        for name, found, matrix in zip(batch["image_name"], batch["box"], batch["matrix"], strict=True):
            person = dots.persons[name.decode()]
            xy = person.keypoints[person.keypoints[:, 2] > 0, :2]
            low, high = xy.min(axis=0), xy.max(axis=0)
            expected = (*(low + high) / 2, 1.25 * max(high - low))
            if rule == "image":
                expected = ((width - 1) / 2, (height - 1) / 2, width)
            elif rule == "record" and person.box:
                expected = person.box
            np.testing.assert_allclose(found, expected, rtol=1e-5)
            # Its middle falls on the crop's middle.
            np.testing.assert_allclose(matrix @ [*found[:2], 1], [31.5, 31.5], atol=1e-3)


def test_the_reference_is_the_torso_in_pixels_of_photograph_and_crop(dots, evaluation: dict) -> None:
    shoulder, hip = LSP14.index("left_shoulder"), LSP14.index("right_hip")
    for i in range(7):
        person = dots.persons[f"val{i}.jpg"].keypoints
        torso = 0 if i == 3 else np.linalg.norm(person[shoulder, :2] - person[hip, :2])
        assert evaluation["reference"][i] == pytest.approx(torso, rel=1e-5)
        np.testing.assert_allclose(evaluation["targets"][i][:, 3], torso * 64 / evaluation["box"][i][2], rtol=1e-4)


def test_the_reference_of_pckh_is_the_head_size() -> None:
    person = {"head_size": tf.constant(12.5), "keypoints": tf.ones((14, 3))}
    assert float(person_truth.reference_length(person, "pckh", LSP14)) == 12.5
    assert float(person_truth.reference_length(person, "pck", Skeleton("own", ("a",)))) == 12.5  # no torso of its own


def test_the_reference_of_pck_box_is_the_side_of_the_box() -> None:
    keypoints = np.array([[10, 10, 2], [30, 50, 1], [500, 500, 0]], np.float32)
    person = {"keypoints": tf.constant(keypoints), "box": tf.constant([0.0, 0.0, 0.0])}
    hand = Skeleton("hand", ("a", "b", "c"))
    assert float(person_truth.reference_length(person, "pck_box", hand)) == 50  # 1.25 times the 40 that are labelled
    person["box"] = tf.constant([20.0, 20.0, 77.0])
    assert float(person_truth.reference_length(person, "pck_box", hand)) == 77
    alone = {"keypoints": tf.constant(keypoints[[0, 2]]), "box": tf.constant([0.0, 0.0, 0.0])}
    assert float(person_truth.reference_length(alone, "pck_box", hand)) == 0  # one keypoint has no extent


def _train(dots, config: RunConfig, epochs: int, start_epoch: int = 0) -> list[tuple[np.ndarray, dict]]:
    batches, steps = pipeline.training_batches(dots.records, config, ["a", "b"], start_epoch=start_epoch)
    return list(batches.take(epochs * steps).as_numpy_iterator())


def _who(dots, batches: list[tuple[np.ndarray, dict]]) -> list[str]:
    """Names of the persons in batches that are not augmented."""
    width, height = dots.size
    scale = 64 / width
    names = []
    for target in (t for _, targets in batches for t in targets["a"]):
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        photograph = (target[:, :2] - 31.5) / scale + middle
        (name,) = (n for n, p in dots.persons.items() if np.abs(p.keypoints[:, :2] - photograph).max() < 0.01)
        names.append(name)
    return names


def test_each_person_appears_once_an_epoch_in_an_order_of_its_own(dots) -> None:
    names = _who(dots, _train(dots, _config(PLAIN), epochs=3))
    everybody = sorted(n for n in dots.persons if n.startswith("train"))
    epochs = [names[i : i + 12] for i in (0, 12, 24)]
    for epoch in epochs:
        assert sorted(epoch) == everybody
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_whole_image_crops_are_cut_about_the_photograph_as_often_as_asked(dots) -> None:
    config = _config({**PLAIN, "whole_image": 0.5}, steps_per_epoch=3)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, box="joints"))
    targets = [t for _, found in _train(dots, config, epochs=4) for t in found["a"]]
    # About the joints, their larger side is 1 / 1.25 of the crop; the photograph shows them smaller.
    spans = np.array([np.ptp(t[:, :2], axis=0).max() for t in targets])
    assert 10 < np.sum(np.abs(spans - 64 / 1.25) < 1) < 38
    whole = [t[None] for t, span in zip(targets, spans, strict=True) if span < 64 / 1.25 - 1]
    assert len(_who(dots, [(None, {"a": w}) for w in whole])) == len(whole)


def test_the_last_smaller_batch_is_left_out(dots) -> None:
    batches, steps = pipeline.training_batches(dots.records, _config(PLAIN, batch_size=5), ["a"])
    assert steps == 2
    names = _who(dots, list(batches.take(2).as_numpy_iterator()))
    assert len(names) == len(set(names)) == 10


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_persons_of_every_epoch(dots, workers: int) -> None:
    everybody = sorted(n for n in dots.persons if n.startswith("train"))
    seen = [[] for _ in range(2)]
    for index in range(workers):
        batches, steps = pipeline.training_batches(dots.records, _config(PLAIN), ["a"], worker=(index, workers))
        assert steps == 3
        for number, epoch in enumerate(seen):
            epoch += _who(dots, list(batches.skip(number * steps).take(steps).as_numpy_iterator()))
    assert sorted(seen[0]) == sorted(seen[1]) == everybody


@pytest.mark.parametrize("worker", [(0, 3), (2, 2), (-1, 2)])
def test_workers_that_cannot_be_are_refused(dots, worker: tuple[int, int]) -> None:
    with pytest.raises(MsposeError, match=f"worker {worker[0]} of {worker[1]}: expected"):
        pipeline.training_batches(dots.records, _config(PLAIN), ["a"], worker=worker)


def test_more_steps_than_persons_go_round_again(dots) -> None:
    config = _config(PLAIN, steps_per_epoch=6)
    assert pipeline.training_batches(dots.records, config, ["a"])[1] == 6
    names = _who(dots, _train(dots, config, epochs=1))
    assert sorted(names) == sorted(2 * [n for n in dots.persons if n.startswith("train")])


def _same(a: list[tuple[np.ndarray, dict]], b: list[tuple[np.ndarray, dict]]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x[0], y[0]) and np.array_equal(x[1]["a"], y[1]["a"]) for x, y in zip(a, b, strict=True)
    )


def test_a_run_that_resumes_sees_what_the_uninterrupted_one_saw(dots) -> None:
    config = _config(WILD, seed=5)
    whole = _train(dots, config, epochs=3)
    assert _same(whole, _train(dots, config, epochs=3))
    assert _same(whole[3:6], _train(dots, config, epochs=1, start_epoch=1))
    assert _same(whole[6:], _train(dots, config, epochs=1, start_epoch=2))
    assert not _same(whole[:3], whole[3:6])


def test_a_picture_shows_what_training_sees(dots) -> None:
    config = _config(WILD, seed=5)
    crops, targets = _train(dots, config, epochs=1)[0]
    seen = []
    for record in tf.data.TFRecordDataset(dots.records.files("train")):
        person = records.parse(record, 14)
        crop, target = pipeline.as_trained(person, dots.records, config, tf.constant([5, 0], tf.int64))
        seen.append(np.array_equal(crop, crops[0]) and np.array_equal(target, targets["a"][0]))
    assert seen.count(True) == 1  # the first person of the first epoch


def test_the_seed_changes_order_and_augmentation(dots) -> None:
    orders = [_who(dots, _train(dots, _config(PLAIN, seed=seed), epochs=1)) for seed in (0, 1, 2)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    crops = [_train(dots, _config(WILD, seed=seed), epochs=1) for seed in (0, 1)]
    assert not _same(*crops)


def test_training_batches_carry_a_target_for_every_head(dots) -> None:
    crops, targets = _train(dots, _config(WILD), epochs=1)[0]
    assert crops.shape == (4, *CROP, 3) and crops.dtype == np.uint8
    assert list(targets) == ["a", "b"]
    assert targets["a"].shape == (4, 14, 4)
    np.testing.assert_array_equal(targets["a"], targets["b"])


def test_the_reference_grows_with_the_person(dots) -> None:
    shoulder, hip = LSP14.index("left_shoulder"), LSP14.index("right_hip")
    for _, targets in _train(dots, _config(WILD), epochs=2):
        for target in targets["a"]:
            # The torso that the crop shows; of a mirrored person it is the other diagonal.
            ends = [target[shoulder, :2] - target[hip, :2]]
            ends.append(target[LSP14.flip_order[shoulder], :2] - target[LSP14.flip_order[hip], :2])
            assert min(abs(np.linalg.norm(e) - target[0, 3]) for e in ends) < 1e-3


def test_too_few_persons_and_missing_splits_are_refused(dots, dots_folder: Path) -> None:
    with pytest.raises(MsposeError, match="split 'train' has 12 persons, fewer than a batch of 16"):
        pipeline.training_batches(dots.records, _config(PLAIN, batch_size=16), ["a"])
    with pytest.raises(MsposeError, match=r"no persons in a split 'test'; it has train \(12\), val \(7\)"):
        pipeline.evaluation_batches(dots.records, "test", CROP, "image", 4)
    data = RecordSet.load(dots_folder)
    next(dots_folder.glob("train-00001*")).unlink()
    with pytest.raises(MsposeError, match=r"train-00001-of-00003\.tfrecord: named in"):
        pipeline.training_batches(data, _config(PLAIN), ["a"])
    damaged = dataclasses.replace(data, skeleton=Skeleton("own", ("a", "b")))
    with pytest.raises(MsposeError, match="42 keypoint numbers a person, expected 6"):
        pipeline.evaluation_batches(damaged, "val", CROP, "image", 4)
