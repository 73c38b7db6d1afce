"""Crops without TensorFlow are TensorFlow's, and what is no photograph is told apart."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_mspose import crops, geometry, resample
from keras_mspose.crops import Photograph


def photograph(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Shades, edges and grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(coarse) + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "box",
    [
        (150, 110, 40),
        (150.3, 109.6, 128),
        (149.5, 110, 301),
        (20, 200, 700),
        (290, 5, 90),
        (-10, 20, 2500),
        (150, 110, 5000),
    ],
)
@pytest.mark.parametrize("size", [(128, 128), (64, 96)])
def test_it_is_the_crop_that_tensorflow_cuts(form: str, box: tuple[float, ...], size: tuple[int, int]) -> None:
    pixels = photograph(301, 221)
    data, square = encoded(pixels, form), np.float32(box)
    matrix = tf.constant(geometry.crop_transform(square[:2], square[2], size), tf.float32)
    if form == "JPEG":
        expected = resample.crop_from_jpeg(tf.constant(data), matrix, size, compiled=False).numpy()
    else:
        expected = resample.pixels_sampled(tf.constant(pixels), matrix, size, compiled=False).numpy()
    found = Photograph(data).crop(square, size)
    assert found.shape == (*size, 3) and found.dtype == np.uint8 and expected.any()
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01, (difference > 0).mean()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photograph_is_looked_at_upright(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[crops.ORIENTATION] = orientation
    turned = encoded(photograph(90, 61), form, exif=exif)
    with Image.open(io.BytesIO(turned)) as image:
        upright = encoded(np.asarray(ImageOps.exif_transpose(image)), "PNG")
    found, expected = Photograph(turned), Photograph(upright)
    box = np.float32([25, 30, 50])
    assert found.size == expected.size == ((61, 90) if orientation > 4 else (90, 61))
    np.testing.assert_array_equal(found.crop(box, (32, 32)), expected.crop(box, (32, 32)))


def test_a_large_jpeg_is_decoded_small() -> None:
    large = Photograph(encoded(photograph(1203, 905), "JPEG"))
    large.crop(np.float32([601, 452, 1203]), (128, 128))
    assert {ratio: image.shape for ratio, image in large._decoded.items()} == {8: (114, 151, 3)}


def test_what_is_no_photograph_is_told_apart() -> None:
    whole = encoded(photograph(120, 80), "JPEG")
    for data in (b"", b"hello", whole[2:], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        with pytest.raises(crops.NotAnImage, match="not an image" if data else "an empty file"):
            Photograph(data)
    cut = Photograph(whole[: len(whole) // 2])
    with pytest.raises(crops.Damaged, match=r"not a whole image .*truncated"):
        cut.crop(np.float32([60, 40, 100]), (32, 32))
    header = bytearray(whole)
    frame = header.index(b"\xff\xc0")
    header[frame + 5 : frame + 9] = struct.pack(">HH", 10_000, 10_000)
    with pytest.raises(crops.TooManyPixels, match="declares 10000 x 10000 pixels, more than 80 megapixels"):
        Photograph(bytes(header))


def test_it_needs_no_tensorflow() -> None:
    code = "import sys, keras_mspose.crops; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
