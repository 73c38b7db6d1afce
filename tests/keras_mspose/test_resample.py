"""What stands in the photograph stands in the crop where the transform says, however far it is reduced, and nothing
else does: no texture that aliases, nothing of how little of the photograph was decoded."""

import functools
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_mspose import geometry, resample, sampling

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


def _cut(
    jpeg: bytes, center: tuple[float, float], side: float, turn: float = 0.0, flip: bool = False, **how: bool
) -> np.ndarray:
    matrix = geometry.crop_transform(np.array(center), np.float64(side), CROP, np.float64(turn), np.bool_(flip))
    return _crop(**how)(tf.constant(jpeg), tf.constant(matrix, tf.float32)).numpy()


@functools.cache
def _crop(**how: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Traced once, as pipelines do it."""
    signature = [tf.TensorSpec((), tf.string), tf.TensorSpec((2, 3))]
    return tf.function(lambda j, m: resample.crop_from_jpeg(j, m, CROP, **how), signature)


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
    assert np.abs(from_jpeg - expected).max() < 0.05
    assert np.abs(from_pixels - expected).max() < 0.05
    assert np.abs(from_pixels - from_jpeg).max() < 0.05


@pytest.mark.parametrize(
    ("shrink", "ratio"), [(0.5, 1), (1, 1), (1.41, 1), (1.42, 2), (2, 2), (2.8, 2), (2.9, 4), (4, 4), (8, 8), (20, 8)]
)
def test_it_decodes_as_small_as_the_crop_allows(shrink: float, ratio: int) -> None:
    for turn in (0.0, 1.1):
        matrix = geometry.crop_transform(np.zeros(2), np.float64(64 * shrink), CROP, np.float64(turn), np.bool_(True))
        assert resample.RATIOS[int(resample._reduction(tf.constant(matrix, tf.float32))[0])] == ratio


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
    assert np.abs(_centroid(crop) - expected).max() < 0.05


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
    Image.fromarray(noise).resize((89, 77), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
    center, side = geometry.image_box(np.float64(89), np.float64(77))
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


KINDS = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True, "subsampling": "4:2:0"},
    "restart markers": {"restart_marker_blocks": 3},
    "grey": {},
    "turned by EXIF": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"},
}


@functools.cache
def _photograph(kind: str, size: tuple[int, int]) -> tuple[bytes, dict[int, np.ndarray]]:
    """A coloured, textured photograph of a kind of JPEG, and all of it decoded at every ratio."""
    generator = np.random.default_rng(size[0])
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(coarse) + generator.normal(0, 20, (*size[::-1], 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(noisy).convert("L" if kind == "grey" else "RGB")
    image.save(buffer, "JPEG", quality=90, **KINDS[kind])
    decoded = {
        ratio: tf.io.decode_jpeg(buffer.getvalue(), channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE").numpy()
        for ratio in resample.RATIOS
    }
    return buffer.getvalue(), decoded


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    size=st.sampled_from([(331, 257), (160, 96), (1000, 97), (17, 250), (5, 3), (1, 1)]),
    middle=st.tuples(st.floats(-0.6, 1.6), st.floats(-0.6, 1.6)),
    shrink=st.floats(0.2, 24),
    turn=st.floats(-3.2, 3.2),
    flip=st.booleans(),
)
def test_a_crop_is_that_of_the_whole_photograph(
    kind: str,
    size: tuple[int, int],
    middle: tuple[float, float],
    shrink: float,
    turn: float,
    flip: bool,
) -> None:
    """Though no more of it is decoded than the crop shows."""
    jpeg, decoded = _photograph(kind, size)
    center = np.array([middle[0] * size[0], middle[1] * size[1]])
    matrix = geometry.crop_transform(center, np.float64(64 * shrink), CROP, np.float64(turn), np.bool_(flip))
    matrix = tf.constant(matrix, tf.float32)
    ratio = max(r for r in resample.RATIOS if r <= max(shrink / resample.FINEST, 1))
    mean = max(int(shrink / resample.FINEST / ratio), 1)
    whole = decoded[ratio]
    height, width = (-(-edge // mean) * mean for edge in whole.shape[:2])
    whole = np.pad(whole, ((0, height - whole.shape[0]), (0, width - whole.shape[1]), (0, 0)), "edge")
    whole = np.floor(whole.reshape(height // mean, mean, width // mean, mean, 3).mean(axis=(1, 3)) + 0.5)
    reduced = geometry.invert(matrix.numpy()) / (ratio * mean)
    reduced[:, 2] += (1 / (ratio * mean) - 1) / 2
    expected = sampling.sample(tf.constant(whole, tf.uint8), tf.constant(reduced, tf.float32), CROP, compiled=False)
    crop = resample.crop_from_jpeg(tf.constant(jpeg), matrix, CROP)
    # One grey level: where the window begins is subtracted from positions, which rounds them otherwise.
    assert np.abs(crop.numpy().astype(int) - expected.numpy()).max() <= 1


@pytest.mark.parametrize("shrink", [0.4, 1.0, 1.3, 1.9, 3.0, 30.0])
def test_compiled_or_not_a_crop_is_the_same(shrink: float) -> None:
    jpeg, _ = _photograph("4:2:0", (331, 257))
    for center in ((150.2, 120.7), (3.0, 255.0)):
        compiled = _cut(jpeg, center, 64 * shrink)
        upright = _cut(jpeg, center, 64 * shrink, upright=True)
        np.testing.assert_array_equal(compiled, upright)
    for turn in (0.0, 0.5):
        compiled, plain = (_cut(jpeg, (150.2, 120.7), 64 * shrink, turn, compiled=one) for one in (True, False))
        np.testing.assert_array_equal(compiled, plain)
        assert compiled.std() > 10


def _stripes(shrink: float, wave: float) -> np.ndarray:
    """A photograph, as wide as 100 crop pixels, of grey waves that are `wave` photograph pixels long."""
    across = np.arange(int(100 * shrink))
    level = np.round(127.5 + 127.5 * np.cos(2 * np.pi * across / wave)).astype(np.uint8)
    return np.broadcast_to(level[None, :, None], (len(level), len(level), 3))


@pytest.mark.parametrize("turn", [0.0, 0.5])
@pytest.mark.parametrize(
    ("shrink", "left"), [(1.2, 0.52), (1.41, 0.27), (1.9, 0.02), (2.7, 0.02), (5.5, 0.02), (20, 0.02)]
)
def test_stripes_of_one_pixel_come_out_grey(shrink: float, left: float, turn: float) -> None:
    """`left` is the share of the contrast that is left: of bilinear sampling alone it would be all, as moire."""
    image = _stripes(shrink, 2.0)
    center = (len(image) / 2, len(image) / 2)
    matrix = geometry.crop_transform(np.array(center), np.float64(64 * shrink), CROP, np.float64(turn), np.bool_(False))
    for crop in (_cut(_jpeg(image), center, 64 * shrink, turn), resample.crop_from_pixels(image, matrix, CROP).numpy()):
        assert np.abs(crop.astype(float) - 127.5).max() <= 127.5 * left + 1
    chequered = np.where(np.indices(image.shape[:2]).sum(axis=0) % 2, 0, 255).astype(np.uint8)[..., None]
    crop = _cut(_jpeg(np.repeat(chequered, 3, axis=2)), center, 64 * shrink, turn)
    assert np.abs(crop.astype(float) - 127.5).max() <= 127.5 * left**2 + 2


@pytest.mark.parametrize("shrink", [0.7, 1.1, 1.41, 1.5, 2.0, 2.7, 5.5, 20])
def test_what_the_crop_can_show_stays_sharp(shrink: float) -> None:
    """Waves of 8 crop pixels keep most of their contrast, those of 4 more than half."""
    for wave, least in ((8, 0.85), (4, 0.54)):
        image = _stripes(shrink, wave * shrink)
        crop = _cut(_jpeg(image), (len(image) / 2, len(image) / 2), 64 * shrink)
        assert crop.std() / (127.5 / 2**0.5) > least


@pytest.mark.parametrize("center", [(-90.0, 40.0), (60.0, 400.0), (1e4, 50.0), (-1e9, 1e9)], ids=str)
@pytest.mark.parametrize("shrink", [0.5, 1.2, 3.0, 30.0])
def test_a_crop_beside_the_photograph_is_black(center: tuple[float, float], shrink: float) -> None:
    side = min(64 * shrink, 100.0) if shrink < 30 else 64 * shrink
    center = center if shrink < 30 else tuple(30 * c for c in center)
    image = np.full((97, 121, 3), 255, np.uint8)
    assert not _cut(_jpeg(image), center, side).any()
    matrix = geometry.crop_transform(np.array(center), np.float64(side), CROP)
    assert not resample.crop_from_pixels(image, matrix, CROP).numpy().any()


def test_a_photograph_that_is_cut_short_is_refused() -> None:
    jpeg, _ = _photograph("4:2:0", (331, 257))
    with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG"):
        _cut(jpeg[: len(jpeg) // 2], (165, 128), 331)
    with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG"):
        _cut(b"no photograph", (165, 128), 331)


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("shrink", [0.37, 1.0, 1.31])
def test_one_colour_stays_that_colour(level: int, shrink: float) -> None:
    """Weights add up to one, and no colour spills into the next."""
    image = np.empty((150, 150, 3), np.uint8)
    image[:] = (level, 255 - level, level)
    matrix = geometry.crop_transform(np.array([75.3, 74.8]), np.float64(64 * shrink), CROP, np.float64(0.4), np.True_)
    crop = resample.crop_from_pixels(image, tf.constant(matrix, tf.float32), CROP).numpy()
    np.testing.assert_array_equal(crop, np.broadcast_to(image[0, 0], crop.shape))


def test_a_batch_is_its_crops() -> None:
    """Photographs and crops of every size and reduction side by side, each as if it were alone."""
    kinds = [("4:2:0", (331, 257), 0.5), ("grey", (160, 96), 1.2), ("4:4:4", (1000, 97), 30.0), ("4:2:2", (5, 3), 0.2)]
    jpegs = [_photograph(kind, size)[0] for kind, size, _ in kinds]
    boxes = [(np.array(size) / 2, np.float64(64 * shrink)) for _, size, shrink in kinds]
    matrices = [geometry.crop_transform(*box, CROP, np.float64(0.3), np.bool_(False)) for box in boxes]
    matrices = tf.constant(np.array(matrices), tf.float32)
    sizes = tf.constant([size[::-1] for _, size, _ in kinds])
    together = resample.crops_from_jpegs(tf.constant(jpegs), matrices, CROP, sizes=sizes).numpy()
    read = resample.crops_from_jpegs(tf.constant(jpegs), matrices, CROP, compiled=False).numpy()
    np.testing.assert_array_equal(together, read)
    for crop, jpeg, matrix in zip(together, jpegs, matrices, strict=True):
        np.testing.assert_array_equal(crop, resample.crop_from_jpeg(tf.constant(jpeg), matrix, CROP))
        assert crop.std() > 10


def test_what_is_compiled_once_serves_photographs_of_every_width(tmp_path: Path) -> None:
    """Else training compiles for hundreds of widths, and is slow until it has met them all."""
    script = """
import io
import os
import subprocess
import sys
import numpy as np
import tensorflow as tf
from PIL import Image
from keras_mspose import geometry, resample

crop = tf.function(lambda jpeg, matrix: resample.crop_from_jpeg(jpeg, matrix, (64, 64)))
for width in range(83, 89):
    file = io.BytesIO()
    Image.new("RGB", (width, 80)).save(file, "JPEG")
    matrix = geometry.crop_transform(np.float32([width / 2, 40]), np.float32(80), (64, 64))
    crop(tf.constant(file.getvalue()), tf.constant(matrix, tf.float32))
"""
    flags = {"XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"}
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | flags)
    compiled = sorted(path.name.split(".")[1] for path in tmp_path.glob("*.before_optimizations.txt"))
    assert compiled and len(set(compiled)) == len(compiled), compiled
