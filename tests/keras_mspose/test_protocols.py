"""The rules of PCKh, by hand."""

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.metrics import accuracy
from keras_mspose.protocols import PROTOCOLS, area_under_curve, score
from keras_mspose.skeleton import FLIC11, MPII16, Skeleton

NECK, HEAD = MPII16.index("upper_neck"), MPII16.index("head_top")
SMALL = Skeleton("small", ("neck", "head"), head=("neck", "head"))


def distances(persons: int = 2) -> np.ndarray:
    """Everything right, nothing at a threshold."""
    return np.full((persons, 16), 0.2)


def test_a_distance_of_exactly_the_threshold() -> None:
    found = distances()
    found[0, HEAD] = 0.5
    heads = {name: score(found, MPII16, name).accuracy.joints["head_top"] for name in PROTOCOLS}
    assert heads == {"mpii": 100, "bearpaw": 50, "hrnet": 100}


def test_what_head_is() -> None:
    found = distances()
    found[0, NECK] = 3
    assert [score(found, MPII16, name).accuracy.groups["Head"] for name in PROTOCOLS] == [75, 100, 100]


def test_which_mean() -> None:
    found = distances(4)
    found[1:, HEAD] = np.nan  # labelled once, and wrong there
    found[0, HEAD] = 3
    pooled, unweighted = 100 * 52 / 53, 100 * 13 / 14
    means = {name: score(found, MPII16, name).mean for name in PROTOCOLS}
    assert means == pytest.approx({"mpii": pooled, "bearpaw": unweighted, "hrnet": pooled})
    report = score(found, MPII16, "bearpaw").to_dict()
    assert report["weighted_mean"] == report["groups"]["Total"] == pytest.approx(pooled)
    assert report["unweighted_mean"] == pytest.approx(unweighted)


def test_pelvis_and_thorax_count_in_no_mean() -> None:
    found = distances()
    found[:, [MPII16.index("pelvis"), MPII16.index("thorax")]] = 9
    assert [score(found, MPII16, name).mean for name in PROTOCOLS] == [100, 100, 100]


def test_a_tenth_and_what_hrnet_calls_one() -> None:
    found = np.full((1, 16), 0.105)
    one = score(found, MPII16, "hrnet").to_dict()
    assert one["mean_at_0.1"] == 0 and one["called_0.1"] == {"threshold": 0.11, "mean": 100}
    assert score(found, MPII16, "mpii").called_tenth == 0


def test_area_under_the_curve_by_hand() -> None:
    assert area_under_curve(np.array([[0.0, 0.0]]), SMALL) == pytest.approx(100)
    assert area_under_curve(np.array([[0.0, 9.0]]), SMALL) == pytest.approx(50)
    # right from 0.25 on: 25 whole steps of 0.01, and half of the step that leads there
    assert area_under_curve(np.array([[0.25, 0.25]]), SMALL) == pytest.approx(100 * 25.5 / 50)
    assert area_under_curve(np.array([[0.25, 0.25]]), SMALL, strict=True) == pytest.approx(100 * 24.5 / 50)
    assert np.isnan(area_under_curve(np.full((2, 2), np.nan), SMALL))


def test_the_curve_passes_through_the_accuracy_at_each_threshold() -> None:
    rng = np.random.default_rng(0)
    found = rng.integers(0, 60, (50, 16)) / 100  # many exactly on a threshold
    for strict in (False, True):
        shares = [accuracy(found, MPII16, "pckh", t, strict=strict).weighted_mean for t in np.arange(51) / 100]
        area = 2 * np.trapezoid(shares, np.arange(51) / 100)
        assert area_under_curve(found, MPII16, strict) == pytest.approx(area, abs=1e-9)


def test_refusals() -> None:
    with pytest.raises(MsposeError, match="unknown; there are mpii, bearpaw, hrnet"):
        score(distances(), MPII16, "coco")
    with pytest.raises(MsposeError, match="flic11: has no head"):
        score(np.zeros((1, 11)), FLIC11, "mpii")
