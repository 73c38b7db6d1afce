"""Person crops: every keypoint stays on its spot of the picture, to a tenth of a pixel."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person
from keras_mspose.skeleton import LSP14
from tfrecords_tools import writer
from tfrecords_tools.cropping import Crop, cut

WIDTH, HEIGHT = 320, 240


def dot(x: float, y: float, sigma: float = 4.0) -> Image.Image:
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    spot = 250 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * sigma**2))
    return Image.fromarray(np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=2))


def middle_of(image: Image.Image) -> np.ndarray:
    """Centre of gravity of the bright spot."""
    light = np.asarray(image, float)[..., 0]
    light[light < 8] = 0
    down, across = np.mgrid[: light.shape[0], : light.shape[1]]
    return np.array([(across * light).sum(), (down * light).sum()]) / light.sum()


def person(x: float, y: float, box: tuple[float, float, float] | None) -> Person:
    keypoints = np.zeros((2, 3))
    keypoints[0] = x, y, 2
    return Person("a.jpg", keypoints, Path("a.jpg"), box, head_box=(x - 8, y - 8, x + 8, y + 8), head_size=12, area=400)


def test_by_hand() -> None:
    # Box 100 wide about (99.5, 99.5) spans the edges 50 to 150; half its size, margin 1.2: edges 40 to 160, 60 pixels.
    found, image = cut(person(99.5, 49.5, (99.5, 99.5, 100.0)), Image.new("RGB", (WIDTH, HEIGHT)), Crop(50, 1.2))
    assert image.size == (60, 60)
    assert found.crop == (40.0, 40.0, 0.5)
    np.testing.assert_allclose(found.keypoints[0], [29.5, 4.5, 2])
    np.testing.assert_allclose(found.box, [29.5, 29.5, 50])
    np.testing.assert_allclose(found.head_box, [25.5, 0.5, 33.5, 8.5])
    assert (found.head_size, found.area) == (6, 100)


@settings(deadline=None, max_examples=100)
@example(x=20.0, y=20.0, dx=0.0, dy=0.0, side=97.0)  # a scale just below 1
@given(
    x=st.floats(20, WIDTH - 21),
    y=st.floats(20, HEIGHT - 21),
    dx=st.floats(-15, 15),
    dy=st.floats(-15, 15),
    side=st.floats(60, 500),
)
def test_the_dot_is_where_the_keypoint_is(x: float, y: float, dx: float, dy: float, side: float) -> None:
    found, image = cut(person(x, y, (x + dx, y + dy, side)), dot(x, y), Crop(96))
    assert max(image.size) <= 96 * 1.5 + 1
    assert np.abs(middle_of(image) - found.keypoints[0, :2]).max() < 0.1
    left, top, scale = found.crop
    np.testing.assert_allclose((found.keypoints[0, :2] + 0.5) / scale + (left, top) - 0.5, [x, y], atol=1e-9)


def test_fine_texture_does_not_alias() -> None:
    board = Image.fromarray(np.repeat((np.indices((HEIGHT, WIDTH)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, 2))
    _, image = cut(person(160, 120, (160.0, 120.0, 150.0)), board, Crop(64))
    inside = np.asarray(image, float)[2:-2, 2:-2]
    assert np.abs(inside - 127.5).max() < 20


def test_nobody_is_enlarged_and_whole_pixels_are_copied() -> None:
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    found, image = cut(person(50.3, 60.2, (50.3, 60.2, 30.0)), photograph, Crop(96))
    left, top, scale = found.crop
    assert scale == 1 and left == int(left) and top == int(top)
    np.testing.assert_array_equal(
        np.asarray(image),
        np.asarray(photograph)[int(top) : int(top) + image.height, int(left) : int(left) + image.width],
    )


def test_without_a_box_the_joints_make_one_and_without_either_all_is_kept() -> None:
    keypoints = np.array([[100.0, 60, 2], [180, 60, 1]])
    found, image = cut(replace(person(0, 0, None), keypoints=keypoints), dot(100, 60), Crop(50, 1.0))
    assert found.box is None and found.crop[2] == pytest.approx(0.5) and image.width == 50
    nobody = replace(person(0, 0, None), keypoints=np.zeros((2, 3)))
    assert cut(nobody, dot(9, 9), Crop(50))[1].size == (WIDTH, HEIGHT)
    beside = cut(person(9, 9, (-500.0, 9.0, 40.0)), dot(9, 9), Crop(50))
    assert beside[1].size == (WIDTH, HEIGHT) and beside[0].crop == (0, 0, 1)


@pytest.mark.parametrize(
    ("settings", "message"), [((8,), "8 pixels"), ((64, 0.5), "margin 0.5"), ((64, np.nan), "nan")]
)
def test_settings_out_of_range(settings: tuple, message: str) -> None:
    with pytest.raises(MsposeError, match=message):
        Crop(*settings)


def test_records_of_crops(tmp_path: Path, records_of) -> None:
    buffer = io.BytesIO()
    dot(120.4, 90.7).save(buffer, "JPEG", quality=98)
    keypoints = np.zeros((14, 3))
    keypoints[3] = 120.4, 90.7, 2
    given = Person("a.jpg", keypoints, buffer.getvalue(), (120.0, 100.0, 130.0))
    fixed = {"name": "own", "skeleton": LSP14, "metric": "pck", "source": "here", "options": {"a": 1}}
    data = writer.write([("val", given)], tmp_path / "out", crop=Crop(64), **fixed)
    assert data.options == {"a": 1, "crop": {"pixels": 64, "margin": 1.5}}
    (record,) = records_of(tmp_path / "out", "val")
    image = Image.open(io.BytesIO(record["image"]))
    assert image.size == tuple(record["image_size"]) == (96, 96)
    assert np.abs(middle_of(image) - record["keypoints"][3, :2]).max() < 0.1
    assert record["origin"][2] == pytest.approx(64 / 130)
    assert not np.delete(record["keypoints"], 3, 0).any()
