"""A body is refused with its own status and a reason that names the instance and the field."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from export.serving import body
from export.serving.refusal import Refused

SIZE = (8, 8)


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def parse(said: object) -> list[body.Instance] | np.ndarray:
    return body.parse(json.dumps(said).encode(), SIZE, most=3)


def test_every_form_of_an_instance() -> None:
    image = {"b64": picture()}
    plain, named, boxed, whole = (
        parse({"instances": [image]})[0],
        *parse(
            {
                "instances": [
                    {"image_bytes": image},
                    {"image_bytes": image, "boxes": [30, 20.5, 50]},
                    {"image_bytes": image, "box": [0, 0, 0]},
                ]
            }
        ),
    )
    assert {one.photograph.size for one in (plain, named, boxed, whole)} == {(60, 40)}
    assert plain.box is None and named.box is None and whole.box is None
    np.testing.assert_array_equal(boxed.box, np.float32([30, 20.5, 50]))
    crop = np.arange(8 * 8 * 3).reshape(8, 8, 3)
    for form in (crop.tolist(), {"crops": crop.tolist()}):
        found = parse({"instances": [form], "signature_name": "crops"})
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found[0], crop)


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ([], 400, 'a list "instances"'),
        ({"inputs": []}, 400, 'a list "instances"'),
        ({"instances": []}, 400, "instances is empty"),
        ({"instances": [1], "input": 1}, 400, "unknown field 'input'"),
        ({"instances": [1], "signature_name": "regress"}, 400, "expected one of serving_default, serving_boxes, crops"),
        ({"instances": [1, 2, 3, 4]}, 413, "4 instances, at most 3"),
        ({"instances": [[]] * 220}, 413, "more lists or objects than instances can have, at most 3"),
        ({"instances": [{}] * 7}, 413, "more lists or objects than instances can have, at most 3"),
        ({"instances": [1]}, 400, r"instances\[0\]: expected"),
        ({"instances": [{"image_bytes": "x"}]}, 400, r"instances\[0\]: expected"),
        ({"instances": [{"b64": 7}]}, 400, "b64 must be a string"),
        ({"instances": [{"b64": "ä"}]}, 400, "not base64"),
        ({"instances": [{"b64": picture()}, {"b64": 7}]}, 400, r"instances\[1\]: b64 must be a string"),
        ({"instances": [{"image_bytes": {"b64": picture()}, "side": 1}]}, 400, "unknown field 'side'"),
        ({"instances": [{"b64": picture()}], "signature_name": "serving_boxes"}, 400, "needs boxes"),
        ({"instances": [[[1]]], "signature_name": "crops"}, 400, "8 rows of 8 pixels"),
        ({"instances": [[[1], [1, 2]]], "signature_name": "crops"}, 400, "8 rows of 8 pixels"),
        ({"instances": [np.full((8, 8, 3), 256).tolist()], "signature_name": "crops"}, 400, "0 to 255"),
        ({"instances": [np.full((8, 8, 3), 0.5).tolist()], "signature_name": "crops"}, 400, "whole numbers"),
    ],
)
def test_what_is_refused(said: object, status: int, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        parse(said)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "box", [[1, 2], [1, 2, "3"], [1, 2, True], "box", {}, [1, 2, None], [1, 2, 1e400], [[1, 2, 3]]]
)
def test_what_is_no_box(box: object) -> None:
    with pytest.raises(Refused, match=r"instances\[0\]: a box must be three numbers") as refused:
        parse({"instances": [{"image_bytes": {"b64": picture()}, "boxes": box}]})
    assert refused.value.status == 400


def test_the_largest_requests_have_few_enough_brackets() -> None:
    crop = np.full((8, 8, 3), 255).tolist()
    assert parse({"instances": [{"crops": crop}] * 3, "signature_name": "crops"}).shape == (3, 8, 8, 3)
    boxed = {"image_bytes": {"b64": picture()}, "boxes": [30, 20, 50]}
    assert len(parse({"instances": [boxed] * 3})) == 3


@pytest.mark.parametrize(("side", "refused"), [(1e-18, True), (0.0099, True), (0.01, False), (-1e-18, False)])
def test_a_box_has_a_hundredth_of_a_pixel(side: float, refused: bool) -> None:
    said = {"instances": [{"image_bytes": {"b64": picture()}, "boxes": [30, 20, side]}]}
    if not refused:
        assert len(parse(said)) == 1
        return
    with pytest.raises(Refused, match=r"instances\[0\]: .*its side is under a hundredth of a pixel") as found:
        parse(said)
    assert found.value.status == 422


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ([-10, 20, 21], True),  # its right edge at 0.5, in the first pixel
        ([-10, 20, 19], False),  # at -0.5, the border
        ([69, 20, 19.1], True),
        ([69, 20, 18.9], False),
        ([30, 50, 20.9], False),
        ([30, 50, 22], True),
        ([30, 20, 960], True),
        ([30, 20, 961], False),
    ],
)
def test_boxes_about_the_border(box: list[float], inside: bool) -> None:
    said = {"instances": [{"image_bytes": {"b64": picture()}, "boxes": box}]}
    if inside:
        assert len(parse(said)) == 1
        return
    with pytest.raises(Refused, match=r"of 60 x 40|image's 60 x 40") as refused:
        parse(said)
    assert refused.value.status == 422
