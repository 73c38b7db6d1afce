"""Skeletons are consistent, mirror as bodies do, and survive a file."""

import json

import numpy as np
import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import MPII16, SKELETONS, Skeleton

every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)


@every_skeleton
def test_flipping_twice_changes_nothing_and_once_swaps_sides(skeleton: Skeleton) -> None:
    order = skeleton.flip_order
    np.testing.assert_array_equal(order[order], np.arange(len(skeleton)))
    for i, name in enumerate(skeleton.keypoints):
        swapped = {"left": name.replace("left_", "right_"), "right": name.replace("right_", "left_"), "middle": name}
        assert skeleton.keypoints[order[i]] == swapped[skeleton.side(name)]


@every_skeleton
def test_sides_are_those_of_the_names(skeleton: Skeleton) -> None:
    for name in skeleton.keypoints:
        word = name.partition("_")[0]
        assert skeleton.side(name) == (word if word in ("left", "right") else "middle")


@every_skeleton
def test_it_survives_a_json_file(skeleton: Skeleton) -> None:
    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))) == skeleton


@pytest.mark.parametrize(("name", "count"), [("mpii16", 16), ("lsp14", 14), ("flic11", 11), ("coco17", 17)])
def test_the_number_of_keypoints_is_the_data_sets(name: str, count: int) -> None:
    assert len(SKELETONS[name]) == count


def test_mpii_keeps_the_official_order() -> None:
    official = (
        "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"
    )
    assert MPII16.keypoints == tuple(official.split())
    assert (MPII16.index("right_ankle"), MPII16.index("left_wrist")) == (0, 15)
    np.testing.assert_array_equal(MPII16.flip_order, [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10])
    assert MPII16.scored_indices == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]


def test_limbs_are_pairs_of_positions() -> None:
    skeleton = Skeleton("arm", ("wrist", "elbow", "shoulder"), limbs=(("shoulder", "elbow"), ("elbow", "wrist")))
    assert skeleton.limb_indices == [(2, 1), (1, 0)]


@pytest.mark.parametrize(
    "facts",
    [
        {"flip_pairs": (("left_eye", "right_ear"),)},
        {"limbs": (("nose", "right_ear"),)},
        {"groups": {"Head": ("nose", "right_ear")}},
        {"unscored": ("right_ear",)},
        {"torso": ("nose", "right_ear")},
        {"head": ("nose", "right_ear")},
        {"upper_body": ("nose", "right_ear")},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_names_that_are_no_keypoints_are_refused(facts: dict) -> None:
    with pytest.raises(MsposeError, match="skeleton face: right_ear used but not among its keypoints"):
        Skeleton("face", ("nose", "left_eye", "right_eye"), **facts)


@pytest.mark.parametrize(
    ("keypoints", "pairs", "said"),
    [
        ((), (), "must be given"),
        (("a", "a"), (), "differ"),
        (("a", "b", "c"), (("a", "b"), ("b", "c")), "stands in two flip pairs"),
    ],
)
def test_ambiguous_skeletons_are_refused(keypoints: tuple, pairs: tuple, said: str) -> None:
    with pytest.raises(MsposeError, match=said):
        Skeleton("own", keypoints, flip_pairs=pairs)


@pytest.mark.parametrize(
    ("upper", "said"), [(("a", "b", "c"), "so that none is the lower body's"), (("a", "c"), "one of a and b")]
)
def test_halves_that_are_none_are_refused(upper: tuple, said: str) -> None:
    with pytest.raises(MsposeError, match=said):
        Skeleton("own", ("a", "b", "c"), flip_pairs=(("a", "b"),), upper_body=upper)


def test_a_skeleton_that_scores_nothing_is_refused() -> None:
    with pytest.raises(MsposeError, match="skeleton own: unscored has every keypoint"):
        Skeleton("own", ("a", "b"), unscored=("b", "a"))


def test_a_file_of_an_earlier_version_has_the_halves_of_the_shipped_skeleton() -> None:
    old = {key: value for key, value in MPII16.to_dict().items() if key != "upper_body"}
    assert Skeleton.from_dict(old) == MPII16
    assert Skeleton.from_dict({**old, "name": "own"}).upper_body == ()
    assert Skeleton.from_dict({**MPII16.to_dict(), "upper_body": []}).upper_body == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"name": "own"}, "needs `name` and `keypoints`"),
        ({"name": "own", "keypoints": ["a", "b"], "limb": [["a", "b"]]}, "'limb'"),
        ({"name": "own", "keypoints": ["a", "b"], "groups": ["a", "b"]}, "skeleton own"),
        ({"name": "own", "keypoints": 2}, "skeleton own"),
        ({"name": "own", "keypoints": ["a", "b"], "flip_pairs": [["a"]]}, "skeleton own"),
        ({"name": "own", "keypoints": ["a", "b"], "limbs": [["a", "b", "a"]]}, "skeleton own"),
        ({"name": "own", "keypoints": ["a", "b"], "torso": ["a"]}, "skeleton own"),
    ],
)
def test_a_file_with_mistakes_is_refused(data: dict, said: str) -> None:
    with pytest.raises(MsposeError, match=said):
        Skeleton.from_dict(data)
