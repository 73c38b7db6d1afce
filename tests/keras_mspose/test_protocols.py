"""The rules of PCKh, by hand."""

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.protocols import PROTOCOLS, score
from keras_mspose.skeleton import FLIC11, MPII16

NECK, HEAD = MPII16.index("upper_neck"), MPII16.index("head_top")


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


def test_refusals() -> None:
    with pytest.raises(MsposeError, match="unknown; there are mpii, bearpaw, hrnet"):
        score(distances(), MPII16, "coco")
    with pytest.raises(MsposeError, match="flic11: has no head"):
        score(np.zeros((1, 11)), FLIC11, "mpii")
