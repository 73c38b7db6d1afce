"""A file of records as TensorFlow writes it."""

import hashlib
import random
from pathlib import Path

from tensorflow.io import TFRecordWriter

from tfrecords_tools.record_file import RecordFile


def test_as_tensorflow(tmp_path: Path) -> None:
    rng = random.Random(0)
    written = [rng.randbytes(size) for size in (0, 1, 7, 4096, 300_000, 3)]
    with RecordFile(tmp_path / "ours") as ours, TFRecordWriter(str(tmp_path / "theirs")) as theirs:
        for record in written:
            ours.write(record)
            theirs.write(record)
    found = (tmp_path / "ours").read_bytes()
    assert found == (tmp_path / "theirs").read_bytes()
    assert ours.sha256() == hashlib.sha256(found).hexdigest()
