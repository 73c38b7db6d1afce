"""`mspose doctor` finds each planted fault, and none where all is well."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_mspose import doctor, doctor_labels, layers, saved_model
from keras_mspose.cli import main
from keras_mspose.config import from_dict
from keras_mspose.doctor_run import findings
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14, MPII16, Skeleton

RECIPE = {
    "model": {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1]},
    "data": {"box": "joints"},
    "training": {"epochs": 20, "batch_size": 4},
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordSet, dict[str, list[Person]]]:
    """48 + 8 rendered persons."""
    from tfrecords_tools import synthetic

    data = synthetic.convert(tmp_path_factory.mktemp("doctor") / "people", persons=48, val_persons=8, workers=1)
    persons: dict[str, list[Person]] = {}
    for split in ("train", "val"):
        for record in tf.data.TFRecordDataset(data.files(split)):
            p = {key: value.numpy() for key, value in data.parse(record).items()}
            made = Person(p["image_name"].decode(), p["keypoints"], p["image"], person_id=int(p["person_id"]))
            persons.setdefault(split, []).append(made)
    return data, persons


Change = Callable[[str, Person], Person]


@pytest.fixture
def rewritten(people, tmp_path: Path):
    """The same persons with something done to them."""
    from tfrecords_tools import writer

    data, persons = people

    def write(change: Change = lambda split, person: person, skeleton: Skeleton = data.skeleton) -> RecordSet:
        out = tmp_path / "changed"
        everybody = ((split, change(split, person)) for split in persons for person in persons[split])
        how = {"name": "changed", "skeleton": skeleton, "metric": data.metric, "source": "rendered", "options": {}}
        return writer.write(everybody, out, **how)

    return write


def _faults(data: RecordSet, **settings: object) -> set[str]:
    config = from_dict({**RECIPE, "training": {**RECIPE["training"], **settings}}, "tiny")
    return {finding.check for finding in findings(config, data, timed=False)[1] if not finding.good}


def _pixels(person: Person, change: Callable[[np.ndarray], np.ndarray]) -> Person:
    image = np.asarray(Image.open(io.BytesIO(person.image)).convert("RGB"))
    buffer = io.BytesIO()
    Image.fromarray(change(image)).save(buffer, "JPEG", quality=95)
    return replace(person, image=buffer.getvalue())


@pytest.mark.slow
def test_a_healthy_recipe_has_no_fault(people, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = people
    (tmp_path / "tiny.json").write_text(json.dumps(RECIPE))
    picture = tmp_path / "targets.png"
    line = ["doctor", str(tmp_path / "tiny.json"), "--data", str(data.folder), "--picture", str(picture)]
    main([*line, "--json", str(tmp_path / "doctor.json")])
    found = json.loads((tmp_path / "doctor.json").read_text())["findings"]
    # a network as small as this may be fed no faster than it computes: no fault of the data
    assert {one["check"] for one in found if not one["good"]} <= {"input"}, found
    assert len(found) == 10 and "FAULT splits" not in capsys.readouterr().out
    assert cv2.imread(str(picture)).shape[0] > 4 * 192  # 24 persons, six a row


@pytest.mark.slow
def test_swapped_flip_pairs(rewritten) -> None:
    pairs = [("left_wrist", "left_ankle"), ("right_wrist", "right_ankle")]
    kept = [pair for pair in MPII16.flip_pairs if "wrist" not in pair[0] and "ankle" not in pair[0]]
    assert _faults(rewritten(skeleton=replace(MPII16, flip_pairs=(*kept, *pairs), upper_body=()))) == {"flip pairs"}


@pytest.mark.slow
def test_labels_shifted_by_half_a_crop(rewritten) -> None:
    def shifted(split: str, person: Person) -> Person:
        labelled = person.keypoints[person.keypoints[:, 2] > 0, :2]
        half = 0.5 * 1.25 * np.ptp(labelled, axis=0).max()
        return replace(person, keypoints=person.keypoints + np.array([half, 0, 0]))

    assert "label place" in _faults(rewritten(shifted))


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["half", "fractions"])
def test_labels_of_another_scale(rewritten, scale: str) -> None:
    def scaled(split: str, person: Person) -> Person:
        factor = 0.5 if scale == "half" else 1 / Image.open(io.BytesIO(person.image)).width
        return replace(person, keypoints=person.keypoints * [factor, factor, 1])

    assert "label scale" in _faults(rewritten(scaled))


def test_boxes_of_another_scale_than_their_keypoints() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(10, 190, (50, 14, 2)), np.full((50, 14, 1), 2)], axis=2)
    sizes, boxes = np.full((50, 2), 200), np.tile([100.0, 100.0, 225.0], (50, 1))
    assert doctor_labels.label_scale(keypoints, sizes, boxes).good
    assert not doctor_labels.label_scale(keypoints, sizes, boxes * 5).good
    assert not doctor_labels.label_scale(keypoints, sizes, boxes / 5).good
    assert doctor_labels.label_scale(keypoints, sizes, boxes * [1, 1, 0]).good  # no boxes are no fault


@pytest.mark.slow
def test_red_read_as_blue(rewritten) -> None:
    assert _faults(rewritten(lambda split, person: _pixels(person, lambda image: image[..., ::-1]))) == {"colours"}


@pytest.mark.slow
def test_pixels_scaled_twice(rewritten) -> None:
    dark = rewritten(lambda split, person: _pixels(person, lambda image: (image / 255).round().astype(np.uint8)))
    assert "pixels" in _faults(dark)


@pytest.mark.slow
def test_a_batch_without_labels(rewritten) -> None:
    def unlabelled(split: str, person: Person) -> Person:
        labelled = split == "val" or person.person_id % 4 == 0
        return person if labelled else replace(person, keypoints=person.keypoints * [1, 1, 0])

    assert "labelled keypoints" in _faults(rewritten(unlabelled))


@pytest.mark.slow
def test_batch_normalisation_that_never_settles(people, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "BN_MOMENTUM", 0.999)
    assert _faults(people[0], steps_per_epoch=10) == {"batch normalisation"}


@pytest.mark.slow
def test_validation_persons_that_are_trained_on(people, rewritten) -> None:
    _, persons = people
    twice = rewritten(lambda split, p: replace(p, image=persons["val"][0].image) if p.person_id == 0 else p)
    assert "splits" in _faults(twice)


@pytest.mark.slow
def test_a_learning_rate_100_times_too_high(people) -> None:
    assert _faults(people[0], learning_rate=0.05) == {"learning rate"}


@pytest.mark.slow
@pytest.mark.data
def test_the_released_network_on_its_own_data_is_healthy(real_data: Path, tmp_path: Path) -> None:
    from tfrecords_tools import lsp

    data = lsp.convert(real_data / "lspet", tmp_path / "lsp", split="1-200:train,7249-7280:val")
    facts = saved_model.facts("lsp14-small")
    config = replace(facts.config, training=replace(facts.config.training, precision="float32"))
    found = findings(config, data, run=Path("lsp14-small"), timed=False)[1]
    assert [one for one in found if not one.good] == [] and {"moving averages", "heads"} <= {f.check for f in found}


@pytest.mark.slow
def test_a_healthy_run_has_no_fault(people, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = people
    recipe = {**RECIPE, "training": {**RECIPE["training"], "epochs": 12, "learning_rate": 0.005, "warmup_steps": 10}}
    (tmp_path / "tiny.json").write_text(json.dumps(recipe))
    run = str(tmp_path / "run")
    assert main(["train", str(tmp_path / "tiny.json"), "--data", str(data.folder), "--out", run]) == 0
    assert "input waits" in capsys.readouterr().err  # in every epoch's line
    line = ["doctor", run, "--data", str(data.folder), "--picture", str(tmp_path / "targets.png")]
    main([*line, "--json", str(tmp_path / "doctor.json")])
    found = {one["check"]: one for one in json.loads((tmp_path / "doctor.json").read_text())["findings"]}
    assert {check for check, one in found.items() if not one["good"]} <= {"input"}, found
    assert {"moving averages", "heads", "progress"} <= set(found)


@pytest.mark.slow
def test_an_untrained_network_says_nothing_and_is_told_so(people, tmp_path: Path) -> None:
    config = from_dict(RECIPE, "tiny")
    model = build_model(config.model, 16)
    for layer in model.layers:
        if layer.name.endswith("_bn"):  # averages of another network: those of a fresh one are 0 and 1
            layer.set_weights([*layer.get_weights()[:2], *(w * 0 + 7 for w in layer.get_weights()[2:])])
    saved_model.save(model, tmp_path / "fresh.keras", saved_model.Facts(people[0].skeleton, "pckh", config))
    found = {one.check: one for one in findings(config, people[0], run=tmp_path / "fresh.keras", timed=False)[1]}
    assert not found["heads"].good and "stack1_gt1" in found["heads"].said


def test_data_is_matched_to_the_recipe_and_compared_with_the_run(dots, tmp_path: Path) -> None:
    data = {"box": "image", "rename": {"neck": "upper_neck"}}
    seen, _ = findings(from_dict({**RECIPE, "data": {**data, "skeleton": "mpii16"}}, "t"), dots.records, timed=False)
    assert seen.skeleton == MPII16 and seen.targets.shape[1] == 16
    assert not seen.targets[:, MPII16.index("pelvis"), 2].any()
    config = from_dict({**RECIPE, "data": data}, "t")
    saved_model.save(build_model(config.model, 16), tmp_path / "m.keras", saved_model.Facts(MPII16, "pckh", config))
    with pytest.raises(MsposeError, match=r"its skeleton is lsp14, the network's mpii16; they must agree"):
        findings(config, dots.records, run=tmp_path / "m.keras", timed=False)


def test_pairs_without_sides_in_their_names_are_told_by_their_height() -> None:
    skeleton = Skeleton("hand", ("a", "b", "c", "d"), flip_pairs=(("a", "b"), ("c", "d")))
    rng = np.random.default_rng(0)
    points = np.array([[20, 10, 2], [80, 10, 2], [20, 90, 2], [80, 90, 2]], float) + rng.normal(0, 2, (50, 4, 3))
    points[..., 2] = 2
    assert doctor_labels.flip_pairs(skeleton, points, True).good
    crossed = replace(skeleton, flip_pairs=(("a", "c"), ("b", "d")))
    assert "a and c" in doctor_labels.flip_pairs(crossed, points, True).said.replace("b and d", "a and c")


def test_a_name_that_nothing_mirrors() -> None:
    nothing = np.zeros((0, 14, 3))
    assert (
        "stand in no pair" in doctor_labels.flip_pairs(replace(LSP14, flip_pairs=(), upper_body=()), nothing, True).said
    )
    assert doctor_labels.flip_pairs(replace(LSP14, flip_pairs=(), upper_body=()), nothing, False).good


def test_drift_progress_and_waiting_by_hand() -> None:
    assert doctor.batch_norm_drift(2.0, 2.9).good and not doctor.batch_norm_drift(2.0, 3.1).good
    assert doctor.learns([20.0, 17.0], 18.0).good and not doctor.learns([20.0, float("nan")], 18.0).good
    assert doctor.input_waits(0.5).good and not doctor.input_waits(1.4).good
    assert doctor.heads_alive({"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 1.0}).said.startswith("b:")


def test_a_recipe_is_changed_and_a_run_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["doctor", "lsp14-small", "--data", str(tmp_path), "--set", "training.epochs=1"]
    assert main(line) == 2
    assert "a run is looked at as it was trained" in capsys.readouterr().err
