"""The filter against cases computed by hand, and what it is for."""

import math

import numpy as np
import pytest

from keras_mspose.one_euro import OneEuro

STEP = 1 / (2 * math.pi)  # s: a cutoff of 1 Hz then has alpha = 1 / (1 + 1) = 1/2


def test_without_beta_it_is_a_low_pass() -> None:
    smooth = OneEuro(minimum=1, beta=0)
    found = [smooth(np.array([value]), i * STEP).item() for i, value in enumerate((0.0, 1.0, 1.0, 1.0))]
    assert found == pytest.approx([0, 1 / 2, 3 / 4, 7 / 8])
    slower = OneEuro(minimum=0.5, beta=0)  # alpha = 1 / (1 + 2)
    assert [slower(np.array([v]), i * STEP).item() for i, v in enumerate((0.0, 1.0))] == pytest.approx([0, 1 / 3])


def test_speed_raises_the_cutoff() -> None:
    smooth = OneEuro(minimum=1, beta=1, derivative=1)
    assert smooth(np.array([0.0, 5.0]), 0).tolist() == [0, 5]
    # speed 1 / STEP = 2 pi, smoothed from 0 to pi; cutoff 1 + pi, alpha (1 + pi) / (2 + pi)
    first = (1 + math.pi) / (2 + math.pi)
    assert smooth(np.array([1.0, 5.0]), STEP).tolist() == pytest.approx([first, 5])
    speed = (math.pi + (1 - first) * 2 * math.pi) / 2
    second = (1 + speed) / (2 + speed)
    assert smooth(np.array([1.0, 5.0]), 2 * STEP).tolist() == pytest.approx([second + (1 - second) * first, 5])


def test_irregular_frames_and_a_clock_that_stands() -> None:
    smooth = OneEuro(minimum=1, beta=0)
    smooth(np.array([0.0]), 0)
    assert smooth(np.array([1.0]), 3 * STEP).item() == pytest.approx(3 / 4)  # alpha = 1 / (1 + 1/3)
    assert smooth(np.array([9.0]), 3 * STEP).item() == 9


def test_less_jitter_and_less_lag() -> None:
    seconds = np.arange(200) / 25
    noise = np.random.default_rng(0).normal(0, 0.01, 200)
    still = OneEuro(1, 1)
    found = np.array([still(np.array([n]), t).item() for n, t in zip(noise, seconds, strict=True)])
    assert found[50:].std() < 0.6 * noise[50:].std()
    lags = {}
    for beta in (0, 1):
        smooth = OneEuro(1, beta)
        lags[beta] = 2 * seconds[-1] - [smooth(np.array([2 * t]), t) for t in seconds][-1].item()
    assert lags[1] < 0.5 * lags[0]
