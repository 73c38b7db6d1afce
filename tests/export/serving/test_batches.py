"""Crops that wait go together, each gets its own answer, and a failure is told to those whom it concerns alone."""

import asyncio
import time

import numpy as np
import pytest

from export.serving.batches import Batches
from export.serving.room import Room


def crop(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def test_what_waits_goes_together() -> None:
    sizes: list[int] = []

    def network(crops: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return np.repeat(crops[:, :1, 0, :1].astype(np.float32), 3, axis=2)

    async def run() -> list[np.ndarray]:
        batches = Batches(network, 4, sizes.append)
        return await asyncio.gather(*(batches.keypoints(crop(i)) for i in range(11)))

    found = asyncio.run(run())
    assert [int(one[0, 0]) for one in found] == list(range(11))
    assert sum(sizes) == 11 and max(sizes) == 4 and len(sizes) <= 4


def test_a_failure_is_its_batchs_alone() -> None:
    def network(crops: np.ndarray) -> np.ndarray:
        if (crops == 1).any():
            raise RuntimeError("no memory")
        return np.zeros((len(crops), 1, 3))

    async def run() -> list[object]:
        batches = Batches(network, 1, lambda size: None)
        given_up = asyncio.ensure_future(batches.keypoints(crop(3)))
        await asyncio.sleep(0)
        given_up.cancel()
        return await asyncio.gather(*(batches.keypoints(crop(i)) for i in range(3)), return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert isinstance(second, RuntimeError) and first.shape == third.shape == (1, 3)


def test_room_is_never_overdrawn_and_always_given_back() -> None:
    async def run() -> tuple[int, list[int]]:
        room, taken, most, order = Room(10), 0, 0, []

        async def work(number: int, amount: int) -> None:
            nonlocal taken, most
            async with room.take(amount):
                order.append(number)
                taken += min(amount, 10)
                most = max(most, taken)
                await asyncio.sleep(0.001)
                taken -= min(amount, 10)
                if number == 5:
                    raise ValueError

        tasks = [asyncio.ensure_future(work(i, amount)) for i, amount in enumerate((4, 4, 4, 50, 1, 6, 10, 3))]
        await asyncio.sleep(0)
        tasks[3].cancel()  # while it waits
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found if one is not None] == [asyncio.CancelledError, ValueError]
        await asyncio.wait_for(work(8, 10), 1)  # all of it is there again
        return most, order

    most, order = asyncio.run(run())
    assert most == 10 and order == [0, 1, 2, 4, 5, 6, 7, 8]


def test_a_turn_that_comes_with_the_cancellation_is_given_back() -> None:
    async def run() -> None:
        room = Room(1)

        async def work() -> None:
            async with room.take(1):
                await asyncio.sleep(0)

        async with room.take(1):
            waiting = asyncio.ensure_future(work())
            await asyncio.sleep(0)
        waiting.cancel()  # its turn has come, and it has not run yet
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(work(), 1)

    asyncio.run(run())
