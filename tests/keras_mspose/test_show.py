"""`mspose show`: every head has its tile, networks stand side by side, and bad input is a line."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from keras_mspose import cli, saved_model, show_run, strips
from keras_mspose.all_heads import AllHeads
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.crops import Photograph
from keras_mspose.errors import MsposeError
from keras_mspose.heatmaps import render
from keras_mspose.model import build_model
from keras_mspose.skeleton import LSP14, MPII16
from tfrecords_tools.synthetic import make_person


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Untrained: two stacks for LSP's keypoints, and one without regression for MPII's."""
    folder, files = tmp_path_factory.mktemp("networks"), []
    for name, skeleton, stacks, regression in (("a", LSP14, 2, True), ("b", MPII16, 1, False)):
        keras.utils.set_random_seed(0)
        size = {"channels": 8, "input_size": (64, 64), "depth": 2, "scales": (1, 2)}
        config = ModelConfig(stacks=stacks, regression=regression, **size)
        facts = saved_model.Facts(skeleton, "pck", RunConfig(model=config))
        files.append(folder / name / "best.keras")
        files[-1].parent.mkdir()
        saved_model.save(build_model(config, len(skeleton)), files[-1], facts)
    return files


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    (tmp_path / "läufer.jpg").write_bytes(make_person(("val", 0), size=120).image)
    return tmp_path / "läufer.jpg"


def test_heads_come_in_the_order_of_the_paper() -> None:
    names = ["regression", "stack10_gt1", "stack2_gt1", "stack2_gt8", "stack2_gt2"]
    assert strips.in_order(names) == ["stack2_gt8", "stack2_gt2", "stack2_gt1", "stack10_gt1", "regression"]
    assert strips.before(names) == "stack10_gt1"
    assert [strips.label(n) for n in names[1:4]] == ["stack 10, GT", "stack 2, GT", "stack 2, GT/8"]


def test_keypoints_of_every_scale_lie_on_the_picture_where_they_were_drawn() -> None:
    spot = np.array([[[41.3, 22.9, 2.0]]])
    maps = {f"stack1_gt{s}": render(spot, (32 // s, 32 // s), 4 * s)[0] for s in (1, 2, 4)}
    for found in strips.read(maps, (128, 128), (384, 384), 1.0).values():
        assert np.abs(found[0, :2] - (3 * (spot[0, 0, :2] + 0.5) - 0.5)).max() < 0.3


def test_the_strip_has_every_head_and_the_faces_of_the_regression(networks: list[Path], photograph: Path) -> None:
    network = AllHeads(networks[0])
    seen = network.look(Photograph(photograph.read_bytes()))
    assert list(seen.heatmaps) == ["stack1_gt2", "stack1_gt1", "stack2_gt2", "stack2_gt1", "regression"]
    assert seen.answer == "regression" and all(k.shape == (14, 3) for k in seen.keypoints.values())
    crop = np.full((100, 100, 3), 90, np.uint8)
    drawn = strips.strip(crop, seen.heatmaps, strips.read(seen.heatmaps, (64, 64), (100, 100), 1.0), LSP14)
    assert drawn.shape == (3 * 122 + 4, 5 * 104 + 4, 3)
    assert (drawn[4 + 2 * 122 :, 4:104][:100] == 90).all()  # the crop as it is opens the last row


def test_the_commands(networks: list[Path], photograph: Path, tmp_path: Path, capsys) -> None:
    first, second, out = str(networks[0]), str(networks[1]), tmp_path / "strip.png"
    assert cli.main(["show", first, str(photograph), "--keypoint", "neck", "--box", "60,60,90", "--out", str(out)]) == 0
    strip = cv2.imread(str(out))
    assert strip.shape[1] == 5 * 228 + 4
    assert cli.main(["show", first, str(photograph), str(photograph), "--beside", second, "--out", str(out)]) == 0
    assert cv2.imread(str(out)).shape[:2] == (26 + 4 + 2 * (show_run.WHOLE + 22), 2 * (show_run.WHOLE + 4) + 4)
    capsys.readouterr()
    for more, said in (
        (["--keypoint", "nose"], "lsp14 has no keypoint 'nose'; it has right_ankle"),
        (["--keypoint", "neck", "--beside", second], "--keypoint is of one network"),
        (["--box", "1,2"], "expected CX,CY,SIDE"),
        (["--box", "1,2,nan"], "expected pixels"),
        (["--box", "900,2,30"], "lies outside of the photograph"),
        ([str(tmp_path / "none.jpg")], "none.jpg: no such file"),
        ([str(networks[0])], "best.keras: not an image"),
    ):
        assert cli.main(["show", first, str(photograph), *more, "--out", str(out)]) == 2
        printed = capsys.readouterr().err
        assert said in printed and printed.count("\n") == 1
    with pytest.raises(MsposeError, match="its folder does not exist"):
        show_run.show(networks[:1], [photograph], tmp_path / "no" / "strip.png")
