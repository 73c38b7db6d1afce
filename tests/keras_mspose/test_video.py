"""A video that is not whole never stands under its name, and a search is what was asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_mspose.tracking import Tracker
from keras_mspose.video import VideoWriter

FRAME = np.zeros((32, 32, 3), np.uint8)


def test_a_video_whose_last_frame_fails_is_not_kept(tmp_path: Path) -> None:
    def broken(_: np.ndarray) -> np.ndarray:
        raise ValueError("drawn badly")

    with pytest.raises(ValueError, match="drawn badly"), VideoWriter(tmp_path / "a.mp4", 25, (32, 32)) as writer:
        writer.add(np.copy, FRAME)
        writer.add(broken, FRAME)
    assert not list(tmp_path.iterdir())
    with VideoWriter(tmp_path / "a.mp4", 25, (32, 32)) as writer:
        writer.add(np.copy, FRAME)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_the_search_of_a_frame_looks_as_often_as_asked() -> None:
    asked = []
    estimator = SimpleNamespace(predict=lambda image, box, **how: asked.append(how["looks"]) or [])
    for looks in (None, 5):
        Tracker(estimator, looks=looks).find(FRAME, 0.0)
    assert asked == [None, 5]
