"""Room for what is worked on at a time, so that many large requests take turns instead of all the memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """So much of something; who finds too little left waits for his turn, first come first served.

    Args:
        size: of the whole, in any unit. What is larger than that gets all of it.
    """

    def __init__(self, size: int):
        self._size = self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        """Have `amount` of the room within the block."""
        amount = min(amount, self._size)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given, and is not to be used
                self._give_back(amount)
            raise
        try:
            yield
        finally:
            self._give_back(amount)

    def _give_back(self, amount: int) -> None:
        self._left += amount
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if turn.done():  # cancelled while it waited
                self._waiting.popleft()
            elif amount <= self._left:
                self._waiting.popleft()
                self._left -= amount
                turn.set_result(None)
            else:
                return
