"""Which persons `plausibility` calls suspects: by hand-made figures, whole and with one thing wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_mspose.skeleton import COCO17, FLIC11, LSP14, MPII16, SKELETONS, Skeleton
from tfrecords_tools import plausibility

FRONT = {  # a person who faces the camera, right hand up; 100 x 170 pixels
    **{"right_ankle": (38, 165), "right_knee": (38, 125), "right_hip": (36, 85), "left_hip": (62, 85)},
    **{"left_knee": (86, 120), "left_ankle": (92, 165), "right_wrist": (15, 10), "right_elbow": (20, 35)},
    **{"right_shoulder": (32, 40), "left_shoulder": (68, 40), "left_elbow": (80, 62), "left_wrist": (84, 85)},
    **{"neck": (50, 36), "head_top": (50, 8)},
}
SIZE = np.array([[100.0, 170.0]])


def person(**changes: tuple) -> np.ndarray:
    points = FRONT | changes
    return np.array([[*points[name][:2], points[name][2] if len(points[name]) > 2 else 2] for name in LSP14.keypoints])


def exchanged(keypoints: np.ndarray, *parts: str) -> np.ndarray:
    out = keypoints.copy()
    for part in parts:
        left, right = LSP14.index(f"left_{part}"), LSP14.index(f"right_{part}")
        out[[left, right]] = out[[right, left]]
    return out


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        (("hip", "knee", "ankle"), "shoulder against hip"),
        (("shoulder", "elbow", "wrist"), "shoulder against hip"),
        (("elbow", "wrist"), "shoulder against elbow"),
        (("knee", "ankle"), "hip against knee"),
        (("shoulder",), "shoulder against elbow, shoulder against hip"),
    ],
)
def test_names_exchanged_on_a_part_of_the_body(parts: tuple, where: str) -> None:
    (suspect,) = plausibility.sides_exchanged(np.stack([person(), exchanged(person(), *parts)]), LSP14)
    assert suspect.index == 1 and sorted(suspect.what.split(":")[0].split(", ")) == sorted(where.split(", "))


def test_what_is_no_suspect() -> None:
    """Everything exchanged is a person seen from behind; crossed shins and folded arms are poses."""
    behind = exchanged(person(), "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    crossed = exchanged(person(), "ankle")
    folded = person(left_wrist=(30, 60), right_wrist=(70, 60), right_elbow=(20, 62))
    unlabelled = exchanged(person(), "hip", "knee", "ankle")
    unlabelled[LSP14.index("left_hip"), 2] = 0
    assert not plausibility.sides_exchanged(np.stack([behind, crossed, folded, unlabelled, np.zeros((14, 3))]), LSP14)


@given(
    st.floats(-math.pi, math.pi),
    st.floats(0.2, 20),
    st.floats(-500, 500),
    st.booleans(),
    st.sampled_from([(), ("hip", "knee", "ankle"), ("elbow", "wrist")]),
)
def test_the_amount_does_not_depend_on_where_and_how_the_person_is_seen(turn, scale, shift, mirrored, parts) -> None:
    plain = exchanged(person(), *parts)
    cos, sin = math.cos(turn), math.sin(turn)
    seen = plain.copy()
    seen[:, :2] = scale * plain[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + shift
    if mirrored:
        seen[:, 0] *= -1
        seen = seen[LSP14.flip_order]
    found = plausibility.sides_exchanged(np.stack([plain, seen]), LSP14)
    assert len(found) == (2 if parts else 0)
    if parts:  # the bounding box's longer side turns with the person, by the square root of 2 at most
        assert 0.49 < found[1].amount / found[0].amount < 2.01


def test_pairs_that_limbs_join() -> None:
    def named(skeleton: Skeleton) -> set[tuple[str, str]]:
        pairs = plausibility.joined_pairs(skeleton)
        return {tuple(sorted((a[0].removeprefix("left_"), b[0].removeprefix("left_")))) for a, b in pairs}

    body = {("elbow", "shoulder"), ("hip", "shoulder"), ("hip", "knee")}
    assert named(LSP14) == named(MPII16) == body  # MPII's shoulders and hips by thorax and pelvis
    assert named(COCO17) == body | {("ear", "shoulder")}
    assert named(FLIC11) == {("elbow", "shoulder"), ("hip", "shoulder")}
    assert plausibility.joined_pairs(Skeleton("points", ("a", "b"))) == []
    assert all(plausibility.joined_pairs(skeleton) for skeleton in SKELETONS.values())


def test_keypoints_outside() -> None:
    keypoints = np.stack(
        [
            person(head_top=(99.5, -0.5)),
            person(left_wrist=(103.5, 20), head_top=(50, -3)),
            person(left_wrist=(900, 20, 0)),
        ]
    )
    (suspect,) = plausibility.keypoints_outside(keypoints, SIZE.repeat(3, axis=0), LSP14.keypoints)
    assert suspect == (1, 4.0, "left_wrist 4.0 px outside, 1 more outside")


def test_keypoints_in_one_place() -> None:
    heap = np.tile([30.0, 40.0, 2.0], (14, 1))
    heap[0, :2] += 1
    one = np.zeros((14, 3))
    one[3] = 20, 20, 2
    (suspect,) = plausibility.keypoints_in_one_place(np.stack([person(), heap, one, np.zeros((14, 3))]))
    assert suspect.index == 1 and suspect.what == "14 labelled keypoints within one pixel"


def test_boxes() -> None:
    boxes = np.array([[50, 85, 170], [50, 15, 60], [400, 85, 170], [0, 0, 0], [50, 160, 20], [50, 85, -9]], float)
    found = plausibility.boxes(boxes, np.stack([person()] * 6), SIZE.repeat(6, axis=0))
    assert [(s.index, s.what) for s in sorted(found)] == [
        (1, "box holds 5 of 14 labelled keypoints"),
        (2, "box outside of the photograph, box holds 0 of 14 labelled keypoints"),
        (4, "box holds 0 of 14 labelled keypoints"),
        (5, "box has a side of -9.0 px"),
    ]


def test_heads() -> None:
    head_boxes = np.array([[40, 8, 70, 48], [40, 8, 40, 48], [140, 8, 170, 48], [40, 8, 70, 48], [0] * 4], float)
    sizes, estimated = np.array([30, 30, 30, 33, 12.0]), np.zeros(5, int)
    found = plausibility.heads(head_boxes, sizes, estimated, SIZE.repeat(5, axis=0))
    assert [(s.index, s.what) for s in found] == [
        (1, "head box 0.0 x 40.0 px"),
        (2, "head box outside of the photograph"),
        (3, "head size 33.0, its box says 30.0"),
    ]
    assert len(plausibility.heads(head_boxes, sizes, np.ones(5, int), SIZE.repeat(5, axis=0))) == 2
