"""Body axes and turns about them: the person's left, up and forward, lengths in statures."""

from __future__ import annotations

import numpy as np

LEFT, UP, FORWARD = np.eye(3)


def turn(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) rotation of body axes: about left (swings a hanging limb forwards), up (to the left), or
    forward (leftwards and up)."""
    i, j = ((1, 2), (0, 2), (1, 0))[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(np.radians(degrees))
    matrix[i, j] = np.sin(np.radians(degrees))
    matrix[j, i] = -matrix[i, j]
    return matrix


def swing(sign: int, angles: list[float]) -> np.ndarray:
    """(3, 3) of a hanging limb after twist, flexion and abduction; `sign` is 1 for the left side."""
    flexion, abduction, twist = angles
    return turn(2, sign * abduction) @ turn(0, flexion) @ turn(1, sign * twist)
