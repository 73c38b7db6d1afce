"""Annotations of every form that is converted, damaged: each ends as whole records or in one line that names the file.

CI runs a few of each, `make stress` hundreds.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from keras_mspose.skeleton import COCO17, FLIC11, LSP14, MPII16

EMPTY = np.zeros((0, 0))


def times(short: int, long: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [short, pytest.param(long, marks=pytest.mark.stress)])


def points(keypoints: int, seed: int) -> list[list[float]]:
    return np.random.default_rng(seed).uniform(2, 58, (keypoints, 2)).round(1).tolist()


@pytest.fixture
def source(tmp_path: Path, jpegs: list[bytes]) -> Path:
    """A folder whose images/ has 0.jpg to 3.jpg."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    for i, data in enumerate(jpegs):
        (folder / "images" / f"{i}.jpg").write_bytes(data)
    return folder


def mpii_person(i: int) -> dict:
    return {
        "dataset": "MPI", "isValidation": float(i == 3), "img_paths": f"{i}.jpg", "img_width": 80, "img_height": 60,
        "objpos": [30.0, 30.0], "joint_self": [[*xy, 1.0] for xy in points(16, i)], "scale_provided": 0.3,
        "joint_others": [],
    }  # fmt: skip


def hrnet_person(i: int) -> dict:
    person = {"joints_vis": [1] * 16, "joints": points(16, i), "image": f"{i}.jpg", "scale": 0.3, "center": [30, 30]}
    return person


def coco_file() -> dict:
    return {
        "info": {"year": 2017},
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 80, "height": 60} for i in range(4)],
        "annotations": [
            {
                "id": 100 + i, "image_id": i, "iscrowd": 0, "bbox": [5, 5, 50.5, 40], "area": 900.5,
                "keypoints": [v for xy in points(17, i) for v in (*xy, 2)],
            }
            for i in range(4)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints), "skeleton": [[1, 2]]}],
    }  # fmt: skip


@times(12, 120)
@pytest.mark.parametrize("form", ["mpii", "mpii gz", "hrnet", "coco"])
def test_json(form: str, count: int, source: Path, damage: Any, convert: Callable[..., bool]) -> None:
    file, whole = source / "mpii_annotations.json", [mpii_person(i) for i in range(4)]
    if form == "mpii gz":
        file = source / "mpii_annotations.json.gz"
    elif form == "hrnet":
        file, whole = source / "train.json", [hrnet_person(i) for i in range(4)]
    elif form == "coco":
        (source / "annotations").mkdir()
        (source / "images").rename(source / "train2017")
        file, whole = source / "annotations" / "person_keypoints_train2017.json", coco_file()
    command, went_well = ["coco" if form == "coco" else "mpii", source], []
    for turn in range(count + 1):
        text = json.dumps(damage.tree(whole) if turn else whole).encode()
        data = damage.bytes(text) if turn and turn % 4 == 0 else text
        data = gzip.compress(data) if form.endswith("gz") else data
        file.write_bytes(damage.bytes(data) if form.endswith("gz") and turn and turn % 3 == 0 else data)
        crop = ["--crop", 64] if turn % 5 == 1 else []
        plain = convert(*command, *crop, what=data)
        skipping = convert(*command, *crop, "--skip-bad", what=data)
        assert skipping or not plain
        went_well.append(plain)
    assert went_well[0] and 0 < sum(went_well) < len(went_well)


def as_matlab(tree: Any) -> Any:
    """A JSON tree as what `savemat` writes: objects are structs, lists of objects struct arrays, null is empty."""
    if isinstance(tree, dict):
        return {str(key): as_matlab(value) for key, value in tree.items()}
    if isinstance(tree, list) and tree and all(isinstance(one, dict) for one in tree):
        fields = list(dict.fromkeys(field for one in tree for field in one))
        array = np.zeros((1, len(tree)), [(field, object) for field in fields])
        for i, one in enumerate(tree):
            array[0, i] = tuple(as_matlab(one.get(field)) for field in fields)
        return array
    if isinstance(tree, list):
        try:
            return np.array(tree, float)
        except (TypeError, ValueError):
            cells = np.empty(len(tree), object)
            for i, one in enumerate(tree):
                cells[i] = as_matlab(one)
            return cells
    return EMPTY if tree is None else tree


def lsp_mat() -> tuple[str, dict]:
    joints = np.concatenate([np.array([points(14, i) for i in range(4)]), np.ones((4, 14, 1))], axis=2)
    assert joints.shape == (4, len(LSP14), 3)
    return "joints.mat", {"joints": joints.transpose(1, 2, 0).tolist()}


def flic_mat() -> tuple[str, dict]:
    entries = [
        {
            "coords": np.transpose(points(29, i)).tolist(), "filepath": f"{i}.jpg", "imgdims": [60, 80, 3],
            "torsobox": [10.0, 20.0, 30.0, 50.0], "istrain": float(i < 3), "istest": float(i == 3),
        }
        for i in range(4)
    ]  # fmt: skip
    assert len(FLIC11) == 11
    return "examples.mat", {"examples": entries}


def mpii_mat() -> tuple[str, dict]:
    annolist = [
        {
            "image": {"name": f"{i}.jpg"},
            "annorect": [
                {
                    "x1": 3.0, "y1": 4.0, "x2": 20.0, "y2": 25.0, "scale": 0.3, "objpos": {"x": 30.0, "y": 31.0},
                    "annopoints": {
                        "point": [
                            {"id": k, "x": x, "y": y, "is_visible": k % 2} for k, (x, y) in enumerate(points(16, i))
                        ]
                    },
                }
            ],
        }
        for i in range(4)
    ]  # fmt: skip
    assert len(MPII16) == 16
    acts = [{"cat_name": "sports", "act_name": "chess", "act_id": i} for i in range(4)]
    return "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"annolist": annolist, "img_train": [1] * 4, "act": acts}}


@times(6, 60)
@pytest.mark.parametrize("form", ["lsp", "flic", "mpii"])
def test_matlab(form: str, count: int, source: Path, damage: Any, convert: Callable[..., bool]) -> None:
    name, whole = {"lsp": lsp_mat, "flic": flic_mat, "mpii": mpii_mat}[form]()
    if form == "lsp":
        for i in range(4):
            (source / "images" / f"{i}.jpg").rename(source / "images" / f"im{i + 1:05d}.jpg")
    went_well = []
    for turn in range(count + 1):
        tree = damage.tree(whole) if turn and turn % 3 else whole
        try:
            savemat(source / name, as_matlab(tree), do_compression=turn % 2 == 0)
        except Exception:
            continue
        if turn and turn % 3 == 0:
            (source / name).write_bytes(damage.bytes((source / name).read_bytes()))
        skip = ["--skip-bad"] if turn % 5 == 4 else []
        went_well.append(convert(form, source, *skip, what=tree))
    assert went_well[0] and not all(went_well)


CELLS = (
    "",
    "nan",
    "inf",
    "-1",
    "1e300",
    "1e999",
    "x",
    "=1+1",
    "1,5",
    '"',
    "'",
    "\t",
    "٣",
    "0x1p3",
    "1_0",
    " ",
    "9" * 5000,
)


@times(12, 120)
@pytest.mark.parametrize("form", ["csv", "jsonl", "skeleton"])
def test_own_data(form: str, count: int, source: Path, damage: Any, convert: Callable[..., bool]) -> None:
    skeleton = {
        "name": "hand", "keypoints": ["wrist", "tip", "left_end", "right_end"], "limbs": [["wrist", "tip"]],
        "flip_pairs": [["left_end", "right_end"]], "groups": {"Ends": ["left_end", "right_end"]}, "unscored": ["tip"],
        "torso": ["wrist", "tip"],
    }  # fmt: skip
    rows = []
    for i in range(4):
        row = {"image": f"{i}.jpg", "split": "train" if i < 3 else "val", "activity": "sawing"}
        row |= {"box_x": 1, "box_y": 2.5, "box_width": 50, "box_height": 40, "head_size": 3, "person_id": i}
        rows.append((row, dict(zip(skeleton["keypoints"], ([*xy, 2] for xy in points(4, i)), strict=True))))

    def table(cells: list[list[str]]) -> bytes:
        return "\n".join(",".join(row) for row in cells).encode("utf-8", "surrogatepass")

    columns = [*rows[0][0], *(f"{k}_{part}" for k in skeleton["keypoints"] for part in "xyv")]
    values = [[*map(str, row.values()), *(str(v) for xyv in k.values() for v in xyv)] for row, k in rows]
    cells, entries = [columns, *values], [{**row, "keypoints": k} for row, k in rows]
    (source / "skeleton.json").write_text(json.dumps(skeleton))
    file = source / ("skeleton.json" if form == "skeleton" else f"persons.{form}")
    (source / "persons.csv").write_bytes(table(cells))
    if form == "jsonl":
        (source / "persons.csv").unlink()
    went_well = []
    for turn in range(count + 1):
        if form == "csv":
            changed = [list(row) for row in cells]
            if turn:
                row = damage.rng.choice(changed)
                row[damage.rng.randrange(len(row))] = damage.rng.choice(
                    (*CELLS, *(n for n in damage.NAMES if "\0" not in n))
                )
            data = table(changed)
        elif form == "jsonl":
            changed = damage.tree(entries) if turn else entries
            data = "\n".join(json.dumps(one) for one in changed).encode()
        else:
            data = json.dumps(damage.tree(skeleton) if turn else skeleton).encode()
        file.write_bytes(damage.bytes(data) if turn and turn % 4 == 0 else data)
        plain = convert("custom", source, what=data)
        assert convert("custom", source, "--skip-bad", what=data) or not plain
        went_well.append(plain)
    assert went_well[0] and 0 < sum(went_well) < len(went_well)
