"""The verdict on a file: what is measured, and what is no reason to refuse it."""

import numpy as np
import pytest

from export import parity
from export.graph import HEATMAPS, KEYPOINTS, Answer
from keras_mspose import heatmaps as codec


def answer(*places: tuple[float, float]) -> Answer:
    """Heatmaps (1, 8, 12, K) with one Gaussian a keypoint at x, y in crop pixels, and their decoding."""
    keypoints = np.array([[[x, y, 1.0] for x, y in places]], np.float32)
    maps = codec.render(keypoints, (8, 12), 4)
    return {HEATMAPS: maps, KEYPOINTS: codec.decode(maps, 4)}


def test_equal_answers_are_good() -> None:
    assert parity.compare(answer((20, 12)), answer((20, 12)), 1.0) == parity.Parity(True, 0.0, 0.0, 0)


@pytest.mark.parametrize(("column", "by"), [(0, 0.02), (1, -0.02), (2, 2e-4)])
def test_a_moved_keypoint_or_score_is_not_good(column: int, by: float) -> None:
    found, expected = answer((20, 12), (30, 20)), answer((20, 12), (30, 20))
    found[KEYPOINTS][0, 1, column] += by
    assert not parity.compare(found, expected, 1.0).good


def test_another_heatmap_is_not_good() -> None:
    found, expected = answer((20, 12)), answer((20, 12))
    found[HEATMAPS][0, 0, 0, 0] += 2e-4
    verdict = parity.compare(found, expected, 1.0)
    assert not verdict.good and verdict.heatmap_difference == pytest.approx(2e-4)


def test_no_number_or_another_shape_is_not_good() -> None:
    expected = answer((20, 12))
    for name in (HEATMAPS, KEYPOINTS):
        found = answer((20, 12))
        found[name][0, 0] = np.nan
        assert not parity.compare(found, expected, 1.0).good
    assert not parity.compare(answer((20, 12), (30, 20)), expected, 1.0).good


def test_a_peak_that_rounding_moves_is_counted_and_still_measured() -> None:
    two = answer((13.5, 13.5))[HEATMAPS] + answer((33.5, 13.5))[HEATMAPS]
    found, expected = two.copy(), two.copy()
    found[0, 3, 3, 0] += 1e-6
    expected[0, 3, 8, 0] += 1e-6
    both = [{HEATMAPS: maps, KEYPOINTS: codec.decode(maps, 4)} for maps in (found, expected)]
    verdict = parity.compare(*both, 1.0)
    assert verdict.good and verdict.flipped_peaks == 1
    both[0][KEYPOINTS][..., 0] += 0.02
    assert not parity.compare(*both, 1.0).good


def test_a_maximum_that_rounding_doubles_after_decoding_is_no_fault() -> None:
    maps = answer((19.5, 13.5))[HEATMAPS] * 0.5
    maps[0, 3, 5, 0] = (
        maps[0, 3, 4, 0] + 1e-5
    )  # two neighbours that half precision cannot tell apart: the first is taken
    maps[0, 2, 4, 0] += 0.1  # and seen from there the peak lies higher
    expected = {HEATMAPS: maps, KEYPOINTS: codec.decode(maps, 4)}
    rounded = maps.astype(np.float16).astype(np.float32)
    assert np.abs(codec.decode(rounded, 4) - expected[KEYPOINTS]).max() > 0.1
    found = {HEATMAPS: rounded, KEYPOINTS: expected[KEYPOINTS].copy()}
    assert parity.compare(found, expected, 1.0, "float16").good
    found[KEYPOINTS][..., 1] += 0.6
    assert not parity.compare(found, expected, 1.0, "float16").good
