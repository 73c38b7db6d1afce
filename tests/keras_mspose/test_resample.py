"""What stands in the photograph stands in the crop where the transform says, however far it is reduced."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_mspose import geometry, resample

CROP = (64, 64)


def _blob(width: int, height: int, x: float, y: float, sigma: float) -> np.ndarray:
    down, across = np.mgrid[:height, :width]
    bright = 250 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(bright)[..., None], 3, axis=2).astype(np.uint8)


def _jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=100, subsampling=0)
    return buffer.getvalue()


def _centroid(crop: np.ndarray) -> np.ndarray:
    """x, y of the light's middle; what JPEG adds to black is left out."""
    bright = np.clip(np.asarray(crop, float).mean(axis=2) - 4, 0, None)
    down, across = np.mgrid[: crop.shape[0], : crop.shape[1]]
    return np.array([(across * bright).sum(), (down * bright).sum()]) / bright.sum()


@pytest.mark.parametrize("position", [(0.0, 0.0), (0.3, -0.4), (-5.25, 8.5)], ids=str)
@pytest.mark.parametrize("shrink", [0.5, 1.0, 1.3, 2.0, 2.7, 4.0, 5.5, 8.0, 9.7])
def test_a_blob_lands_where_the_transform_says(shrink: float, position: tuple[float, float]) -> None:
    """`shrink` is photograph pixels a crop pixel, `position` the blob's, in crop pixels from the middle."""
    side = 64 * shrink
    width, height = int(side) + 37, int(side) + 22  # no multiple of 8, as photographs are
    center = np.array([width / 2 + 1.3, height / 2 - 0.6])
    blob = center + np.array(position) * shrink
    image = _blob(width, height, *blob, sigma=4 * shrink)
    matrix = tf.constant(geometry.crop_transform(center, np.float64(side), CROP), tf.float32)
    expected = geometry.apply(matrix, tf.constant(blob[None], tf.float32))[0]
    np.testing.assert_allclose(expected, 31.5 + np.array(position), atol=1e-3)
    crop = resample.crop_from_jpeg(tf.constant(_jpeg(image)), matrix, CROP).numpy()
    assert crop.shape == (64, 64, 3) and crop.dtype == np.uint8
    from_jpeg, from_pixels = _centroid(crop), _centroid(resample.crop_from_pixels(image, matrix, CROP).numpy())
    assert np.abs(from_jpeg - expected).max() < 0.1
    assert np.abs(from_pixels - expected).max() < 0.1
    assert np.abs(from_pixels - from_jpeg).max() < 0.1


@pytest.mark.parametrize(
    ("shrink", "ratio"), [(0.5, 1), (1, 1), (1.41, 1), (1.42, 2), (2, 2), (2.8, 2), (2.9, 4), (4, 4), (8, 8), (20, 8)]
)
def test_it_decodes_as_small_as_the_crop_allows(shrink: float, ratio: int) -> None:
    for turn in (0.0, 1.1):
        matrix = geometry.crop_transform(np.zeros(2), np.float64(64 * shrink), CROP, np.float64(turn), np.bool_(True))
        assert resample.RATIOS[int(resample.decode_ratio(tf.constant(matrix, tf.float32)))] == ratio


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shrink", [1.2, 2.6, 4.4])
def test_a_turned_and_mirrored_blob_lands_where_the_transform_says(shrink: float, flip: bool) -> None:
    width = height = int(64 * shrink)
    blob = np.array([width * 0.6, height * 0.45])
    matrix = geometry.crop_transform(
        np.array([width / 2, height / 2]), np.float64(64 * shrink), (64, 96), np.float64(0.7), np.bool_(flip)
    )
    matrix = tf.constant(matrix, tf.float32)
    jpeg = tf.constant(_jpeg(_blob(width, height, *blob, sigma=3 * shrink)))
    crop = resample.crop_from_jpeg(jpeg, matrix, (64, 96)).numpy()
    expected = geometry.apply(matrix, tf.constant(blob[None], tf.float32))[0]
    assert crop.shape == (64, 96, 3)
    assert np.abs(_centroid(crop) - expected).max() < 0.1


def test_at_its_own_size_a_photograph_is_its_own_crop() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    matrix = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    np.testing.assert_array_equal(resample.crop_from_pixels(image, matrix, CROP), image)
    mirrored = geometry.crop_transform(*geometry.image_box(np.float64(64), np.float64(64)), CROP, flip=np.bool_(True))
    np.testing.assert_array_equal(resample.crop_from_pixels(image, mirrored, CROP), image[:, ::-1])


@pytest.mark.parametrize("quality", [75, 95, 100])
def test_evaluation_and_prediction_see_the_same_pixels(quality: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((101, 77), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
    center, side = geometry.image_box(np.float64(101), np.float64(77))
    matrix = tf.constant(geometry.crop_transform(center, side, CROP, np.float64(0.3), np.bool_(False)), tf.float32)
    from_jpeg = resample.crop_from_jpeg(tf.constant(buffer.getvalue()), matrix, CROP)
    from_pixels = resample.crop_from_pixels(np.asarray(Image.open(buffer)), matrix, CROP)
    np.testing.assert_array_equal(from_jpeg, from_pixels)


@pytest.mark.parametrize("shrink", [1, 2, 4])
def test_beyond_the_photograph_it_is_black(shrink: int) -> None:
    image = np.full((32 * shrink, 32 * shrink, 3), 200, np.uint8)
    center, side = geometry.image_box(np.float64(32 * shrink), np.float64(32 * shrink))
    matrix = tf.constant(geometry.crop_transform(center, side * 2, CROP), tf.float32)
    for crop in (
        resample.crop_from_pixels(image, matrix, CROP).numpy(),
        resample.crop_from_jpeg(tf.constant(_jpeg(image)), matrix, CROP).numpy(),
    ):
        # The photograph fills crop pixels 16 to 47 and nothing else.
        inside = np.zeros(CROP, bool)
        inside[16:48, 16:48] = True
        assert not crop[~inside].any()
        assert (crop[inside] >= 198).all()


def test_a_grey_photograph_becomes_three_channels() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(buffer, "JPEG", quality=100)
    matrix = tf.constant([[1.0, 0, 0], [0, 1, 0]])
    crop = resample.crop_from_jpeg(tf.constant(buffer.getvalue()), matrix, CROP).numpy()
    assert crop.shape == (64, 64, 3) and (np.abs(crop.astype(int) - 90) <= 1).all()
