"""Line charts as inline SVG: sharp at every size, and in the page's own colours, light or dark. Text out, no files."""

from __future__ import annotations

import math
from html import escape

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 36  # room about the plot for labels


def line_chart(
    title: str, x_label: str, x: list[float], lines: dict[str, list[float]], level: tuple[str, float] | None = None
) -> str:
    """A chart of some lines over one axis, which begins at 0 upwards.

    The page styles the classes `chart`, `axis`, `line0`, `line1`, ... and `level`; without it all is in one colour.

    Args:
        title: what is drawn; also what a screen reader says.
        x_label: under the axis.
        x: positions of the points, rising.
        lines: values by the line's name, one for each x; values that are not finite leave a gap.
        level: name and value of a dashed line across.

    Returns:
        An `<svg>` element.

    Raises:
        ValueError: no points, or a line of another length than x.
    """
    if not x or any(len(values) != len(x) for values in lines.values()):
        raise ValueError(f"{title}: every line needs one value for each of {len(x)} points, and there must be some")
    finite = [v for values in lines.values() for v in values if math.isfinite(v)] + ([level[1]] if level else [])
    steps = _ticks(max([*finite, 1e-9]))
    top = steps[-1]

    def across(value: float) -> float:
        span = x[-1] - x[0]
        return LEFT + (WIDTH - LEFT - RIGHT) * ((value - x[0]) / span if span else 0.5)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value in steps:
        y = up(value)
        parts.append(
            f'<line class="axis" stroke="currentColor" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in x[:: math.ceil(len(x) / 12)]:
        parts.append(f'<text x="{across(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>'
    )
    if level:
        y = up(level[1])
        parts.append(
            f'<line class="level" stroke="currentColor" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{y - 5:.1f}" text-anchor="end">{escape(level[0])}</text>')
    for number, (name, values) in enumerate(lines.items()):
        points = [(across(a), up(b)) for a, b in zip(x, values, strict=True) if math.isfinite(b)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline class="line{number}" points="{path}" fill="none" stroke="currentColor"/>')
        parts.extend(f'<circle class="line{number}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points)
        key = LEFT + 150 * number
        parts.append(f'<line class="line{number}" stroke="currentColor" x1="{key}" x2="{key + 18}" y1="10" y2="10"/>')
        parts.append(f'<text x="{key + 24}" y="14">{escape(name)}</text>')
    return "".join(parts) + "</svg>"


def _ticks(largest: float) -> list[float]:
    """From 0 to the first round number that is not below `largest`, in four to eight round steps."""
    rough = largest / 6
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [round(step * i, 12) for i in range(math.ceil(round(largest / step, 9)) + 1)]
