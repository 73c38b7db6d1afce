"""One's own keypoints: what the two forms may hold, what becomes of it, and what is said of a file that is wrong."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_mspose import cli
from keras_mspose.cli_convert import METRICS as METRICS_OF_THE_COMMAND
from keras_mspose.crops import ORIENTATION
from keras_mspose.errors import MsposeError
from keras_mspose.records import METRICS, RecordSet
from keras_mspose.skeleton import COCO17, Skeleton
from tfrecords_tools import coco, custom, custom_form
from tfrecords_tools.cropping import Crop
from tfrecords_tools.custom_person import person_of

HAND = {"name": "hand", "keypoints": ["wrist", "tip"]}
SKELETON = Skeleton("hand", ("wrist", "tip"))
HEADER = "image,wrist_x,wrist_y,tip_x,tip_y,tip_v"


@pytest.fixture
def source(tmp_path: Path, jpeg):
    """Makes the folder; `persons` is the text of persons.csv, or of persons.jsonl where it begins with {."""

    def make(persons: str | bytes, **skeleton) -> Path:
        folder = tmp_path / "own"
        (folder / "images" / "sub").mkdir(parents=True, exist_ok=True)
        for i, name in enumerate(("a.jpg", "b.jpg", "c.jpg", "sub/d.jpg")):
            (folder / "images" / name).write_bytes(jpeg(i))
        (folder / "skeleton.json").write_text(json.dumps({**HAND, **skeleton}))
        data = persons if isinstance(persons, bytes) else persons.encode()
        (folder / ("persons.jsonl" if data.startswith(b"{") else "persons.csv")).write_bytes(data)
        return folder

    return make


def table(*rows: dict) -> str:
    """CSV of rows that need not have the same fields."""
    columns = list(dict.fromkeys([*HEADER.split(","), *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def row(image: str = "a.jpg", **more) -> dict:
    return {"image": image, "wrist_x": 3, "wrist_y": 4, **more}


def refusal(folder: Path, tmp_path: Path, **options) -> str:
    with pytest.raises(MsposeError) as caught:
        custom.convert(folder, tmp_path / "out", **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    return str(caught.value)


def test_csv_by_hand(source, tmp_path, records_of):
    text = (
        "image,split,person_id,activity,head_size,box_x,box_y,box_width,box_height,tip_v,tip_x,tip_y,wrist_x,wrist_y\n"
        'sub/d.jpg,val,77,"knots, tied",12.5,10,20,8,16,1,3.5,4.25,-1,0\n'
        "a.jpg,,,,,,,,,0,7,7,5,6\n"
    )
    data = custom.convert(source(text), tmp_path / "out")
    assert data == RecordSet.load(tmp_path / "out")
    assert (data.name, data.metric, data.skeleton) == ("own", "pckh", SKELETON)
    (first,), (second,) = records_of(tmp_path / "out", "val"), records_of(tmp_path / "out", "train")
    assert first["keypoints"].tolist() == [[-1, 0, 2], [3.5, 4.25, 1]]
    # pixels 10 to 17 and 20 to 35: their middle, and 1.25 times the longer side
    assert first["box"].tolist() == [13.5, 27.5, 20]
    assert (first["image_name"], first["person_id"], first["activity"]) == (b"sub/d.jpg", 77, b"knots, tied")
    assert first["head_size"] == 12.5 and not first["head_size_estimated"]
    assert second["keypoints"].tolist() == [
        [5, 6, 2],
        [0, 0, 0],
    ]  # visibility 0 is not labelled, whatever stands beside
    assert second["person_id"] == 3 and second["box"][2] == 0 and second["head_size"] == 0  # the line


def test_json_lines_by_hand(source, tmp_path, records_of):
    lines = (
        {"image": "a.jpg", "box_x": 10, "box_y": 20, "box_width": 8, "box_height": 16.0, "person_id": 2**62 + 1,
         "keypoints": {"tip": [3.5, 4.25, 1], "wrist": [5, 6]}},
        {"image": "b.jpg", "split": None, "activity": "", "keypoints": {"tip": None, "wrist": [1, 2, 2]}},
        {"image": "c.jpg", "keypoints": {"tip": [0, 0, 0], "wrist": [1, 2, 2]}},
    )  # fmt: skip
    data = custom.convert(source("\n\n".join(map(json.dumps, lines)) + "\r\n"), tmp_path / "out")
    assert data.metric == "pck_box" and data.persons("train") == 3
    found = {r["image_name"]: r for r in records_of(tmp_path / "out", "train")}
    assert found[b"a.jpg"]["keypoints"].tolist() == [[5, 6, 2], [3.5, 4.25, 1]]
    assert found[b"a.jpg"]["box"].tolist() == [13.5, 27.5, 20] and found[b"a.jpg"]["person_id"] == 2**62 + 1
    assert found[b"b.jpg"]["keypoints"].tolist() == [[1, 2, 2], [0, 0, 0]]
    assert found[b"c.jpg"]["keypoints"].tolist() == [[1, 2, 2], [0, 0, 0]]


COORDINATE = st.floats(-50, 5000, allow_nan=False).map(lambda v: round(v, 3))
KEYPOINT = st.none() | st.tuples(COORDINATE, COORDINATE, st.sampled_from([None, 0, 1, 2]))
BOX = st.none() | st.tuples(COORDINATE, COORDINATE, st.floats(0.5, 900), st.floats(0.5, 900))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KEYPOINT, KEYPOINT, BOX, st.text("ab,;\"' ä", max_size=5)), min_size=1, max_size=4))
def test_both_forms_and_every_separator_say_the_same(tmp_path: Path, persons: list) -> None:
    names, values, lines = [], [], []
    for wrist, tip, box, activity in persons:
        points = {"wrist": wrist, "tip": tip}
        flat = {f"{k}_{part}": v for k, p in points.items() for part, v in zip("xyv", p or (None,) * 3, strict=True)}
        boxes = dict(zip(custom_form.BOX, box or (None,) * 4, strict=True))
        own = {"image": "a.jpg", "activity": activity.strip(), **boxes}
        names, values = [*own, *flat], [*values, [*own.values(), *flat.values()]]
        lines.append(
            json.dumps({**own, "keypoints": {k: p and [v for v in p if v is not None] for k, p in points.items()}})
        )
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    expected = [person_of(r, SKELETON, tmp_path, tmp_path) for r in custom_form.read(tmp_path / "p.jsonl", SKELETON)]
    for separator in ",;\t":
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator)
        writer.writerow(names)
        for person in values:
            cells = ["" if v is None else v for v in person]
            writer.writerow([str(v).replace(".", ",") if separator == ";" and v != "a.jpg" else v for v in cells])
        (tmp_path / "p.csv").write_bytes(("\ufeff" + text.getvalue()).encode())
        found = [person_of(r, SKELETON, tmp_path, tmp_path) for r in custom_form.read(tmp_path / "p.csv", SKELETON)]
        for (_, one), (_, other) in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
            assert (one.box, one.activity) == (other.box, other.activity)


def test_excel_leaves_empty_lines_and_columns(source, tmp_path):
    text = f"{HEADER.replace(',', ';')};;\n\na.jpg;1,5;2;;;;;\n;;;;;;;\nb.jpg;1;2;;;;;\n"
    assert custom.convert(source(b"\xef\xbb\xbf" + text.encode()), tmp_path / "out").persons("train") == 2


def test_pixels_that_count_from_one(source, tmp_path, records_of):
    text = table(row(box_x=1, box_y=1, box_width=4, box_height=2))
    custom.convert(source(text), tmp_path / "out", one_based=True)
    (record,) = records_of(tmp_path / "out", "train")
    assert record["keypoints"][0].tolist() == [2, 3, 2]
    assert record["box"].tolist() == [1.5, 0.5, 5]  # pixels 1 to 4 and 1 to 2 are our 0 to 3 and 0 to 1


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("crop", [None, Crop(64)])
def test_a_phones_photograph_is_taken_as_it_is_shown(source, tmp_path, records_of, orientation, crop):
    folder = source(table(row(tip_x=52, tip_y=12, box_x=20, box_y=0, box_width=50, box_height=50)))
    shown = np.zeros((60, 80, 3), np.uint8)
    shown[8:17, 48:57] = 255  # its middle at 52, 12
    stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Pillow's transpositions, which undo it
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = Image.fromarray(shown).transpose(stored)
    picture.save(folder / "images" / "a.jpg", quality=95, subsampling=0, exif=exif)
    custom.convert(folder, tmp_path / "out", crop=crop)
    (record,) = records_of(tmp_path / "out", "train")
    pixels = np.asarray(Image.open(io.BytesIO(record["image"])).convert("L"), float)
    assert pixels.shape[::-1] == tuple(record["image_size"])
    places = np.argwhere(pixels > 128)[:, ::-1]
    np.testing.assert_allclose(places.mean(axis=0), record["keypoints"][1, :2], atol=0.5 if crop else 0.05)


@pytest.mark.parametrize(
    ("rows", "skeleton", "metric", "expected"),
    [
        ([row()], {}, None, "pck_box"),
        ([row()], {"torso": ["wrist", "tip"]}, None, "pck"),
        ([row(), row(head_size=3)], {"torso": ["wrist", "tip"]}, None, "pckh"),
        ([row(tip_x=3, tip_y=44)], {"head": ["wrist", "tip"]}, None, "pckh"),
        ([row()], {"head": ["wrist", "tip"], "torso": ["wrist", "tip"]}, None, "pck"),
        ([row(head_size=3)], {"torso": ["wrist", "tip"]}, "pck", "pck"),
        ([row(head_size=3)], {}, "pck_box", "pck_box"),
        ([row()], {}, "pckh", "divides by head sizes, and nobody has one; fill in head_size"),
        ([row()], {}, "pck", "name two keypoints as `torso` in the skeleton hand"),
        ([row()], {}, "oks", "expected one of pckh, pck, pck_box"),
    ],
)
def test_metric(source, tmp_path, rows, skeleton, metric, expected):
    folder = source(table(*rows), **skeleton)
    if expected in METRICS:
        assert custom.convert(folder, tmp_path / "out", metric=metric).metric == expected
    else:
        assert expected in refusal(folder, tmp_path, metric=metric)


def test_the_command_knows_every_metric():
    assert tuple(METRICS) == METRICS_OF_THE_COMMAND


def test_head_size_from_neck_and_head_top(source, tmp_path, records_of):
    folder = source(table(row(tip_x=3, tip_y=44), row("b.jpg")), head=["wrist", "tip"])
    custom.convert(folder, tmp_path / "out")
    found = {r["image_name"]: r for r in records_of(tmp_path / "out", "train")}
    assert found[b"a.jpg"]["head_size"] == 30 and found[b"a.jpg"]["head_size_estimated"]  # 0.75 of 40
    assert found[b"b.jpg"]["head_size"] == 0 and not found[b"b.jpg"]["head_size_estimated"]


def test_drawn_split_keeps_photographs_together(source, tmp_path, records_of, jpeg):
    folder = source(table(*(row(f"sub/{i % 20}.jpg") for i in range(60))))
    for i in range(20):
        (folder / "images" / "sub" / f"{i}.jpg").write_bytes(jpeg(i))

    def drawn(out: str, **options) -> set[bytes]:
        data = custom.convert(folder, tmp_path / out, val_share=0.15, **options)
        assert (data.persons("train"), data.persons("val"), data.splits["val"]["images"]) == (51, 9, 3)
        val, train = ({r["image_name"] for r in records_of(tmp_path / out, s)} for s in ("val", "train"))
        assert not val & train
        return val

    assert drawn("one") == drawn("again") != drawn("other", seed=1)


def test_draw_leaves_a_photograph_on_either_side(source, tmp_path):
    folder = source(table(row("a.jpg"), row("b.jpg")))
    for share in (0.01, 0.99):
        data = custom.convert(folder, tmp_path / "out", val_share=share, overwrite=True)
        assert (data.persons("train"), data.persons("val")) == (1, 1)


def test_persons_without_keypoints(source, tmp_path, records_of):
    box = dict(zip(custom_form.BOX, (1, 1, 8, 8), strict=True))
    rows = [row(), {"image": "b.jpg", **box}, {"image": "c.jpg", "split": "test", **box}]
    data = custom.convert(source(table(*rows)), tmp_path / "out")
    assert data.notes["left_out"] == {"no labelled keypoint": 1} and data.persons("train") == 1
    (test,) = records_of(tmp_path / "out", "test")
    assert not test["keypoints"].any() and test["box"].tolist() == [4.5, 4.5, 10]
    folder = source(table({"image": "c.jpg", "split": "test"}))
    assert "line 2, box_x: empty, and no keypoint is labelled" in refusal(folder, tmp_path / "again")
    assert "no keypoint of any person is labelled" in refusal(source(table({"image": "a.jpg"})), tmp_path / "again")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"wrist_x": "abc"}, "line 2, wrist_x: 'abc' is not a number"),
        ({"wrist_x": "1,5"}, "line 2, wrist_x: '1,5' is not a number"),
        ({"wrist_x": "nan"}, "line 2, wrist_x: 'nan' is no length in pixels"),
        ({"wrist_x": "1e30"}, "line 2, wrist_x: '1e30' is no length"),
        ({"wrist_y": ""}, "line 2, wrist_y: empty, and the other coordinate is not"),
        ({"tip_x": 1, "tip_y": 2, "tip_v": 3}, "line 2, tip_v: '3', expected 0 (not labelled), 1 (occluded) or 2"),
        ({"tip_v": 2}, "line 2, tip_x: empty, and tip_v is '2'"),
        ({"image": ""}, "line 2, image: image name is ''"),
        ({"image": "../own/images/a.jpg"}, "line 2, image: image name '../own/images/a.jpg' leads out of images/"),
        ({"image": "/etc/passwd"}, "line 2, image: image name '/etc/passwd' leads out"),
        ({"split": "../x"}, "line 2, split: '../x', expected a name of letters"),
        ({"person_id": "1.5"}, "line 2, person_id: '1.5' is not a whole number"),
        ({"person_id": -1}, "line 2, person_id: '-1' is not a whole number"),
        ({"person_id": 2**63}, "is not a whole number from 0 to 9223372036854775807"),
        ({"head_size": -1}, "line 2, head_size: -1, expected more than 0"),
        ({"box_x": 1, "box_y": 1, "box_width": 2}, "line 2, box_height: empty, and box_x is not; a box needs all four"),
        ({"box_x": 1, "box_y": 1, "box_width": 0, "box_height": 2}, "line 2, box_width: not above 0"),
    ],
)
def test_values_that_are_wrong(source, tmp_path, more, said):
    message = refusal(source(table({**row(), **more})), tmp_path)
    assert "persons.csv: " in message and said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "persons.csv: empty; expected a line of column names"),
        (HEADER, "persons.csv: no persons in it"),
        (HEADER.replace("tip_x", "tpi_x") + "\na.jpg,1,2,3,4,1", "column 'tpi_x' is unknown; did you mean 'tip_x'?"),
        (HEADER.replace("image", "Image") + "\na.jpg,1,2,3,4,1", "column 'Image' is unknown; did you mean 'image'?"),
        (HEADER + ",colour\n", "column 'colour' is unknown; take it out, or see docs/own-data.md"),
        (HEADER + ",box_width,box_width\n", "two columns 'box_width'"),
        ("image,wrist_x,wrist_y\n", "no column tip_x, tip_y; every keypoint of hand has its _x and _y"),
        ("a.jpg,1,2,3,4,5", "column 'a.jpg' is unknown"),
        (HEADER + "\na.jpg,1,2", "line 2: 3 cells, expected 6"),
        (HEADER + "\na.jpg,1,2,3,4,1,8,9", "line 2: 8 cells, expected 6"),
        (HEADER + '\n"a.jpg,1,2,3,4,1', "not CSV (unexpected end of data); check the double quotes"),
        (HEADER + "\na.jpg,1,2,3,4,\0", "line 2"),
        (HEADER.encode("utf-16"), "not UTF-8 (byte 0); save it as UTF-8 (Excel: `CSV UTF-8`)"),
        ("{", "persons.jsonl: line 1: not JSON"),
        ('{"image": "a.jpg"}\n[1]', "line 2: a list, expected an object"),
        ('{"image": "a.jpg", "splt": "val"}', "line 1: field 'splt' is unknown; did you mean 'split'?"),
        ('{"image": "a.jpg", "keypoints": {"wirst": [1, 2]}}', "name 'wirst' is unknown; did you mean 'wrist'?"),
        ('{"image": "a.jpg", "keypoints": [1, 2]}', "keypoints: a list, expected {name: [x, y, v]}"),
        ('{"image": "a.jpg", "keypoints": {"tip": 3}}', "tip: 3, expected [x, y]"),
        ('{"image": "a.jpg", "keypoints": {"tip": [true, 2]}}', "tip_x: True is not a number"),
        ('{"image": "a.jpg", "keypoints": {"tip": [NaN, 2]}}', "tip_x: nan is no length"),
        ('{"image": ["a.jpg"], "keypoints": {"tip": [1, 2]}}', "image: image name is ['a.jpg']"),
        ('{"image": "a.jpg", "activity": 3, "keypoints": {"tip": [1, 2]}}', "activity: 3 is not text"),
    ],
)  # fmt: skip
def test_files_of_another_form(source, tmp_path, text, said):
    assert said in refusal(source(text), tmp_path)


def test_a_keypoint_cannot_be_called_box(source, tmp_path):
    folder = source("image,box_x,box_y\n", keypoints=["box", "tip"])
    assert "the keypoint 'box' would share a column with the person's box; rename it" in refusal(folder, tmp_path)


def test_a_photograph_in_two_splits(source, tmp_path):
    folder = source(table(row(), row("./a.jpg", split="val")))
    assert "line 3, split: a.jpg is in val here and in train on line 2" in refusal(folder, tmp_path)


@pytest.mark.parametrize(
    ("rows", "share", "said"),
    [
        ([row(), row("b.jpg")], 1.5, "--val-share is 1.5, expected a share between 0 and 1"),
        ([row(), row("b.jpg")], float("nan"), "--val-share is nan"),
        ([row(), row("b.jpg", split="val")], 0.5, "line 3, split: given, and --val-share draws splits"),
        ([row(), row()], 0.5, "all persons are on one photograph"),
    ],
)
def test_draws_that_cannot_be(source, tmp_path, rows, share, said):
    assert said in refusal(source(table(*rows)), tmp_path, val_share=share)


def test_what_is_missing_or_doubled(source, tmp_path):
    folder = source(table(row()))
    assert "nowhere: no such folder" in refusal(tmp_path / "nowhere", tmp_path)
    (folder / "persons.jsonl").write_text("{}")
    assert "persons.csv and persons.jsonl in it; say which by --persons" in refusal(folder, tmp_path)
    (folder / "persons.csv").unlink()
    (folder / "persons.jsonl").unlink()
    assert "no persons.csv or persons.jsonl in it" in refusal(folder, tmp_path)
    assert "x.csv: cannot be read" in refusal(folder, tmp_path, persons=folder / "x.csv")
    assert "expected a file .csv, .tsv, .jsonl, .ndjson" in refusal(folder, tmp_path, persons=folder / "x.xlsx")
    assert "x: no such folder; put the photographs there" in refusal(
        folder, tmp_path, persons=folder / "x.csv", images=folder / "x"
    )
    (folder / "skeleton.json").unlink()
    assert "no skeleton.yaml or skeleton.yml or skeleton.json in it" in refusal(
        folder, tmp_path, persons=folder / "x.csv"
    )


def test_command_with_files_elsewhere(source, tmp_path, capsys):
    folder = source(table(row("a.jpg"), row("b.jpg"), row("gone.jpg")))
    for name, place in (("persons.csv", "labels.tsv"), ("skeleton.json", "hand.json"), ("images", "photos")):
        (folder / name).rename(tmp_path / place)
    (tmp_path / "labels.tsv").write_text((tmp_path / "labels.tsv").read_text().replace(",", "\t"))
    arguments = ["convert", "custom", str(folder), "--out", str(tmp_path / "out"), "--val-share", "0.5", "--seed", "3"]
    arguments += ["--persons", str(tmp_path / "labels.tsv"), "--skeleton", str(tmp_path / "hand.json")]
    arguments += ["--images", str(tmp_path / "photos"), "--one-based", "--metric", "pck_box"]
    assert cli.main(arguments) == 2
    assert "gone.jpg: no such image; images missing: 1, of a data set of 3 persons" in capsys.readouterr().err
    assert cli.main([*arguments, "--skip-bad"]) == 0
    data = RecordSet.load(tmp_path / "out")
    assert data.options == {"one_based": True, "val_share": 0.5, "seed": 3}
    assert sum(split["persons"] for split in data.splits.values()) == 2


@pytest.mark.data
def test_coco_written_as_own_data_gives_the_records_of_coco(real_data, tmp_path, records_of):
    lines = []
    for split in ("train", "val"):
        data = json.loads((real_data / "coco" / "annotations" / f"person_keypoints_{split}2017.json").read_text())
        names = {image["id"]: image["file_name"] for image in data["images"]}
        for entry in data["annotations"]:
            if entry["iscrowd"] or not entry["num_keypoints"]:
                continue
            points = np.reshape(entry["keypoints"], (17, 3)).tolist()
            own = {"image": f"{split}2017/{names[entry['image_id']]}", "split": split, "person_id": entry["id"]}
            own |= dict(zip(custom_form.BOX, entry["bbox"], strict=True))
            lines.append(json.dumps({**own, "keypoints": dict(zip(COCO17.keypoints, points, strict=True))}))
    (tmp_path / "persons.jsonl").write_text("\n".join(lines))
    own = custom.convert(tmp_path, tmp_path / "own", skeleton=Path("coco17"), images=real_data / "coco")
    coco.convert(real_data / "coco", tmp_path / "coco")
    assert own.metric == "pck" and sum(split["persons"] for split in own.splits.values()) == 166
    for split in ("train", "val"):
        one, other = ({r["person_id"]: r for r in records_of(tmp_path / n, split)} for n in ("own", "coco"))
        assert one.keys() == other.keys()
        for number, record in one.items():
            for key in ("image", "keypoints", "box"):
                np.testing.assert_array_equal(record[key], other[number][key])


PIECES = st.sampled_from(
    ["image", "a.jpg", "wrist_x", "tip_y", "box_x", "split", "1", "-2.5", "1e9", "nan", "", "null"]
)
MARKS = st.sampled_from(
    [",", ";", "\n", '"', "{", "}", "[", "]", ":", '{"image": "a.jpg", "keypoints": ', HEADER, "\r\n"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES | MARKS | st.text(max_size=3), max_size=30).map("".join) | st.binary(max_size=60))
def test_whatever_a_file_holds_is_read_or_refused_in_one_line(tmp_path: Path, content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    for name, start in (("p.csv", HEADER.encode() + b"\n"), ("p.jsonl", b"")):
        for text in (data, start + data):
            (tmp_path / name).write_bytes(text)
            try:
                rows = list(custom_form.read(tmp_path / name, SKELETON))
                people = [person_of(row, SKELETON, tmp_path, tmp_path / name)[1] for row in rows]
            except MsposeError as error:
                assert "\n" not in str(error) and str(tmp_path / name) in str(error)
            else:
                assert all(np.isfinite(person.keypoints).all() for person in people)
