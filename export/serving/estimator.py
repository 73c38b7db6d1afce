"""From a photograph and a box to keypoints, looking again where no box was given."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

import numpy as np

from export.serving.batches import Batches
from export.serving.body import Instance
from export.serving.refusal import Refused
from keras_mspose import geometry
from keras_mspose.crops import Damaged, Photograph


class Estimator:
    """Finds persons, many at a time.

    Args:
        batches: in front of the network.
        workers: threads that decode and crop.
        crop_size: (H, W).
        looks: at a photograph that comes without a box.
    """

    def __init__(self, batches: Batches, workers: Executor, crop_size: tuple[int, int], looks: int):
        self._batches, self._workers, self._crop_size, self._looks = batches, workers, crop_size, looks

    async def find(self, instance: Instance, where: str) -> np.ndarray:
        """Keypoints (K, 3) of one person: x, y in photograph pixels, score.

        A box is taken as it stands; without one, the looks go from the whole photograph to a box about what the look
        before found, as those of `mspose predict` do.

        Raises:
            Refused: the photograph cannot be decoded to its end.
        """
        if instance.box is not None:
            return await self._look(instance.photograph, instance.box, where)
        width, height = instance.photograph.size
        center, side = geometry.image_box(np.float32(width), np.float32(height))
        box = first = np.array([*center, side], np.float32)
        for _ in range(self._looks - 1):
            box = geometry.narrowed_box(await self._look(instance.photograph, box, where), first)
        return await self._look(instance.photograph, box, where)

    async def _look(self, photograph: Photograph, box: np.ndarray, where: str) -> np.ndarray:
        loop = asyncio.get_running_loop()
        try:
            crop = await loop.run_in_executor(self._workers, photograph.crop, box, self._crop_size)
        except Damaged as error:
            raise Refused(422, f"{where}: {error}") from error
        keypoints = (await self._batches.keypoints(crop)).copy()
        back = geometry.invert(geometry.crop_transform(box[:2], box[2], self._crop_size))
        keypoints[:, :2] = geometry.apply(back, keypoints[:, :2])
        return keypoints
