"""Skeleton files: what they may hold, and what is said of one that is wrong."""

import json
from pathlib import Path

import pytest

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import COCO17, MPII16, Skeleton
from tfrecords_tools import skeleton_file

HAND = """
name: hand
keypoints: [wrist, thumb, left_tip, right_tip]
flip_pairs: [[left_tip, right_tip]]
limbs:
  - [wrist, thumb]
groups: {Tips: [left_tip, right_tip]}
unscored: [wrist]
torso: [wrist, thumb]
"""


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HAND)
    hand = skeleton_file.load(tmp_path / "a.yaml")
    assert hand == Skeleton(
        name="hand",
        keypoints=("wrist", "thumb", "left_tip", "right_tip"),
        flip_pairs=(("left_tip", "right_tip"),),
        limbs=(("wrist", "thumb"),),
        groups={"Tips": ("left_tip", "right_tip")},
        unscored=("wrist",),
        torso=("wrist", "thumb"),
    )
    for one in (hand, MPII16):
        (tmp_path / "b.json").write_text(json.dumps(one.to_dict()))
        assert skeleton_file.load(tmp_path / "b.json") == one


def test_known_skeletons_by_name() -> None:
    assert skeleton_file.load(Path("coco17")) == COCO17


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keypoints: [a]", "no key `name`"),
        ("name: x", "no key `keypoints`"),
        ("name: x\nkeypoints: []", "skeleton x: keypoint names must be given"),
        ("name: x\nkeypoints: ['']", "keypoints: a name is empty"),
        ("name: x\nkeypoints: nose", r"keypoints: .*\(got 'nose'\)"),
        ("name: x\nkeypoints: [yes, no]", r"keypoints.0: .*string \(got True\)"),
        ("name: 3\nkeypoints: [a]", r"name: .*string \(got 3\)"),
        ("name: x\nkeypoints: [a, b]\nlimbs: [ab]", r"limbs.0: .*\(got 'ab'\)"),
        ("name: x\nkeypoints: [a, b]\nlimbs: [[a, b, a]]", "limbs.0"),
        ("name: x\nkeypoints: [a, b]\nflip_pair: []", "unknown key `flip_pair`, did you mean `flip_pairs`?"),
        ("name: x\nkeypoints: [a, a]", "skeleton x: keypoint names must be given and differ"),
        ("name: x\nkeypoints: [a, b]\ntorso: [a, c]", "skeleton x: c used but not among its keypoints"),
        ("name: x\nkeypoints: [a, b]\nflip_pairs: [[a, b], [b, a]]", "stands in two flip pairs"),
        ("- a", "holds a list, expected keys such as name"),
        ("", "holds a NoneType, expected keys"),
        ("a: [", "not readable as YAML or JSON"),
        ("name: x\nkeypoints: [a]\ngroups: {2020-01-01: [a]}", "keys must be"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(MsposeError, match=rf"own\.yaml: .*{said}") as caught:
        skeleton_file.load(tmp_path / "own.yaml")
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(MsposeError, match=r"none\.yaml: no such skeleton file; .*mpii16"):
        skeleton_file.load(tmp_path / "none.yaml")
    (tmp_path / "skeleton.txt").write_text(HAND)
    with pytest.raises(MsposeError, match=r"expected a file \.yaml"):
        skeleton_file.load(tmp_path / "skeleton.txt")
