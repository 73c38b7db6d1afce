"""The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012): smooths what stands still, follows what moves.

alpha(f) = 1 / (1 + 1 / (2 pi f dt))                      of a low pass with the cutoff f
v = alpha(d) (x - y') / dt + (1 - alpha(d)) v'            speed, smoothed
f = minimum + beta |v|                                    cutoff: the faster, the less is smoothed
y = alpha(f) x + (1 - alpha(f)) y'                        answer; ' is the one before
"""

from __future__ import annotations

import math

import numpy as np


class OneEuro:
    """Smooths an array of numbers over time, each by its own speed.

    Args:
        minimum: cutoff frequency of what stands still, Hz. Lower: less jitter.
        beta: how much speed raises the cutoff, Hz by unit a second. Higher: less lag.
        derivative: cutoff frequency of the speed, Hz.
    """

    def __init__(self, minimum: float = 1.0, beta: float = 0.0, derivative: float = 1.0):
        self.minimum, self.beta, self.derivative = minimum, beta, derivative
        self._value: np.ndarray | None = None

    def __call__(self, value: np.ndarray, seconds: float) -> np.ndarray:
        """The next value, smoothed.

        Args:
            value: array of the same shape each time.
            seconds: when it was measured; not after the one before it: taken as it stands, and no speed is learnt.
        """
        value = np.asarray(value, float)
        if self._value is None:
            self._value, self._speed = value, np.zeros_like(value)
        elif seconds <= self._seconds:
            self._value = value
        else:
            dt = seconds - self._seconds
            share = _alpha(self.derivative, dt)
            self._speed = share * (value - self._value) / dt + (1 - share) * self._speed
            share = _alpha(self.minimum + self.beta * np.abs(self._speed), dt)
            self._value = share * value + (1 - share) * self._value
        self._seconds = seconds
        return self._value.copy()


def _alpha(cutoff: np.ndarray | float, dt: float) -> np.ndarray | float:
    return 1 / (1 + 1 / (2 * math.pi * cutoff * dt))
