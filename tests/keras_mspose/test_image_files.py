"""Which image files are opened at all."""

import io
from pathlib import Path

import pytest
from PIL import Image

from keras_mspose import image_files


def test_the_largest_photograph_that_is_read(tmp_path: Path) -> None:
    assert image_files.too_large(10_000, 8_000) is None
    assert image_files.too_large(10_000, 8_001) == "declares 10000 x 8001 pixels, more than 80 megapixels"
    Image.new("L", (10_000, 8_001)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="declares 10000 x 8001 pixels"):
        image_files.open_image(tmp_path / "a.png")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP"])
def test_formats(form: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, form)
    with image_files.open_image(io.BytesIO(buffer.getvalue())) as image:
        assert image.size == (8, 6)


def test_postscript_is_not_run() -> None:
    with pytest.raises(Image.UnidentifiedImageError):
        image_files.open_image(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\n"))
