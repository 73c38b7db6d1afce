"""A person box as it is typed: CX,CY,SIDE."""

from __future__ import annotations

import math

from keras_mspose.errors import MsposeError


def parse_box(text: str | None) -> tuple[float, float, float] | None:
    """Centre x, centre y and side in photograph pixels; None where there is no text.

    Raises:
        MsposeError: not three finite numbers, or a side that is not above 0.
    """
    if text is None:
        return None
    try:
        x, y, side = (float(part) for part in text.split(","))
    except ValueError as error:
        raise MsposeError(f"box {text!r:.60}: expected CX,CY,SIDE in pixels, for example 320,240,400") from error
    if not (math.isfinite(x) and math.isfinite(y) and 0 < side < math.inf):
        raise MsposeError(f"box {text!r:.60}: expected three numbers, the side above 0")
    return x, y, side
