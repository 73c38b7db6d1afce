"""Damaged photographs, record folders, recipes and networks: each is read or refused in one line, never a traceback.

CI runs a few of each, `make stress` hundreds.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

from keras_mspose import pipeline, records, saved_model
from keras_mspose.config import ModelConfig, RunConfig, load_recipe
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.pose_estimator import opened
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14
from tfrecords_tools import inspection, skeleton_file, verification, writer


def times(short: int, long: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [short, pytest.param(long, marks=pytest.mark.stress)])


def person(i: int, image: bytes) -> Person:
    xy = np.random.default_rng(i).uniform(2, 58, (14, 2))
    return Person(f"{i}.jpg", np.concatenate([xy, np.full((14, 1), 2)], axis=1), image, person_id=i)


def write(persons: Iterator, out: Path, **more: Any) -> RecordSet:
    return writer.write(persons, out, name="s", skeleton=LSP14, metric="pck", source="s", options={}, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, jpegs: list[bytes]) -> Path:
    """8 training and 4 validation persons."""
    persons = (("train" if i < 8 else "val", person(i, jpegs[i % 4])) for i in range(12))
    return write(persons, tmp_path_factory.mktemp("records") / "r").folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of `folder` that may be damaged."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def images(jpegs: list[bytes]) -> list[bytes]:
    """One photograph in each format that is read, the JPEG in its forms."""
    found = [jpegs[0]]
    photograph = Image.open(io.BytesIO(jpegs[0]))
    forms = [("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("PPM", {}), ("WEBP", {})]
    for form, how in [
        *forms,
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PNG", {"exif": photograph.getexif()}),
    ]:
        buffer = io.BytesIO()
        photograph.save(buffer, form, **how)
        found.append(buffer.getvalue())
    grey = io.BytesIO()
    photograph.convert("L").save(grey, "JPEG")
    return [*found, grey.getvalue()]


@times(30, 600)
def test_photographs(count: int, images: list[bytes], damage: Any, tmp_path: Path) -> None:
    """What the converter lets through can be decoded in training; the rest is named and left out."""
    damaged = [*images, *(damage.bytes(damage.rng.choice(images)) for _ in range(count))]
    data = write((("train", person(i, b)) for i, b in enumerate(damaged)), tmp_path / "r", skip_bad=True)
    left_out = {s["image"] for s in data.notes["skipped"]}
    assert 0.2 * count < len(left_out) < count
    assert len(left_out) + data.persons("train") == len(damaged)
    assert not left_out & {f"{i}.jpg" for i in range(len(images))}
    crops = pipeline.evaluation_batches(data, "train", (32, 32), "joints", 64)
    assert sum(len(b["crop"]) for b in crops) == data.persons("train")


@times(30, 200)
def test_photographs_to_predict(
    count: int, images: list[bytes], damage: Any, refused_or_read: Callable, tmp_path: Path
) -> None:
    file = tmp_path / "p.jpg"
    found = []
    for turn in range(len(images) + count):
        data = damage.bytes(damage.rng.choice(images)) if turn >= len(images) else images[turn]
        file.write_bytes(data)
        found.append(refused_or_read(lambda: opened(file).pixels(), data[:100]))
    assert all(found[: len(images)]) and not all(found)


def bombs() -> dict[str, bytes]:
    """Small files that declare far more pixels than anyone photographs."""

    def png(width: int, height: int, pixels: bytes) -> bytes:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    def saved(form: str, **how: Any) -> bytearray:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, form, **how)
        return bytearray(buffer.getvalue())

    found = {}
    for name, how, marker in (("jpeg", {}, b"\xff\xc0"), ("progressive", {"progressive": True}, b"\xff\xc2")):
        data = saved("JPEG", **how)
        at = data.index(marker) + 5
        data[at : at + 4] = struct.pack(">HH", 65000, 65000)
        found[name] = bytes(data)
    squeezer = zlib.compressobj(9)
    zeros = b"".join(squeezer.compress(bytes(3 * 12000 + 1)) for _ in range(12000)) + squeezer.flush()
    found["png, truly so large"] = png(12000, 12000, zeros)
    found["png"] = png(65000, 65000, zlib.compress(bytes(100)))
    bmp = saved("BMP")
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    gif = saved("GIF")
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    found |= {"bmp": bytes(bmp), "gif": bytes(gif), "ppm": b"P6 90000 90000 255\n" + bytes(100)}
    return found


@pytest.mark.parametrize("kind", list(bombs()))
def test_photographs_that_declare_too_much(kind: str, tmp_path: Path, refused_or_read: Callable) -> None:
    data = bombs()[kind]
    assert len(data) < 1 << 20
    file = tmp_path / "p.jpg"
    file.write_bytes(data)
    assert not refused_or_read(lambda: opened(file).pixels(), kind)
    with pytest.raises(MsposeError, match=r"p\.jpg: .*more than 80 megapixels"):
        opened(file).pixels()
    bad = ("train", person(0, file.read_bytes()))
    assert not refused_or_read(lambda: write(iter([bad]), tmp_path / "r"), kind)
    with pytest.raises(MsposeError, match=r"0\.jpg: broken image .*more than 80 megapixels"):
        write(iter([bad]), tmp_path / "r")


@times(25, 200)
def test_the_index_of_a_record_folder(
    count: int, copied: Path, damage: Any, refused_or_read: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.loads((copied / "dataset.json").read_text())
    for turn in range(count):
        data = json.dumps(damage.tree(whole) if turn % 3 else whole).encode()
        data = data if turn % 3 else damage.bytes(data)
        (copied / "dataset.json").write_bytes(data)

        def read() -> None:
            found = RecordSet.load(copied)
            verification.verify(found, Console(quiet=True))
            found.files("train")
            found.persons("val")
            found.to_dict()

        refused_or_read(read, data)


def read_again(folder: Path) -> Callable[[], None]:
    """Look through a record folder in the three ways that there are; what is broken must not pass all of them."""

    def run() -> None:
        data = RecordSet.load(folder)
        verification.verify(data, Console(quiet=True))
        inspection.split_facts(data, "val")
        with records.damage_named(data, "val"):
            for batch in pipeline.evaluation_batches(data, "val", (32, 32), "record", 2):
                assert batch["crop"].shape[1:] == (32, 32, 3)

    return run


@times(10, 60)
def test_shards(count: int, copied: Path, damage: Any, refused_or_read: Callable) -> None:
    shard = next(copied.glob("val-*.tfrecord"))
    whole, found = shard.read_bytes(), []
    for _ in range(count):
        shard.write_bytes(damage.bytes(whole))
        found.append(refused_or_read(read_again(copied), "shard"))
        broken = verification.verify(RecordSet.load(copied), Console(quiet=True))[1]
        assert any(f.file == shard.name for f in broken)  # whatever else: its checksum
    assert not all(found)


def test_a_record_that_declares_more_than_there_is(copied: Path, refused_or_read: Callable) -> None:
    """The checksum of the length is right: written so, not damaged. TensorFlow alone would end the process."""
    shard = next(copied.glob("val-*.tfrecord"))
    whole = shard.read_bytes()
    for length, checksum in ((1 << 40, 0xE46B3DAA), (1 << 62, 0x00F0857F)):
        for before in (b"", whole):
            shard.write_bytes(before + struct.pack("<QI", length, checksum) + bytes(100))
            assert not refused_or_read(read_again(copied), length)
            found = verification.verify(RecordSet.load(copied), Console(quiet=True))[1]
            assert f"cut short or altered behind record {4 if before else 0} of 4" in [f.what for f in found]


@times(15, 100)
def test_records(count: int, copied: Path, damage: Any, refused_or_read: Callable) -> None:
    """Records whose checksums are right and whose content is not."""
    shard = next(copied.glob("val-*.tfrecord"))
    whole = [one.numpy() for one in tf.data.TFRecordDataset(str(shard))]
    found = []
    for turn in range(count):
        changed = list(whole)
        i = damage.rng.randrange(len(whole))
        changed[i] = damage.bytes(whole[i]) if turn % 3 == 0 else field_damaged(whole[i], damage)
        with tf.io.TFRecordWriter(str(shard)) as file:
            for one in changed:
                file.write(one)
        found.append(refused_or_read(read_again(copied), changed[i][-1500:]))
    assert 0 < sum(found) < count


def field_damaged(record: bytes, damage: Any) -> bytes:
    """One field taken out, of another kind, too long, too short, or with a value that cannot be."""
    example = tf.train.Example.FromString(record)
    rng, fields = damage.rng, example.features.feature
    name = rng.choice(sorted(fields))
    kind = fields[name].WhichOneof("kind")
    values = list(getattr(fields[name], kind).value)
    turn = rng.randrange(6)
    del fields[name]
    if turn == 1:
        fields[name].int64_list.value.extend([-(2**63), 2**63 - 1, 0][: rng.randint(0, 3)])
    elif turn == 2:
        fields[name].bytes_list.value.extend([b"\xff\xfe", b""][: rng.randint(0, 2)])
    elif turn == 3:
        getattr(fields[name], kind).value.extend(values[:-1] if rng.randrange(2) else values * 2)
    elif turn > 3:
        impossible = {
            "bytes_list": [b"", b"\xff" * 9, b"../../escaped.jpg"],
            "int64_list": [-1, 0, 2**63 - 1, -(2**63)],
            "float_list": [float("nan"), float("inf"), -float("inf"), 3e38, -1, 0],
        }[kind]
        values[rng.randrange(len(values))] = rng.choice(impossible)
        getattr(fields[name], kind).value.extend(values)
    return example.SerializeToString()


@times(20, 150)
@pytest.mark.parametrize("form", ["recipe", "skeleton"])
def test_yaml(form: str, count: int, damage: Any, refused_or_read: Callable, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    whole = RunConfig().to_dict() if form == "recipe" else LSP14.to_dict()
    found = []
    for turn in range(count):
        data = json.dumps(damage.tree(whole)).encode()
        data = data if turn % 3 else damage.bytes(data)
        file.write_bytes(data)
        found.append(
            refused_or_read(lambda: load_recipe(str(file)) if form == "recipe" else skeleton_file.load(file), data)
        )
    assert not all(found)


BILLIONS = "a: &a [x, x]\n" + "".join(
    f"{chr(97 + i)}: &{chr(97 + i)} [{', '.join([f'*{chr(96 + i)}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    "text",
    [BILLIONS, "[" * 100_000, "a: &a [*a]", "name: 2001-99-99", "x: !!python/object/apply:os.system [ls]", "\0", "? "],
    ids=["billions", "deep", "itself", "date", "object", "nul", "key"],
)
def test_yaml_that_is_more_than_it_looks(text: str, refused_or_read: Callable, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    assert not refused_or_read(lambda: load_recipe(str(file)), text[:50])
    assert not refused_or_read(lambda: skeleton_file.load(file), text[:50])
    if "\n" not in text:
        assert not refused_or_read(lambda: load_recipe("lsp_small", [f"training.epochs={text}"]), text[:50])


@times(5, 40)
def test_networks(count: int, damage: Any, refused_or_read: Callable, tmp_path: Path) -> None:
    file = tmp_path / "best.keras"
    config = ModelConfig(stacks=1, channels=2, input_size=(8, 8), depth=1, scales=(1,), regression=False)
    saved_model.save(build_model(config, 14), file, saved_model.Facts(LSP14, "pck", RunConfig(model=config)))
    whole, found = file.read_bytes(), []
    for _ in range(count):
        file.write_bytes(damage.bytes(whole))
        found.append(refused_or_read(lambda: saved_model.load(tmp_path), "keras file"))
        tf.keras.backend.clear_session()
    assert not all(found)
