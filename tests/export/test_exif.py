"""The graph reads the orientation that Pillow reads, and no file, however damaged, makes it fail."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from export import exif

ORIENTATION, SHORT, LONG = 0x0112, 3, 4
FORMS = {"H": SHORT, "I": LONG}


def photograph() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), "orange").save(buffer, "JPEG")
    return buffer.getvalue()


JPEG = photograph()
_orientation = tf.function(exif.orientation, [tf.TensorSpec((), tf.string)], autograph=False)


def read(data: bytes) -> int:
    return int(_orientation(tf.constant(data)))


def by_pillow(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif().get(ORIENTATION, 1)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def content(order: str, entries: list[tuple[int, str, int]], gap: bytes = b"", behind: bytes = b"") -> bytes:
    """EXIF's APP1: entries are tag, form of `FORMS` and number."""
    written = [
        struct.pack(order + "HHI" + form, tag, FORMS[form], 1, number).ljust(12, b"\0") for tag, form, number in entries
    ]
    start = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, 8 + len(gap))
    directory = struct.pack(order + "H", len(entries)) + b"".join(written) + bytes(4)
    return segment(0xE1, b"Exif\0\0" + start + gap + directory + behind)


others = st.tuples(st.integers(0x8000, 0x8700), st.sampled_from("HI"), st.integers(0, 0xFFFF))
orders = st.sampled_from("<>")


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A JPEG as cameras and programs write it, with an orientation or without."""
    entries = draw(st.lists(others, max_size=6, unique_by=lambda entry: entry[0]))
    if draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(entries)))
        entries.insert(place, (ORIENTATION, "H", draw(st.integers(1, 8))))
    said = content(draw(orders), entries, draw(st.binary(max_size=20)), draw(st.binary(max_size=300)))
    kinds = st.sampled_from([0xE0, 0xE2, 0xED, 0xFE])
    more = st.lists(st.builds(segment, kinds, st.binary(min_size=20, max_size=400).map(b"none ".__add__)), max_size=3)
    filling = b"\xff" * draw(st.integers(0, 3))
    return JPEG[:2] + b"".join(draw(more)) + filling + said + b"".join(draw(more)) + JPEG[2:]


@settings(deadline=None, max_examples=100)
@given(data=headers())
def test_it_is_the_orientation_that_pillow_reads(data: bytes) -> None:
    assert read(data) == by_pillow(data)


@settings(deadline=None, max_examples=150)
@given(data=headers(), draw=st.data())
def test_what_is_damaged_gives_an_orientation_all_the_same(data: bytes, draw: st.DataObject) -> None:
    end = data.index(b"Exif") + 80  # where there is most to be broken
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        damaged[draw.draw(st.integers(0, end)) % len(damaged)] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.one_of(st.integers(0, end), st.just(len(damaged))))
    assert 1 <= read(bytes(damaged[:cut])) <= 8


@settings(deadline=None, max_examples=100)
@given(
    junk=st.binary(max_size=200), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\0\x50Exif\0\0MM\0*"])
)
def test_junk_gives_an_orientation_all_the_same(junk: bytes, start: bytes) -> None:
    assert 1 <= read(start + junk) <= 8


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("number", [0, 9, 255, 256, 6 << 8, 0xFFFF])
def test_a_number_that_is_no_orientation_is_none(order: str, number: int) -> None:
    assert read(JPEG[:2] + content(order, [(ORIENTATION, "H", number)]) + JPEG[2:]) == 1


def test_what_is_odd_is_as_stored() -> None:
    said = content(">", [(ORIENTATION, "H", 6)])
    turned = JPEG[:2] + said + JPEG[2:]
    assert read(turned) == 6
    far = turned.replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff")
    many = turned.replace(b"\0\0\0\x08\0\1\1\x12", b"\0\0\0\x08\xff\xff\1\x12")
    assert read(many) == 6  # and no more than are there are looked at
    png = io.BytesIO()
    tag = Image.Exif()
    tag[ORIENTATION] = 6
    Image.new("RGB", (8, 8)).save(png, "PNG", exif=tag)
    for odd in (
        b"",
        JPEG,
        far,
        png.getvalue(),
        turned[1:],
        turned.replace(b"Exif\0\0", b"Exit\0\0"),
        turned.replace(b"MM\0*", b"MM*\0"),
        JPEG[:2] + content(">", [(ORIENTATION, "I", 6)]) + JPEG[2:],
        JPEG + said,  # behind the pixels
        JPEG[:2] + segment(0xFE, b"") * exif.SEGMENTS + said + JPEG[2:],
    ):
        assert read(odd) == 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("size", [(5, 3), (4, 4), (1, 2)])
def test_pictures_and_places_are_turned_as_pillow_turns_them(turn: int, size: tuple[int, int]) -> None:
    stored = np.random.default_rng(turn).integers(0, 256, (*size[::-1], 3), np.uint8)
    image = Image.fromarray(stored)
    image.getexif()[ORIENTATION] = turn
    shown = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(exif.turned(tf.constant(turn), tf.constant(stored)), shown)
    assert tuple(exif.swapped(tf.constant(turn), tf.constant(size))) == shown.shape[1::-1]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_crop_cut_as_stored_and_turned_is_the_crop_as_shown(turn: int) -> None:
    """At one crop pixel a photograph pixel: 4 x 6 of them, the first at column 3, row 2."""
    stored = np.random.default_rng(turn).integers(0, 256, (11, 13, 3), np.uint8)
    shown = exif.turned(tf.constant(turn), tf.constant(stored)).numpy()
    matrix = tf.constant([[1.0, 0, -3], [0, 1, -2]])
    place = exif.as_stored(tf.constant(turn), matrix, tf.constant([13, 11]), (4, 6)).numpy()
    np.testing.assert_array_equal(place[:, :2], np.eye(2))
    left, top = (-place[:, 2]).astype(int)
    width, height = (4, 6) if turn > 4 else (6, 4)
    crop = exif.turned(tf.constant(turn), tf.constant(stored[top : top + height, left : left + width]))
    np.testing.assert_array_equal(crop, shown[2:6, 3:9])
