"""Rendered persons: equal for a seed, labels that agree with the pixels, occlusion that is real, and not too easy."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import MPII16
from tfrecords_tools import synthetic
from tfrecords_tools.rendering.axes import FORWARD, LEFT, UP, turn
from tfrecords_tools.rendering.figure import render
from tfrecords_tools.rendering.solids import PARTS, Cloth, Solid
from tfrecords_tools.rendering.stage import Stage

RED = Cloth(np.array([(255, 0, 0), (255, 0, 0)]))
FRONT = np.diag((1.0, -1.0, -1.0))  # from body axes to a camera before the person


@pytest.fixture(scope="module")
def persons() -> list:
    return [synthetic.make_person(("train", number), seed=3) for number in range(300)]


@pytest.fixture
def stage() -> Stage:
    return Stage(np.zeros((200, 200, 3), np.uint8), np.random.default_rng(0))


def put(stage: Stage, solids: list[Solid], at: tuple[float, float, float] = (100, 100, 0), **kind: bool) -> None:
    stage.draw(solids, FRONT, 100.0, np.array(at, float), **({"foreign": False} | kind))


def limb(part: str, start: np.ndarray, end: np.ndarray, radius: float = 0.05) -> Solid:
    return Solid(part, start, end, (radius, radius), RED)


def test_a_seed_gives_the_same_figure() -> None:
    a, b, other = (render(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.keypoints, b.keypoints)
    assert not np.array_equal(a.image, other.image)


def test_a_person_is_the_same_in_any_set_and_validation_has_others(persons: list) -> None:
    again = synthetic.make_person(("train", 7), seed=3)
    assert again.image == persons[7].image and np.array_equal(again.keypoints, persons[7].keypoints)
    for job, seed in ((("val", 7), 3), (("train", 7), 4), (("train", 8), 3)):
        assert synthetic.make_person(job, seed=seed).image != again.image


@pytest.mark.parametrize("size", [64, 101])
def test_a_figure_has_the_size_asked_for(size: int) -> None:
    figure = render(np.random.default_rng(0), size)
    assert figure.image.shape == (size, size, 3) and figure.image.dtype == np.uint8
    assert figure.keypoints.shape == (16, 3)


def test_labelled_keypoints_lie_in_the_picture_and_the_others_are_zero(persons: list) -> None:
    keypoints = np.stack([person.keypoints for person in persons])
    labelled = keypoints[..., 2] > 0
    assert set(np.unique(keypoints[..., 2])) == {0, 1, 2}
    assert (keypoints[..., :2][labelled] >= -0.5).all() and (keypoints[..., :2][labelled] <= 191.5).all()
    assert (keypoints[~labelled] == 0).all()


def test_occlusion_is_common_but_not_the_rule_at_every_joint(persons: list) -> None:
    seen = np.stack([person.keypoints[:, 2] for person in persons])
    share = (seen == 1).sum(0) / (seen > 0).sum(0)
    assert ((share > 0.01) & (share < 0.35)).all(), dict(zip(MPII16.keypoints, share.round(2), strict=True))


@pytest.mark.parametrize("spot", [(100.0, 100.0), (90.5, 103.25), (77.3, 88.8)])
def test_a_joint_is_drawn_where_its_label_is_to_a_fiftieth_of_a_pixel(stage: Stage, spot: tuple) -> None:
    put(stage, [limb("left_hand", 0 * UP, 0 * UP, 0.6)], (*spot, 0))
    covered = stage.part.reshape(100, 2, 100, 2).mean((1, 3))  # the canvas averaged down to the picture
    rows, columns = np.indices(covered.shape)
    centroid = np.array([(covered * columns).sum(), (covered * rows).sum()]) / covered.sum()
    assert np.abs(centroid - ((np.array(spot) + 0.5) / 2 - 0.5)).max() < 0.02


def test_the_nearer_solid_is_seen_whatever_the_order(stage: Stage) -> None:
    near, far = limb("left_hand", 0.3 * FORWARD, 0.3 * FORWARD), limb("torso", -0.1 * UP, 0.1 * UP, 0.2)
    for order in ([near, far], [far, near]):
        stage.depth[:], stage.part[:] = np.inf, 0
        put(stage, order)
        assert PARTS[stage.part[100, 100]] == "left_hand" and PARTS[stage.part[120, 110]] == "torso"


def test_a_flat_solid_is_as_wide_as_it_is_turned(stage: Stage) -> None:
    for yaw, half in ((0, 40), (90, 20)):
        frame = turn(1, yaw)
        stage.depth[:], stage.part[:] = np.inf, 0
        put(stage, [replace(limb("torso", 0.3 * UP, -0.3 * UP, 0.4), frame=frame, flat=0.5)])
        assert abs(np.count_nonzero(stage.part[100]) - 2 * half) <= 2


@pytest.mark.parametrize(
    ("depth", "part", "visibility"),
    [(0.3, "right_forearm", 1), (-0.3, "right_forearm", 2), (0.3, "left_shin", 2), (0.3, "head", 1)],
    ids=["arm before", "arm behind", "a part that joins", "head before"],
)
def test_a_knee_is_hidden_by_what_lies_before_it_and_does_not_join_it(
    stage: Stage, depth: float, part: str, visibility: int
) -> None:
    put(stage, [limb("left_thigh", 0.4 * UP, 0 * UP), limb("left_shin", 0 * UP, -0.4 * UP)])
    put(stage, [limb(part, depth * FORWARD - 0.3 * LEFT, depth * FORWARD + 0.3 * LEFT)])
    assert stage.visibility("left_knee", np.array([100.0, 100.0, 0.0]), 100.0) == visibility


def test_another_person_and_a_thing_hide_and_a_person_behind_does_not(stage: Stage) -> None:
    knee = np.array([100.0, 100.0, 0.0])
    own = [limb("left_thigh", 0.4 * UP, 0 * UP), limb("left_shin", 0 * UP, -0.4 * UP)]
    put(stage, own, foreign=False)
    put(stage, own, (100, 100, 50), foreign=True)
    assert stage.visibility("left_knee", knee, 100.0) == 2
    put(stage, own, (100, 100, -50), foreign=True)
    assert stage.visibility("left_knee", knee, 100.0) == 1
    elsewhere = np.array([30.0, 30.0, 0.0])
    assert stage.visibility("left_wrist", elsewhere, 100.0) == 2
    stage.cover(np.random.default_rng(0), elsewhere[:2], 400.0)
    assert stage.visibility("left_wrist", elsewhere, 100.0) == 1


def test_a_shoulder_on_the_far_side_of_the_trunk_is_hidden(stage: Stage) -> None:
    put(stage, [limb("torso", 0 * UP, -0.5 * UP, 0.1)])
    assert stage.visibility("left_shoulder", np.array([100.0, 105.0, -5.0]), 100.0) == 2
    assert stage.visibility("left_shoulder", np.array([100.0, 105.0, 12.0]), 100.0) == 1
    assert stage.visibility("left_shoulder", np.array([100.0, 205.0, 0.0]), 100.0) == 0


def test_the_box_holds_the_person_and_the_head_box_the_head(persons: list) -> None:
    for person in persons:
        x, y, side = person.box
        labelled = person.keypoints[person.keypoints[:, 2] > 0, :2]
        assert (np.abs(labelled - (x, y)) <= side / 2).all()
        x1, y1, x2, y2 = person.head_box
        neck, top = (person.keypoints[MPII16.index(name)] for name in ("upper_neck", "head_top"))
        if neck[2] and top[2]:
            middle = (neck[:2] + top[:2]) / 2
            assert x1 < middle[0] < x2 and y1 < middle[1] < y2
        assert person.head_size == pytest.approx(0.6 * np.hypot(x2 - x1, y2 - y1))


def test_the_mean_pose_finds_at_most_a_quarter_of_the_joints(persons: list) -> None:
    keypoints = np.stack([person.keypoints for person in persons])[:, MPII16.scored_indices]
    boxes = np.array([person.box for person in persons])[:, None]
    labelled = keypoints[..., 2] > 0
    placed = (keypoints[..., :2] - boxes[..., :2]) / boxes[..., 2:]
    train, val = slice(0, 200), slice(200, None)
    mean = (placed[train] * labelled[train, :, None]).sum(0) / labelled[train].sum(0)[:, None]
    distance = np.linalg.norm(placed[val] - mean, axis=-1) * boxes[val, :, 2]
    head = np.array([person.head_size for person in persons])[val, None]
    assert (distance <= 0.5 * head)[labelled[val]].mean() <= 0.25


def test_a_photograph_keeps_positions_and_size() -> None:
    image = np.full((96, 96, 3), 20, np.uint8)
    image[40:51, 60:71] = 235
    for seed in range(12):
        taken = np.asarray(Image.open(io.BytesIO(synthetic.photograph(image, np.random.default_rng(seed)))), float)
        assert taken.shape == image.shape
        bright = np.clip(taken.mean(-1) - 60, 0, None)
        rows, columns = np.indices(bright.shape)
        assert abs((bright * columns).sum() / bright.sum() - 65) < 0.35
        assert abs((bright * rows).sum() / bright.sum() - 45) < 0.35


def test_a_folder_counts_what_was_asked_for(tmp_path: Path) -> None:
    data = synthetic.convert(tmp_path / "data", persons=12, val_persons=3)
    assert (data.persons("train"), data.persons("val"), data.metric) == (12, 3, "pckh")
    assert data.options == {"persons": 12, "val_persons": 3, "seed": 0, "size": 192}


def test_processes_make_what_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "WORTH_PROCESSES", 0)
    one = synthetic.convert(tmp_path / "one", persons=5, val_persons=2, size=64, workers=1)
    two = synthetic.convert(tmp_path / "two", persons=5, val_persons=2, size=64, workers=2)
    assert one.splits == two.splits


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"persons": 0}, "persons is 0"),
        ({"val_persons": -1}, "val_persons is -1"),
        ({"seed": -3}, "seed is -3"),
        ({"size": 32}, "size is 32"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(MsposeError, match=message):
        synthetic.convert(tmp_path / "data", **wrong)
    assert not (tmp_path / "data").exists()
    with pytest.raises(MsposeError, match="size is 63"):
        render(np.random.default_rng(0), 63)


def test_rendering_processes_do_not_load_tensorflow() -> None:
    code = "import sys, tfrecords_tools.synthetic; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
