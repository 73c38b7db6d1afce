"""Several data sets train together: keypoints meet by name, nobody is lost, and what does not fit is said."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import ablation_jobs, cli, evaluation_run, mixing, pipeline, run_log, saved_model, training
from keras_mspose.config import DataConfig, RunConfig, from_dict
from keras_mspose.distance_file import read_distances
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import FLIC11, LSP14, MPII16, Skeleton
from tfrecords_tools import writer

TINY = {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1]}
STILL = {"scale": 0.0, "rotation": 0.0, "flip": 0.0, "colour": 0.0}
SIZES = {"mpii": 14, "lsp": 9, "flic": 7}


def _records(folder: Path, skeleton: Skeleton, count: int, metric: str, **notes: str) -> RecordSet:
    """Persons whose keypoint k is at (10 + 4 k, 20 + number of the person), and half as many for validation."""

    def persons():
        for i in range(count + count // 2):
            image = cv2.imencode(".jpg", np.full((80, 80, 3), 90 + i, np.uint8))[1].tobytes()
            keypoints = [(10 + 4 * k, 20 + i, 1 + i % 2) for k in range(len(skeleton))]
            person = Person(f"{i}.jpg", np.array(keypoints, float), image, (39.5, 39.5, 80.0), head_size=9.0)
            yield ("train" if i < count else "val"), person

    name = folder.name
    return writer.write(
        persons(), folder, name=name, skeleton=skeleton, metric=metric, source="drawn", options={}, notes=notes
    )


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RecordSet]:
    folder = tmp_path_factory.mktemp("sets")
    return {
        "mpii": _records(folder / "mpii", MPII16, SIZES["mpii"], "pckh"),
        "lsp": _records(folder / "lsp", LSP14, SIZES["lsp"], "pck"),
        "flic": _records(folder / "flic", FLIC11, SIZES["flic"], "pck", sides="the observer's"),
    }


def _config(data: dict | None = None, **training: object) -> RunConfig:
    sections = {"data": {"augment": STILL, **(data or {})}, "training": {"batch_size": 4, "epochs": 1, **training}}
    return from_dict({"model": TINY, **sections}, "test")


def _first(data: RecordSet) -> np.ndarray:
    """Keypoints (K, 3) of a data set's person 0."""
    everybody = [data.parse(record)["keypoints"].numpy() for record in tf.data.TFRecordDataset(data.files("train"))]
    (found,) = (keypoints for keypoints in everybody if keypoints[:, 1].max() == 20)
    return found


def test_keypoints_meet_by_name_and_the_rest_is_not_labelled(sets: dict) -> None:
    found = mixing.matched(sets["lsp"], MPII16, {"neck": "upper_neck"})
    assert len(found.skeleton) == 16 and found.metric == "pck"
    keypoints = _first(found)
    for name, (x, y, visibility) in zip(MPII16.keypoints, keypoints, strict=True):
        if name in ("pelvis", "thorax"):
            assert visibility == 0
        else:
            own = LSP14.index("neck" if name == "upper_neck" else name)
            assert (x, y, visibility) == (10 + 4 * own, 20, 1)


def test_without_a_word_no_name_is_taken_for_another(sets: dict) -> None:
    assert _first(mixing.matched(sets["lsp"], MPII16, {}))[MPII16.index("upper_neck"), 2] == 0
    back = _first(mixing.matched(sets["mpii"], LSP14, {}))
    assert back[LSP14.index("neck"), 2] == 0 and back[:, 2].sum() == 13
    own = dataclasses.replace(LSP14, name="own", keypoints=("neck", *(k for k in LSP14.keypoints if k != "neck")))
    turned = _first(mixing.matched(sets["lsp"], own, {"neck": "head_top"}))  # head_top has its own: that one counts
    assert turned[0, 0] == 10 + 4 * LSP14.index("neck")
    assert turned[own.index("head_top"), 0] == 10 + 4 * LSP14.index("head_top")


def test_what_is_found_and_whose_sides_differ_is_said(sets: dict, capsys: pytest.CaptureFixture) -> None:
    mixing.mix(list(sets.values()), DataConfig(rename={"neck": "upper_neck"}))
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("mpii: 16 of mpii16's 16 keypoints")
    assert said[1].endswith("lsp: 14 of mpii16's 16 keypoints; without pelvis, thorax")
    assert said[2].endswith("; not used: left_eye, right_eye, nose")
    assert said[3].startswith("warning: ") and "left and right are the observer's" in said[3]
    assert len(said) == 4
    for alone in ("lsp", "flic"):
        assert mixing.mix([sets[alone]], DataConfig()) == [sets[alone]]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"skeleton": "lsp15"}, "data.skeleton: no skeleton 'lsp15'; there are mpii16, lsp14"),
        ({"weights": (1.0, 2.0)}, "data.weights: 2 for 3 data sets"),
        ({"rename": {"neck": "throat"}}, "data.rename: neck: throat: mpii16 has no throat; it has right_ankle"),
        ({"rename": {"thorax": "pelvis"}}, "thorax is a keypoint of mpii16 itself"),
        ({"rename": {"belly": "pelvis"}}, "no data set has a keypoint belly"),
    ],
)
def test_what_does_not_fit_is_refused(sets: dict, change: dict, said: str) -> None:
    with pytest.raises(MsposeError, match=said):
        mixing.mix(list(sets.values()), DataConfig(**change))


def test_sets_without_a_common_keypoint_are_refused(sets: dict) -> None:
    with pytest.raises(MsposeError, match=r"none of its keypoints .* is one of own's"):
        mixing.matched(sets["lsp"], Skeleton("own", ("a", "b")), {})


def test_quotas_follow_the_weights(sets: dict) -> None:
    three = list(sets.values())
    assert mixing.quotas(three, "train", None, 28) == [14, 9, 7]
    assert mixing.quotas(three, "train", None, 31) == [28, 18, 14]
    assert mixing.quotas(three, "train", (1, 1, 1), 28) == [10, 9, 9]
    assert mixing.quotas(three, "train", (8, 1, 1), 100) == [80, 10, 10]


def _trained(sets: list[RecordSet], config: RunConfig, epochs: int) -> list[np.ndarray]:
    mixed = mixing.mix(sets, config.data)
    batches, steps = pipeline.training_batches(mixed, config, ["a"])
    return [targets["a"] for _, targets in batches.take(epochs * steps).as_numpy_iterator()]


def _whose(batches: list[np.ndarray]) -> list[str]:
    """Names of sets and numbers of persons, from targets in MPII's order."""
    found = []
    for target in np.concatenate(batches):
        labelled = set(np.array(MPII16.keypoints)[target[:, 2] > 0])
        name = "mpii" if "pelvis" in labelled else "lsp" if "head_top" in labelled else "flic"
        shown = target[MPII16.index("left_hip"), 1] / 0.8 + 0.125  # crop pixels of a box of 80 in 64
        found.append(f"{name}{round(float(shown)) - 20}")
    return found


def test_everybody_of_every_set_comes_once_and_batches_are_mixed(sets: dict) -> None:
    batches = _trained(list(sets.values()), _config(batch_size=5), epochs=2)
    assert len(batches) == 12
    everybody = sorted(f"{name}{i}" for name, count in SIZES.items() for i in range(count))
    for epoch in (batches[:6], batches[6:]):
        assert sorted(_whose(epoch)) == everybody
        assert sum(len({w.rstrip("0123456789") for w in _whose([batch])}) > 1 for batch in epoch) >= 4


def test_weights_change_who_comes(sets: dict) -> None:
    config = _config({"weights": [1.0, 3.0, 1.0]}, batch_size=5)
    counts = Counter(w.rstrip("0123456789") for w in _whose(_trained(list(sets.values()), config, epochs=1)))
    assert counts == {"mpii": 6, "lsp": 18, "flic": 6}


def test_flips_and_references_are_those_of_the_common_skeleton(sets: dict) -> None:
    config = _config({"augment": {**STILL, "flip": 1.0}, "rename": {"neck": "upper_neck"}}, batch_size=5)
    for target in np.concatenate(_trained([sets["mpii"], sets["lsp"]], config, epochs=1)):
        left, right = MPII16.index("left_wrist"), MPII16.index("right_wrist")
        is_lsp = target[MPII16.index("pelvis"), 2] == 0
        own = LSP14 if is_lsp else MPII16
        xs = [63 - ((10 + 4 * own.index(name) + 0.5) * 0.8 - 0.5) for name in ("right_wrist", "left_wrist")]
        np.testing.assert_allclose(target[[left, right], 0], xs, atol=1e-3)
        np.testing.assert_allclose(target[:, 3], 9 * 0.8, rtol=1e-5)  # head size: the first set's metric


def test_too_few_persons_are_counted_over_all_sets(sets: dict) -> None:
    with pytest.raises(MsposeError, match=r"mpii and .*lsp: split 'train' has 23 persons, fewer than a batch of 24"):
        pipeline.training_batches(mixing.mix([sets["mpii"], sets["lsp"]], DataConfig()), _config(batch_size=24), ["a"])
    with pytest.raises(MsposeError, match="flic: 7 persons are too few to share among 4 workers"):
        both = mixing.mix([sets["mpii"], sets["flic"]], DataConfig())
        pipeline.training_batches(both, _config(), ["a"], worker=(0, 4))


@pytest.fixture
def lsp_run(tmp_path: Path) -> Path:
    """As training on MPII leaves it where the recipe says `data.skeleton: lsp14`, and something of other data sets."""
    said = {"skeleton": "lsp14", "rename": {"upper_neck": "neck", "belly": "left_hip"}, "weights": [1.0, 2.0]}
    facts = saved_model.Facts(LSP14, "pckh", _config(said))
    (tmp_path / "run").mkdir()
    for name in (saved_model.BEST, saved_model.LAST):
        saved_model.save(build_model(facts.config.model, 14), tmp_path / "run" / name, facts)
    return tmp_path / "run"


def test_a_run_of_another_skeleton_than_its_data_is_measured(
    sets: dict, lsp_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = evaluation_run.evaluate_run(lsp_run, sets["mpii"].folder)
    assert found.truth.shape == (7, 14, 3) and (found.truth[..., 2] > 0).all()
    assert list(found.accuracy.joints) == list(LSP14.keypoints)

    monkeypatch.setattr(training, "train", lambda *_, **__: None)
    measured = lsp_run / "measured.npz"
    config = saved_model.facts(lsp_run).config
    ablation_jobs.train_and_measure(ablation_jobs.Run(config, sets["mpii"].folder, lsp_run, measured, False), None)
    distances, _, skeleton = read_distances(measured)
    assert distances.shape == (7, 14) and skeleton == LSP14


def test_a_recipe_without_a_skeleton_leaves_data_as_it_is(sets: dict) -> None:
    assert mixing.alone(sets["lsp"], DataConfig(rename={"neck": "upper_neck"}, weights=(1.0, 2.0))) is sets["lsp"]


@pytest.mark.slow
def test_training_on_two_sets_from_the_command_line(sets: dict, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    recipe, run = tmp_path / "tiny.json", tmp_path / "run"
    data = {"skeleton": "lsp14", "rename": {"upper_neck": "neck"}, "augment": STILL}
    recipe.write_text(json.dumps({"model": TINY, "data": data, "training": {"batch_size": 4, "epochs": 1}}))
    command = ["train", str(recipe), "--out", str(run)]
    folders = [part for name in ("mpii", "flic") for part in ("--data", str(sets[name].folder))]
    assert cli.main([*command, *folders]) == 0
    assert "mpii: 14 of lsp14's 14 keypoints; not used: pelvis, thorax" in capsys.readouterr().out
    (row,) = run_log.read_log(run)
    assert np.isfinite(float(row["val_regression_pckh"]))
    written = json.loads((run / "config.json").read_text())
    assert written["data"] == ["mpii", "flic"]
    assert [one["skeleton"]["name"] for one in written["datasets"]] == ["mpii16", "flic11"]
    _, facts = saved_model.load(run)
    assert facts.skeleton == LSP14 and facts.metric == "pckh"
    assert cli.main([*command, *folders]) == 0  # goes on where it stopped: at the end
    assert cli.main([*command, *folders[:2]]) == 2
    assert "holds a run with another data" in capsys.readouterr().err
