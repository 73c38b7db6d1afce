"""A training that is asked to end does so between two steps, with a checkpoint, and says with which exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# sysexits.h's EX_TEMPFAIL, "temporary failure, try again". Not 143: that is also what a process has that died of the
# signal without having saved.
TRY_AGAIN = 75
CODES = {signal.SIGTERM: TRY_AGAIN, signal.SIGINT: 130}


class Interrupted(Exception):
    """The work was ended from outside, all is saved, and the same command goes on with it.

    Attributes:
        code: exit code of the process.
    """

    def __init__(self, message: str, code: int = TRY_AGAIN):
        super().__init__(message)
        self.code = code


class Wish:
    """What was asked for from outside.

    Attributes:
        signal: the signal that came; None while none has.
    """

    signal: signal.Signals | None = None


@contextmanager
def wishes() -> Iterator[Wish]:
    """Within the block SIGTERM and the first Ctrl-C only write down that they came; a second Ctrl-C ends the process
    as ever. Outside the main thread, where Python takes no signals, nothing changes."""
    wish = Wish()

    def note(number: int, _frame: FrameType | None) -> None:
        wish.signal = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.signal(number, note) for number in CODES}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
