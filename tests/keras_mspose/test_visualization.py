"""Drawings put colour where the joint is, to a tenth of a pixel, and survive whatever a network answers."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_mspose import visualization
from keras_mspose.errors import MsposeError
from keras_mspose.heatmaps import render
from keras_mspose.skeleton import MPII16, Skeleton
from keras_mspose.tiles import contact_sheet, grid
from keras_mspose.visualization import SIDES, draw_pose, heatmap_overlay, legend, save_png

ONE = Skeleton(name="one", keypoints=("nose",))
TWO = Skeleton(name="two", keypoints=("left_eye", "right_eye"), flip_pairs=(("left_eye", "right_eye"),))
PAIR = Skeleton(name="pair", keypoints=("neck", "pelvis"), limbs=(("neck", "pelvis"),))


def picture(level: int = 128, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def centroid(weight: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(weight.shape)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("spot", [(40.0, 30.0), (40.5, 30.25), (22.8, 17.1)])
def test_a_keypoint_is_drawn_to_a_tenth_of_a_pixel(spot: tuple[float, float]) -> None:
    before = picture()
    after = draw_pose(before, np.array([[*spot, 1.0]]), ONE, person_size=400)
    changed = np.abs(after.astype(float) - before).sum(-1)
    assert np.abs(centroid(changed) - spot).max() < 0.1
    assert (before == 128).all()


def test_sides_have_their_colours_and_a_dark_rim() -> None:
    drawn = draw_pose(picture(255), np.array([[20, 30, 1.0], [60, 30, 1.0]]), TWO, person_size=320)
    assert tuple(drawn[30, 20]) == SIDES["left"] and tuple(drawn[30, 60]) == SIDES["right"]
    assert drawn[30, 10:20].min() < 60


def test_a_limb_is_drawn_between_its_keypoints_and_thicker_for_a_larger_person() -> None:
    keypoints = np.array([[10, 30, 1.0], [70, 30, 1.0]])
    thin, thick = (draw_pose(picture(255), keypoints, PAIR, person_size=size) for size in (80, 640))
    assert tuple(thick[30, 40]) == SIDES["middle"]
    assert np.count_nonzero(thick[:, 40, 0] < 250) > np.count_nonzero(thin[:, 40, 0] < 250) >= 1


@pytest.mark.parametrize("level", [0, 255, 114])
def test_a_limb_stands_out_from_dark_light_and_its_own_grey(level: int) -> None:
    drawn = draw_pose(picture(level), np.array([[10, 30, 1.0], [70, 30, 1.0]]), PAIR, person_size=160).astype(int)
    across = drawn[20:41, 40].mean(-1)
    assert max(abs(across - level)) > 80 and across.min() < 60 and across.max() > 200


def test_a_legend_has_the_colours_and_is_as_wide_as_asked() -> None:
    for width in (20, 900):
        assert legend(width, "faint: ä").shape == (26, width, 3)
    for colour in SIDES.values():
        assert (legend(900) == colour).all(-1).any()


def test_a_low_score_is_faint_and_one_at_the_threshold_is_left_out() -> None:
    sure, doubtful = (
        draw_pose(picture(255), np.array([[40, 30, score]]), ONE, person_size=320).astype(int) for score in (1.0, 0.3)
    )
    assert abs(255 - sure[30, 40, 0]) > 2 * abs(255 - doubtful[30, 40, 0]) > 0
    assert (draw_pose(picture(), np.array([[40, 30, 0.3]]), ONE, threshold=0.3) == 128).all()


@pytest.mark.parametrize(
    "keypoints",
    [
        np.full((16, 3), np.nan),
        np.zeros((16, 3)),
        np.tile([np.inf, -np.inf, 1.0], (16, 1)),
        np.tile([1e12, -1e12, 1.0], (16, 1)),
        np.tile([-500.0, 700.0, 1.0], (16, 1)),
        np.tile([30.0, 20.0, np.nan], (16, 1)),
    ],
    ids=["nan", "unlabelled", "infinite", "huge", "outside", "score nan"],
)
def test_what_cannot_be_shown_leaves_the_image_as_it_is(keypoints: np.ndarray) -> None:
    assert (draw_pose(picture(), keypoints, MPII16) == 128).all()


def test_a_limb_that_leaves_the_image_is_drawn_up_to_its_edge() -> None:
    drawn = draw_pose(picture(255), np.array([[40, 30, 1.0], [400, 30, 1.0]]), PAIR, person_size=160)
    assert tuple(drawn[30, 79]) == SIDES["middle"]


def test_a_view_of_an_array_is_drawn_on_as_well() -> None:
    flipped = picture()[:, ::-1]
    assert (draw_pose(flipped, np.array([[40, 30, 1.0]]), ONE) != flipped).any()


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_an_overlay_lies_on_its_keypoint_at_every_scale(stride: int) -> None:
    # The middle of a heatmap pixel, so that the peak is symmetric at each stride.
    spot = np.array([4 * 32 + 15.5, 3 * 32 + 15.5])
    maps = render(np.array([[[*spot, 2.0]]]), (256 // stride, 256 // stride), stride)[0]
    overlay = heatmap_overlay(np.zeros((256, 256, 3), np.uint8), maps)
    bright = overlay.astype(float).sum(-1)
    bright[bright < 0.6 * bright.max()] = 0
    assert np.abs(centroid(bright) - spot).max() < 0.3


def test_an_overlay_follows_an_oblong_image() -> None:
    maps = np.zeros((3, 5, 2), np.float32)
    maps[1, 4, 1] = 1
    overlay = heatmap_overlay(picture(0, (30, 100)), maps).astype(int).sum(-1)
    assert overlay[15, 90] == overlay.max() and overlay[:, :60].max() == 0


def test_empty_and_broken_heatmaps_leave_a_grey_image() -> None:
    for value in (0.0, -1.0, np.nan):
        overlay = heatmap_overlay(picture(), np.full((4, 4, 3), value, np.float32))
        assert (overlay == overlay[0, 0, 0]).all()


def test_a_contact_sheet_keeps_every_pixel_of_its_tiles() -> None:
    tiles = [
        (picture(10, (20, 40)), "ä"),
        (picture(60, (50, 30)), "a caption far longer than its tile"),
        (picture(90), ""),
    ]
    sheet = contact_sheet(tiles, 2)
    for image, _ in tiles:
        assert (sheet == image[0, 0]).all(-1).sum() >= image.shape[0] * image.shape[1]
    assert sheet.shape == (50 + 60 + 2 * (18 + 4) + 4, 2 * (80 + 4) + 4, 3)


def test_a_png_comes_back_as_it_was_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    save_png(tmp_path / "a.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "missing" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(MsposeError, match="cannot be written"):
            save_png(path, image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "folder.png"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: draw_pose(np.zeros((4, 4, 3)), np.zeros((1, 3)), ONE),
        lambda: draw_pose(np.zeros((4, 4), np.uint8), np.zeros((1, 3)), ONE),
        lambda: draw_pose(picture(), np.zeros((16, 2)), MPII16),
        lambda: draw_pose(picture(), np.zeros((11, 3)), MPII16),
        lambda: heatmap_overlay(picture(), np.zeros((4, 4))),
        lambda: heatmap_overlay(picture(), np.zeros((4, 4, 0))),
        lambda: contact_sheet([], 3),
        lambda: contact_sheet([(picture(), "")], 0),
        lambda: grid([[(picture(), "")], []]),
        lambda: save_png(Path("never.png"), np.zeros((0, 3, 3), np.uint8)),
    ],
)
def test_wrong_shapes_and_types_are_refused(call) -> None:
    with pytest.raises(MsposeError):
        call()


def test_drawing_does_not_load_tensorflow() -> None:
    code = f"import sys, {visualization.__name__}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
