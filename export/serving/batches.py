"""Crops of many requests in one call of the network.

Nothing waits for a batch to fill: while one batch runs, what arrives is the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Batches:
    """A queue of crops before one network.

    Args:
        run: (B, H, W, 3) to (B, K, 3), called in a thread of its own, one batch at a time.
        largest: crops of one batch.
        on_batch: told the size of each.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], largest: int, on_batch: Callable[[int], None]):
        self._run, self._largest, self._on_batch = run, largest, on_batch
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = deque()
        self._thread = ThreadPoolExecutor(1, "network")
        self._task: asyncio.Task[None] | None = None

    async def keypoints(self, crop: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 to (K, 3).

        Raises:
            Exception: what `run` raised for the batch that the crop was in.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((crop, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def call(self, function: Callable[..., object], *arguments: object) -> object:
        """Run something else in the network's thread, in turn with the batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._largest, len(self._waiting)))]
            batch = [(crop, future) for crop, future in batch if not future.cancelled()]
            if not batch:
                continue
            self._on_batch(len(batch))
            try:
                found = await self.call(self._run, np.stack([crop for crop, _ in batch]))
            except Exception as error:  # each of the batch is told, and the next batch is run
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), keypoints in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(keypoints)
