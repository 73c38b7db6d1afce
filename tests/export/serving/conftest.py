"""What tests of the server share: a running one, photographs of rendered persons, and bad requests of every kind."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfrecords_tools.synthetic import make_person

NAME = "lsp14-small"


@dataclass
class Running:
    """A server in a process of its own.

    Attributes:
        address: http://127.0.0.1:PORT
        predict: address of its predict requests.
        process: its process.
    """

    address: str
    predict: str
    process: subprocess.Popen[str]

    def stop(self) -> str:
        """SIGTERM; the rest of what it prints. It must end well."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return said


@contextmanager
def running(export: Path, *options: str) -> Iterator[Running]:
    """`mspose serve` on a free port of this machine."""
    command = [sys.executable, "-m", "keras_mspose.cli", "serve", str(export), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = process.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:\d+)(/v1/models/\S+:predict)", said)
        assert found, said + process.stdout.read()
        process.stdout.readline()
        yield Running(found[1], found[1] + found[2], process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def serve() -> Callable:
    return running


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released network as ONNX."""
    from export.run import export_run

    out = tmp_path_factory.mktemp("exports") / "small"
    export_run(Path(NAME), out, ["onnx"])
    return out


@pytest.fixture(scope="session")
def photographs() -> list[bytes]:
    """Eight rendered persons: JPEG of several sizes, and a PNG."""
    files = [make_person(("val", i), size=size).image for i, size in enumerate((150, 192, 192, 240, 300, 500, 800))]
    buffer = io.BytesIO()
    Image.open(io.BytesIO(files[1])).save(buffer, "PNG")
    return [*files, buffer.getvalue()]


@pytest.fixture(scope="session")
def asks() -> Callable[..., bytes]:
    """Makes the body of a request for one photograph."""

    def make(data: bytes, **more: object) -> bytes:
        image = {"b64": base64.b64encode(data).decode()}
        return json.dumps({"instances": [{"image_bytes": image, **more}]}).encode()

    return make


@pytest.fixture(scope="session")
def bad_requests(photographs: list[bytes], asks: Callable[..., bytes]) -> dict[str, tuple[bytes, int, str]]:
    """By kind: body, the status that it must be answered with, and a part of the reason."""
    jpeg = photographs[0]
    huge = bytearray(jpeg)
    frame = huge.index(b"\xff\xc0")
    huge[frame + 5 : frame + 9] = struct.pack(">HH", 10_000, 10_000)
    return {
        "not an image": (asks(b"hello, world"), 415, "not an image"),
        "cut JPEG": (asks(jpeg[: len(jpeg) // 2]), 422, "not a whole image"),
        "100 megapixels": (asks(bytes(huge)), 413, "declares 10000 x 10000 pixels"),
        "empty image": (asks(b""), 400, "the image is empty"),
        "empty body": (b"", 400, "the body is empty"),
        "wrong JSON": (asks(jpeg)[:-1], 400, "the body is not JSON"),
        "no instances": (b'{"instances": {}}', 400, 'a list "instances"'),
        "box outside": (asks(jpeg, boxes=[-500, 20, 100]), 422, "outside the image"),
        "not base64": (b'{"instances": [{"b64": "a photograph"}]}', 400, "not base64"),
        "large body": (b" " * (9 << 20), 413, "larger than the server's 8 MB"),
    }


@pytest.fixture(scope="session")
def drawn() -> np.ndarray:
    """(2, 128, 128, 3) uint8 crops."""
    from export.parity import drawn_crops

    return drawn_crops((128, 128), 2)
