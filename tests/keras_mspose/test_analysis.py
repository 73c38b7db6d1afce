"""What lies behind the number, by hand."""

import numpy as np
import pytest

from keras_mspose import analysis
from keras_mspose.skeleton import MPII16, Skeleton

FACE = Skeleton(
    "face",
    ("nose", "left_eye", "right_eye", "hat"),
    flip_pairs=(("left_eye", "right_eye"),),
    groups={"Eyes": ("left_eye", "right_eye"), "Nose": ("nose",)},
    unscored=("hat",),
)


def test_a_mistaken_side_is_told_from_a_mistake() -> None:
    one = [[50, 50, 2], [60, 40, 2], [40, 40, 2], [0, 0, 0]]
    truth = np.array([one, one, one, [*one[:2], [40, 40, 0], one[3]], one], float)
    predicted = truth[..., :2].copy()
    predicted[1, [1, 2]] = predicted[1, [2, 1]]  # both eyes exchanged
    predicted[2, 1] = 99, 99  # lost
    predicted[3, 1] = 40, 40  # where the other eye would be, but nobody labelled it
    reference = np.array([10.0, 10, 10, 10, 0])  # the last is not counted
    found = analysis.left_right(predicted, truth, reference, FACE, 0.5)
    assert found == {
        "left_eye": {"right": 1, "other_side": 1, "elsewhere": 2},
        "right_eye": {"right": 2, "other_side": 1, "elsewhere": 0},
    }


def test_curves_end_at_the_accuracy() -> None:
    distances = np.array([[0.0, 0.1, 0.3, 9.0], [0.45, np.nan, 0.6, 0.0]])
    found = analysis.curves(distances, FACE, 0.5)
    assert list(found["lines"]) == ["Eyes", "Nose", "Total"] and len(found["thresholds"]) == 51
    assert [found["lines"][n][-1] for n in found["lines"]] == pytest.approx([200 / 3, 100, 80])
    assert found["lines"]["Nose"][0] == 50 and found["lines"]["Nose"][44] == 50 and found["lines"]["Nose"][45] == 100


def test_size_bins_hold_as_many_persons_and_leave_out_who_does_not_count() -> None:
    sizes = np.array([50.0, 10, 20, 40, 30])
    distances = np.full((5, 4), 0.1)
    distances[1, 0] = 0.9
    distances[4] = np.nan, np.nan, np.nan, 0.1  # counts by its hat alone, which is not scored
    small, large = analysis.by_size(distances, sizes, FACE, 0.5, bins=2)
    assert (small["from"], small["to"], small["persons"], small["keypoints"]) == (10, 20, 2, 6)
    assert small["right"] == pytest.approx(100 * 5 / 6) and large["right"] == 100
    assert (large["from"], large["to"], large["median"]) == (40, 50, pytest.approx(0.1))
    assert len(analysis.by_size(distances[:1], sizes[:1], FACE, 0.5, bins=5)) == 1


def test_activities_by_category() -> None:
    distances = np.full((5, 4), 0.1)
    distances[0] = 0.9
    names = ["sports/tennis", "sports/golf", "", "home/cooking", "sports/golf"]
    found = analysis.by_activity(distances, names, FACE, 0.5)
    assert [(one["activity"], one["persons"]) for one in found] == [("sports", 3), ("home", 1)]
    assert found[0]["right"] == pytest.approx(200 / 3)
    assert analysis.by_activity(distances, [""] * 5, FACE, 0.5) == []
    many = analysis.by_activity(np.full((20, 4), 0.1), [f"a{i}" for i in range(20)], FACE, 0.5)
    assert len(many) == 16 and many[-1]["activity"] == "others" and many[-1]["persons"] == 5


def test_scores_that_say_what_they_mean_and_scores_that_do_not() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, (4000, 16))
    honest = np.where(rng.random(scores.shape) < scores, 0.1, 0.9)
    found = analysis.reliability(honest, scores, MPII16, 0.5)
    assert found["expected_error"] < 2 and len(found["bins"]) == 10
    assert sum(one["count"] for one in found["bins"]) == 4000 * 14
    vain = analysis.reliability(honest, np.full_like(scores, 0.9), MPII16, 0.5)
    assert vain["expected_error"] == pytest.approx(40, abs=1.5)
    assert analysis.reliability(np.full((2, 16), np.nan), scores[:2], MPII16, 0.5) == {
        "bins": [],
        "expected_error": None,
    }


def test_person_sizes_are_of_the_photograph() -> None:
    truth = np.array([[[10, 10, 2], [30, 70, 1], [500, 0, 0]], [[0, 0, 0]] * 3], float)
    np.testing.assert_allclose(analysis.person_sizes(truth, np.array([0.5, 1.0])), [120, 0])


def test_leans_are_of_the_line_from_lower_to_upper_body() -> None:
    skeleton = Skeleton("stick", ("head", "neck", "hip", "foot"), upper_body=("head", "neck"))
    upright = [[50, 0, 2], [50, 10, 2], [50, 60, 2], [50, 70, 2]]
    lying = [[0, 50, 2], [10, 50, 2], [60, 50, 2], [70, 50, 2]]
    bowed = [[0, 0, 0], [60, 10, 2], [10, 60, 2], [0, 0, 0]]  # 45 degrees, seen by two labels
    headless = [[0, 0, 0], [0, 0, 0], *upright[2:]]
    truth = np.array([upright, upright[::-1], lying, bowed, headless], float)
    lean = analysis.leans(truth, skeleton)
    np.testing.assert_allclose(lean, [0, 180, 90, 45, np.nan])
    distances = np.full((5, 4), 0.1)
    distances[2] = 0.9
    found = analysis.by_lean(distances, lean, skeleton, 0.5)
    assert [(one["lean"], one["persons"], one["right"]) for one in found] == [
        ("upright", 1, 100),
        ("leaning", 1, 100),
        ("lying", 1, 0),
        ("upside down", 1, 100),
    ]
    assert analysis.by_lean(distances, analysis.leans(truth, FACE), FACE, 0.5) == []
