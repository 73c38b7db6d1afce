"""The demo's page, with stand-in figures: whole, escaped, and in need of nothing outside of itself."""

import base64
import re
from html.parser import HTMLParser

import cv2
import jinja2
import numpy as np
import pytest

from keras_mspose.charts import line_chart
from keras_mspose.errors import MsposeError
from keras_mspose.report import clock, data_uri, percent, render_page, tiny

VOID = {"meta", "img", "br", "hr", "input", "link"}


def accuracy(**changes: object) -> dict:
    found = {
        "metric": "PCKh",
        "threshold": 0.5,
        "mean": 81.23,
        "weighted_mean": 80.5,
        "groups": {"Head": 95.04, "Wrist": None},
        "joints": {"head_top": 95.04, "left_<wrist>": None},
        "counts": {"head_top": 40, "left_<wrist>": 0},
        "persons": {"counted": 40, "all": 41},
    }
    return {**found, **changes}


@pytest.fixture
def figures() -> dict:
    head = accuracy()
    return {
        "accuracy": accuracy(answer="regression", heads={"stack1_gt1": head, "regression": head}),
        "baseline": accuracy(mean=19.87, groups={"Head": 12.5, "Wrist": None}),
        "network": {"parameters": 123456, "heads": {"stack1_gt1": [32, 24], "regression": [32, 24]}},
        "data": {"train": 3000, "val": 41, "unscored": ["head_top"]},
        "epochs": [{"epoch": i, "loss": 9.0 / i, "val_loss": 8.0 / i, "val_accuracy": 20.0 * i} for i in (1, 2, 3)],
        "persons": [
            {"place": 7, "name": "val/<7>.jpg", "error": 0.123, "right": 13, "counted": 14, "group": "best"},
            {"place": 2, "name": "val/2.jpg", "error": 2.5, "right": 1, "counted": 14, "group": "worst"},
        ],
        "formats": [
            {"name": "onnx", "bytes": 525_000, "heatmap_difference": 3.1e-7, "keypoint_difference_px": 0, "good": True},
            {"name": "tflite", "bytes": 99, "heatmap_difference": 0.2, "keypoint_difference_px": 3, "good": False},
        ],
        "export": {"good": False, "compared": 8},
        "stages": {"render": {"seconds": 61.2, "cpu_seconds": 100.0, "note": ""}},
        "machine": {"system": "Linux", "cores": 2, "gpus": 0},
        "versions": {"Keras": "3.15"},
        "commands": ["mspose convert synthetic --out a && b"],
    }


@pytest.fixture
def pictures() -> dict[int, np.ndarray]:
    return {place: np.full((20, 30, 3), 20 * place, np.uint8) for place in (7, 2)}


class Tags(HTMLParser):
    """Sees that what is opened is closed, and collects addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.seen: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.seen.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "srcset", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(figures: dict, pictures: dict) -> None:
    page = render_page(figures, pictures, {7: pictures[7]})
    tags = Tags(page)
    assert tags.addresses and all(a.startswith("data:image/jpeg;base64,") for a in tags.addresses)
    assert "://" not in page and "@import" not in page and "url(" not in page
    assert tags.seen.count("img") == 3 and tags.seen.count("svg") == 2 and tags.seen.count("table") == 5


def test_the_page_says_the_figures(figures: dict, pictures: dict) -> None:
    page = render_page(figures, pictures, {})
    for said in ("81.2", "19.9", "95.0", "12.5", "80.5", "1:01", "123,456", "0.53", "3.1e-07", "error 0.12, 13 of 14"):
        assert said in page, said
    assert "beyond tolerance" in page and "1 of 2" in page and "24 × 32" in page


def test_names_are_escaped(figures: dict, pictures: dict) -> None:
    page = render_page(figures, pictures, {7: pictures[7]})
    assert (
        "<wrist>" not in page
        and "left &lt;wrist&gt;" in page
        and "val/&lt;7&gt;.jpg" in page
        and "a &amp;&amp; b" in page
    )


def test_a_missing_figure_is_an_error_and_no_hole(figures: dict, pictures: dict) -> None:
    del figures["baseline"]["joints"]
    with pytest.raises(jinja2.UndefinedError):
        render_page(figures, pictures, {})


def test_a_picture_comes_back_out_of_its_address() -> None:
    image = np.zeros((24, 40, 3), np.uint8)
    image[:, :20] = (200, 40, 40)
    encoded = base64.b64decode(data_uri(image).partition(",")[2])
    again = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(again[:, [5, 35]].astype(int) - image[:, [5, 35]]).max() < 12
    for wrong in (image[..., 0], image.astype(float), image[:0]):
        with pytest.raises(MsposeError, match="expected uint8"):
            data_uri(wrong)


def test_figures_read_as_people_write_them() -> None:
    assert [percent(v) for v in (81.25, None, float("nan"))] == ["81.2", "–", "–"]
    assert [clock(s) for s in (0, 59.6, 247)] == ["0:00", "1:00", "4:07"]
    assert [tiny(v) for v in (0, 3.14e-7)] == ["0", "3.1e-07"]


def test_a_chart_puts_values_at_their_height() -> None:
    drawn = line_chart("t", "x", [1, 2, 3], {"a": [0.0, 50.0, 100.0]}, level=("low", 50.0))
    points = re.search(r'<polyline class="line0" points="([^"]+)"', drawn)[1].split()
    assert points == ["46.0,224.0", "257.0,125.0", "468.0,26.0"]
    assert 'class="level" stroke="currentColor" x1="46" x2="468" y1="125.0"' in drawn and ">100</text>" in drawn


def test_a_chart_bears_odd_lines() -> None:
    one = line_chart("<t>", "x", [1], {"a": [5.0]})
    assert "&lt;t&gt;" in one and 'points="257.0,' in one
    assert "nan" not in line_chart("t", "x", [1, 2], {"a": [float("nan"), 1.0]})
    assert line_chart("t", "x", [1, 2], {"a": [0.0, 0.0]})
    for wrong in ([], [1, 2]):
        with pytest.raises(ValueError, match="needs one value"):
            line_chart("t", "x", wrong, {"a": [1.0]})
