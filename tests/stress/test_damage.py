"""Damaged files of every kind that is read: each is either read or refused by name, never a traceback.

CI runs a few of each, `make stress` thousands.
"""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy.io import savemat

from keras_mspose import pipeline, prediction, saved_model
from keras_mspose.config import ModelConfig, RunConfig, load_recipe
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14
from tfrecords_tools import inspection, lsp, mpii_json, writer

SHORT, LONG, SLOW_LONG = 25, 3000, 300
VALUES = (None, True, -1, 0, 1, 2.5, 1e30, float("nan"), "", "x", "0", [], {}, [1, 2, 3], {"a": 1}, [[]], -(2**70))


def times(long: int = LONG) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [SHORT, pytest.param(long, marks=pytest.mark.stress)])


def bytes_damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut, overwritten, emptied in the middle, doubled, or with some bits turned."""
    kind, size = rng.randrange(5), len(data)
    a = rng.randrange(size)
    b = min(size, a + 1 + int(rng.expovariate(1 / 200)))
    if kind == 0:
        return data[:a]
    if kind == 1:
        return data[:a] + rng.randbytes(b - a) + data[b:]
    if kind == 2:
        return data[:a] + bytes(b - a) + data[b:]
    if kind == 3:
        return data[:b] + data[a:]
    turned = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        turned[rng.randrange(size)] ^= 1 << rng.randrange(8)
    return bytes(turned)


def tree_damaged(tree: Any, rng: random.Random) -> Any:
    """A copy of a JSON tree with one node replaced, taken out, or doubled."""
    tree = json.loads(json.dumps(tree))
    places = list(_places(tree))
    holder, key = rng.choice(places)
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.append(holder[key])
    elif kind == 1:
        holder[f"{key}_"] = holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from _places(tree[key])


def refused_or_read(act: Callable[[], Any], what: Any) -> bool:
    """Whether `act` read what it was given; anything but a one-line MsposeError on the way is a failure."""
    try:
        act()
    except MsposeError as error:
        assert str(error).count("\n") == 0 and len(str(error)) > 10, what
        return False
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__}: {error}\nafter: {str(what)[:2000]}") from error
    return True


def _jpeg(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def _person(i: int, image: bytes) -> Person:
    xy = np.random.default_rng(i).uniform(2, 58, (14, 2))
    return Person(f"{i}.jpg", np.concatenate([xy, np.full((14, 1), 2)], axis=1), image, person_id=i)


def _write(persons: Iterator, out: Path, **more: Any) -> RecordSet:
    return writer.write(persons, out, name="s", skeleton=LSP14, metric="pck", source="s", options={}, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 training and 4 validation persons."""
    persons = (("train" if i < 8 else "val", _person(i, _jpeg(i))) for i in range(12))
    return _write(persons, tmp_path_factory.mktemp("records") / "r").folder


@times()
def test_photographs(count: int, tmp_path: Path) -> None:
    """What the converter lets through can be decoded in training; the rest is named and left out."""
    rng = random.Random(0)
    whole = _jpeg(0)
    images = [whole, *(bytes_damaged(whole, rng) for _ in range(count))]
    data = _write((("train", _person(i, b)) for i, b in enumerate(images)), tmp_path / "r", skip_bad=True)
    left_out = {s["image"] for s in data.notes["skipped"]}
    assert 0.2 * count < len(left_out) < count
    assert len(left_out) + data.persons("train") == len(images) and "0.jpg" not in left_out
    crops = pipeline.evaluation_batches(data, "train", (32, 32), "joints", 64)
    assert sum(len(b["crop"]) for b in crops) == data.persons("train")


@times()
def test_photographs_to_predict(count: int, tmp_path: Path) -> None:
    rng, file, whole = random.Random(1), tmp_path / "p.jpg", _jpeg(1)
    found = []
    for _ in range(count):
        file.write_bytes(bytes_damaged(whole, rng))
        found.append(refused_or_read(lambda: prediction.read_photograph(file), file.read_bytes()[:100]))
    assert not all(found)


@times()
def test_the_index_of_a_record_folder(count: int, folder: Path, tmp_path: Path) -> None:
    rng = random.Random(2)
    whole = json.loads((folder / "dataset.json").read_text())
    for file in folder.glob("*.tfrecord"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for turn in range(count):
        text = json.dumps(tree_damaged(whole, rng)) if turn % 3 else json.dumps(whole)
        data = text.encode() if turn % 3 else bytes_damaged(text.encode(), rng)
        (tmp_path / "dataset.json").write_bytes(data)

        def read() -> None:
            records = RecordSet.load(tmp_path)
            records.files("train")
            records.persons("val")
            records.to_dict()

        refused_or_read(read, data)


@times(SLOW_LONG)
def test_shards(count: int, folder: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shard = next(tmp_path.glob("val-*.tfrecord"))
    whole, found = shard.read_bytes(), []
    for _ in range(count):
        shard.write_bytes(bytes_damaged(whole, rng))
        found.append(refused_or_read(lambda: inspection.split_facts(RecordSet.load(tmp_path), "val"), "shard"))
    assert not all(found)


@times()
def test_joints_mat(count: int, tmp_path: Path) -> None:
    """Cut short only: SciPy's own reader ends the process over some files with overwritten bytes."""
    rng, file = random.Random(4), tmp_path / "joints.mat"
    savemat(file, {"joints": np.random.default_rng(0).uniform(0, 1, (14, 3, 5)).round()})
    whole, found = file.read_bytes(), []
    for _ in range(count):
        file.write_bytes(whole[: rng.randrange(len(whole))])
        found.append(refused_or_read(lambda: lsp.read(file), file.read_bytes()))
    assert not all(found)


@times()
def test_mpii_json(count: int, tmp_path: Path) -> None:
    rng, file = random.Random(5), tmp_path / "a.json"
    joints = np.random.default_rng(0).uniform(1, 50, (16, 3)).round(1).tolist()
    entry = {
        "dataset": "MPI", "isValidation": 0.0, "img_paths": "a.jpg", "img_width": 80, "img_height": 60,
        "objpos": [30.0, 30.0], "joint_self": joints, "scale_provided": 0.3, "annolist_index": 1, "people_index": 1,
        "numOtherPeople": 0.0, "joint_others": [], "scale_provided_other": [], "objpos_other": [],
    }  # fmt: skip
    for turn in range(count):
        data = json.dumps(tree_damaged([entry, entry], rng)).encode()
        file.write_bytes(data if turn % 3 else bytes_damaged(data, rng))
        refused_or_read(lambda: list(mpii_json.read(file)), data)


@times()
def test_recipes(count: int, tmp_path: Path) -> None:
    rng, file = random.Random(6), tmp_path / "r.yaml"
    whole = RunConfig().to_dict()
    found = []
    for turn in range(count):
        data = json.dumps(tree_damaged(whole, rng)).encode()
        file.write_bytes(data if turn % 3 else bytes_damaged(data, rng))
        found.append(refused_or_read(lambda: load_recipe(str(file)), file.read_bytes()))
    assert not all(found)


@times(SLOW_LONG)
def test_networks(count: int, tmp_path: Path) -> None:
    rng, file = random.Random(7), tmp_path / "best.keras"
    config = ModelConfig(stacks=1, channels=2, input_size=(8, 8), depth=1, scales=(1,), regression=False)
    model = build_model(config, 14)
    saved_model.save(model, file, saved_model.Facts(LSP14, "pck", RunConfig(model=config)))
    whole, found = file.read_bytes(), []
    for _ in range(count):
        file.write_bytes(bytes_damaged(whole, rng))
        found.append(refused_or_read(lambda: saved_model.load(tmp_path), "keras file"))
        tf.keras.backend.clear_session()
    assert not all(found)
