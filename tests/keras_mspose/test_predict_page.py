"""The commands of docs/predict.md run as they stand, and so does its Python."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from keras_mspose import cli

PAGE = (Path(__file__).parents[2] / "docs/predict.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    mspose ")]
NOT_EVERYWHERE = {"0": "a webcam", "hog": "an OpenCV that has it"}


def test_the_page(spot_run: Path, spot: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.run import export_run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])  # as for an installed command
    export_run(spot_run, tmp_path / "exports/lsp", ["onnx"], precisions=["float32"], name="spot")
    (tmp_path / "photos").mkdir()
    for path in ("photo.jpg", "photos/a.jpg", "photos/b.png"):
        Image.fromarray(spot(100, 90, (320, 200))).save(path)
    (boxes,) = re.findall(r"^    (\{.*\})$", PAGE, re.MULTILINE)
    (tmp_path / "boxes.json").write_text(boxes)
    assert list(json.loads(boxes)) == ["a.jpg"]
    detector, python = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "persons.py").write_text(detector)
    writer = cv2.VideoWriter("walk.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 200))
    for i in range(12):
        writer.write(spot(60 + i, 90, (320, 200)))
    writer.release()
    ran = 0
    for line in COMMANDS:
        arguments = shlex.split(line)[1:]
        if not set(arguments) & set(NOT_EVERYWHERE):
            assert cli.main(arguments) == 0, line
            ran += 1
    assert ran == len(COMMANDS) - len(NOT_EVERYWHERE)
    assert len(json.loads((tmp_path / "persons/keypoints.json").read_text())["poses"]) == 2
    names: dict = {}
    exec(python, names)
    assert len(names["two"]) == 2 and len(names["many"]) == 2 and len(names["table"]) == 28
    assert np.isfinite(names["pose"].keypoints).all()
