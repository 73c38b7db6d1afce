"""Small annotation files in all of MPII's forms: the .mat, `isValidation` JSON, and HRNet's JSON."""

import gzip
import json

import numpy as np
from scipy.io import savemat

from keras_mspose.skeleton import MPII16
from tfrecords_tools import mpii

EMPTY = np.zeros((0, 0))
NECK, TOP = MPII16.index("upper_neck"), MPII16.index("head_top")


def structs(*entries: dict) -> np.ndarray:
    """A MATLAB struct array; fields that an entry lacks are empty, as MATLAB has it."""
    fields = list(dict.fromkeys(f for e in entries for f in e))
    array = np.zeros((1, len(entries)), [(f, object) for f in fields])
    for i, entry in enumerate(entries):
        array[0, i] = tuple(entry.get(f, EMPTY) for f in fields)
    return array


def rect(points=(), x=100.0, y=50.0, scale=1.0, **more) -> dict:
    """One annorect; without points it has no annopoints."""
    entry = {"scale": scale, "objpos": structs({"x": x, "y": y}), **more}
    if points:
        entry["annopoints"] = structs({"point": structs(*points)})
    return entry


def point(id, x, y, **visible) -> dict:
    return {"id": float(id), "x": float(x), "y": float(y), **visible}


def save(folder, images: list[tuple[str, list[dict]]], training: list[int], acts: list[dict] | None = None) -> None:
    annolist = structs(*({"image": structs({"name": n}), "annorect": structs(*r) if r else EMPTY} for n, r in images))
    release = {
        "annolist": annolist,
        "img_train": np.array([training], float),
        "act": structs(*(acts or [{"act_id": 0}])),
    }
    savemat(folder / mpii.MAT_NAME, {"RELEASE": release})


def entry(image, objpos, validation, people_index=1, joints=None) -> dict:
    joints = np.zeros((16, 3)) if joints is None else joints
    return {
        "img_paths": image,
        "joint_self": np.asarray(joints, float).tolist(),
        "objpos": list(objpos),
        "scale_provided": 1.0,
        "isValidation": float(validation),
        "people_index": float(people_index),
    }


def save_json(folder, entries, name="mpii_annotations.json.gz"):
    text = json.dumps(entries).encode()
    (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return folder / name


def hrnet(image, center=(101.0, 51.0), joints=None, labelled=None, scale=1.0) -> dict:
    """An entry in HRNet's form; unlabelled joints lie at -1, -1."""
    labelled = np.zeros(16, int) if labelled is None else np.asarray(labelled, int)
    joints = np.where(labelled[:, None] > 0, np.zeros((16, 2)) if joints is None else np.asarray(joints), -1.0)
    return {
        "image": image,
        "center": list(center),
        "scale": scale,
        "joints": joints.tolist(),
        "joints_vis": labelled.tolist(),
    }


def one_joint(image, **more) -> dict:
    return hrnet(image, joints=[[11.0, 21.0]] * 16, labelled=[1] + [0] * 15, **more)


def save_plain(path, entries) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entries))


def three_forms(folder, persons: int = 5) -> list[dict]:
    """The same persons as .mat in `folder`, as isValidation JSON in json/ and as HRNet's in hrnet/, both beside it."""
    rng = np.random.default_rng(0)
    rects, plain, simple, facts = [], [], [], []
    for i in range(persons):
        xy = rng.uniform(2, 400, (16, 2)).round(3)
        labelled, visible = rng.random(16) < 0.8, rng.random(16) < 0.6
        labelled[[NECK, TOP]] = True
        x, y, scale = 40.0 * i, 30.0 + i, round(float(rng.uniform(0.5, 3)), 3)
        points = [point(k, *xy[k], is_visible=int(visible[k])) for k in np.flatnonzero(labelled)]
        head = dict(zip(("x1", "y1", "x2", "y2"), (10.0 + i, 20.0, 40.0 + i, 60.0), strict=True))
        rects.append(rect(points, x, y, scale, **head))
        joints = np.column_stack([xy, visible]) * labelled[:, None]
        plain.append({**entry("one.jpg", (x, y), True, i + 1, joints), "scale_provided": scale})
        simple.append(hrnet("one.jpg", (x, y), xy, labelled, scale))
        facts.append({"labelled": labelled, "xy": xy})
    save(folder, [("one.jpg", rects)], [1], [{"cat_name": "sports", "act_name": "judo"}])
    for name in ("json", "hrnet"):
        (folder.parent / name).mkdir()
        (folder.parent / name / "images").symlink_to(folder / "images")
    save_json(folder.parent / "json", plain)
    save_plain(folder.parent / "hrnet" / "valid.json", simple)
    return facts


def in_order(records: list[dict]) -> list[dict]:
    return sorted(records, key=lambda r: r["person_id"])
