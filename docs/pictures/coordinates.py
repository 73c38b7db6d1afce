"""Draws docs/pictures/coordinates.svg: `python docs/pictures/coordinates.py`.

Every position in it comes from keras_mspose.geometry, so that the picture cannot say anything else than the code.
"""

from __future__ import annotations

from pathlib import Path

from keras_mspose.geometry import crop_to_heatmap, flip_x
from keras_mspose.result_file import write_text

OUT = Path(__file__).with_name("coordinates.svg")
WIDE, STRIDE = 8, 4  # pixels of the crop, crop pixels a heatmap pixel
POINT = 5.0  # crop pixels: the example
UNIT, LEFT = 84, 54  # picture units a crop pixel, and left of the crop's edge
ROWS = {"crop": 74, "heatmap": 214, "flip": 354}  # top of each row of pixels
HIGH = 46
BLUE, ORANGE, INK, SOFT = "#0072b2", "#b36b00", "#1d2126", "#5d6670"


def across(x: float) -> float:
    """Place of a crop coordinate in the picture."""
    return LEFT + (x + 0.5) * UNIT


def text(x: float, y: float, words: str, colour: str = INK, anchor: str = "middle", size: int = 15) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{words}</text>'


def pixels(top: float, count: int, stride: int, names: list[str]) -> list[str]:
    """A row of pixels with their centres, `stride` crop pixels wide each."""
    parts = []
    for i in range(count):
        x = LEFT + i * stride * UNIT
        parts.append(
            f'<rect x="{x}" y="{top}" width="{stride * UNIT}" height="{HIGH}" fill="#eef2f6" stroke="{SOFT}"/>'
        )
        middle = x + stride * UNIT / 2
        parts.append(f'<circle cx="{middle:g}" cy="{top + HIGH / 2}" r="3.5" fill="{SOFT}"/>')
        parts.append(text(middle, top + HIGH - 5, names[i], SOFT, size=13))
    return parts


def point(x: float, top: float, words: str, colour: str, above: bool = True) -> list[str]:
    place = across(x)
    return [
        f'<circle cx="{place:g}" cy="{top + HIGH / 2}" r="7" fill="{colour}" stroke="white" stroke-width="2"/>',
        text(place, top - 8 if above else top + HIGH + 18, words, colour),
    ]


def svg() -> str:
    """The whole picture."""
    width = 2 * LEFT + WIDE * UNIT
    heat = float(crop_to_heatmap(POINT, STRIDE))
    mirrored = float(flip_x(POINT, WIDE))
    crop, maps, flip = ROWS.values()
    spans = f"crop, {WIDE} pixels wide: centres at 0 .. {WIDE - 1}, edges at -0.5 and {WIDE - 0.5:g}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 440" font-family="sans-serif" role="img" '
        f'aria-label="pixel centres of a crop, of its heatmap, and of the mirrored crop">',
        f'<rect width="{width}" height="440" fill="white"/>',
        text(LEFT, 24, spans, INK, "start"),
        *pixels(crop, WIDE, 1, [f"{i}" for i in range(WIDE)]),
        text(across(-0.5), crop + HIGH + 18, "-0.5", SOFT, size=13),
        text(across(WIDE - 0.5), crop + HIGH + 18, f"{WIDE - 0.5:g}", SOFT, size=13),
        *point(POINT, crop, f"x = {POINT:g}", BLUE),
        text(LEFT, 164, f"its heatmap, stride {STRIDE}: h = (x + 0.5) / {STRIDE} - 0.5", INK, "start"),
        *pixels(maps, WIDE // STRIDE, STRIDE, [f"{i}" for i in range(WIDE // STRIDE)]),
        *point(POINT, maps, f"h = {heat:g}", BLUE),
        f'<line x1="{across(POINT):g}" y1="{crop + HIGH}" x2="{across(POINT):g}" y2="{maps - 24}" stroke="{BLUE}" '
        f'stroke-dasharray="4 4"/>',
        # where h = x / stride would put the keypoint
        *point((POINT / STRIDE + 0.5) * STRIDE - 0.5, maps, f"x / {STRIDE} = {POINT / STRIDE:g}: wrong", ORANGE),
        text(LEFT, 304, f"mirrored: x becomes {WIDE} - 1 - x, and left and right exchange their names", INK, "start"),
        *pixels(flip, WIDE, 1, [f"{i}" for i in range(WIDE)]),
        *point(mirrored, flip, f"x = {mirrored:g}", BLUE),
        text(across(-0.5), flip + HIGH + 18, "-0.5", SOFT, size=13),
        text(across(WIDE - 0.5), flip + HIGH + 18, f"{WIDE - 0.5:g}", SOFT, size=13),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    write_text(OUT, svg())
