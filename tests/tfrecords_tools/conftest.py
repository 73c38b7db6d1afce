"""Photographs of a few hundred bytes, and a look into the records that were written."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_mspose.records import RecordSet, parse


@pytest.fixture
def jpeg():
    """Encoded noise, different for each seed."""

    def make(seed: int = 0, size: tuple[int, int] = (40, 30), mode: str = "RGB", format: str = "JPEG") -> bytes:
        shape = (size[1], size[0], len(mode))
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels.squeeze(-1) if len(mode) == 1 else pixels, mode).save(buffer, format)
        return buffer.getvalue()

    return make


@pytest.fixture
def records_of():
    """A split of a record folder as it comes back from the disk: one dict of NumPy values a person."""
    import tensorflow as tf

    def read(folder: Path, split: str) -> list[dict]:
        records = RecordSet.load(folder)
        data = tf.data.TFRecordDataset(records.files(split))
        return [{k: v.numpy() for k, v in parse(one, len(records.skeleton)).items()} for one in data]

    return read


@pytest.fixture
def mpii_source(tmp_path, jpeg):
    """A folder with three photographs, for annotations by `mpii_files`."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    for i, name in enumerate(("one.jpg", "two.jpg", "three.jpg")):
        (folder / "images" / name).write_bytes(jpeg(i))
    return folder
