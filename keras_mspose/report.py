"""The demo's figures and pictures as one HTML page that needs nothing beside itself. Loads no TensorFlow."""

from __future__ import annotations

import base64
import math

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from keras_mspose.charts import line_chart
from keras_mspose.errors import MsposeError

QUALITY = 88  # of the page's JPEGs


def data_uri(image: np.ndarray) -> str:
    """An (H, W, 3) uint8 RGB image as a JPEG inside a `data:` address.

    Raises:
        MsposeError: the image has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise MsposeError(f"image is {image.dtype} of shape {image.shape}, expected uint8 of (H, W, 3)")
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def template(name: str) -> jinja2.Template:
    """A page's template, with the filters that figures are written by; a figure that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_mspose"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, clock=clock, tiny=tiny)
    return environment.get_template(name)


def render_page(figures: dict, sheet: dict[int, np.ndarray], strips: dict[int, np.ndarray]) -> str:
    """The whole page.

    Args:
        figures: the content of `demo.json` (see `keras_mspose.demo`).
        sheet: drawn persons, uint8 RGB, by their number in the split; `figures["persons"]` says who they are.
        strips: heatmap strips, uint8 RGB, by the same number.

    Returns:
        HTML, without any address outside of the page.

    Raises:
        jinja2.UndefinedError: a figure that the page shows is missing.
    """
    persons = [{**one, "picture": data_uri(sheet[one["place"]])} for one in figures["persons"]]
    return template("demo.html").render(
        **{**figures, "persons": persons},
        strips=[{"name": _name(figures, place), "picture": data_uri(strip)} for place, strip in strips.items()],
        charts=_charts(figures),
        total_seconds=sum(stage["seconds"] for stage in figures["stages"].values()),
    )


def percent(value: float | None) -> str:
    """81.2; a dash where nothing was counted."""
    return "–" if value is None or math.isnan(value) else f"{value:.1f}"


def clock(seconds: float) -> str:
    """Minutes and seconds: 4:07."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def tiny(value: float) -> str:
    """A difference with two digits: 3.1e-07; a true zero as 0."""
    return "0" if value == 0 else f"{value:.1e}"


def _name(figures: dict, place: int) -> str:
    return next(one["name"] for one in figures["persons"] if one["place"] == place)


def _charts(figures: dict) -> list[Markup]:
    rows = figures["epochs"]
    x = [row["epoch"] for row in rows]
    metric = figures["accuracy"]["metric"]
    loss = {"training": [row["loss"] for row in rows], "validation": [row["val_loss"] for row in rows]}
    baseline = ("mean position", figures["baseline"]["mean"])
    return [
        # The chart escapes what it is given; autoescape must not do it twice.
        Markup(line_chart("Loss, all heads together", "epoch", x, loss)),
        Markup(
            line_chart(
                f"{metric} on validation persons",
                "epoch",
                x,
                {f"{metric}, %": [row["val_accuracy"] for row in rows]},
                level=baseline,
            )
        ),
    ]
