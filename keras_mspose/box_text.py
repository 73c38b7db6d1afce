"""A person box as it is typed."""

from __future__ import annotations

from keras_mspose.errors import MsposeError


def parse_box(text: str | None) -> tuple[float, ...] | None:
    """The numbers of CX,CY,SIDE or of X,Y,WIDTH,HEIGHT, for `person_boxes.squares`; None where there is no text.

    Raises:
        MsposeError: not three or four numbers.
    """
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (3, 4):
        raise MsposeError(f"box {text!r:.60}: expected CX,CY,SIDE or X,Y,WIDTH,HEIGHT in pixels, such as 320,240,400")
    return numbers
