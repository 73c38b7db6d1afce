"""One person followed through a video: each frame is looked at about where the person was in the one before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_mspose import geometry
from keras_mspose.crops import Photograph
from keras_mspose.detectors import Detector
from keras_mspose.one_euro import OneEuro
from keras_mspose.pose import FOLLOWED, Pose
from keras_mspose.pose_estimator import PoseEstimator

GROWTH = 1.25  # of the box from one frame to the next, at most; and its inverse
ENLARGED = 2  # a crop's pixels a photograph's, at most: a person who is smaller gains nothing
FADED = 0.5  # share of the best mean score since the person was found, under which the person counts as lost
FAINT = 0.15  # mean score under which nobody is followed
MINIMUM = 1.0  # Hz: a joint that stands still
BETA = 1.0  # Hz by person size a second: a hand that crosses a person's size in a second is smoothed at 2 Hz


class Tracker:
    """Finds the person in each of a video's frames.

    Where nobody is followed yet, or the person was lost, the whole frame is searched, coarse to fine, or by a detector
    of whose boxes the largest is taken.

    Args:
        estimator: the network.
        smooth: whether keypoints go through a One-Euro filter. What is followed is not smoothed.
        first: (centre x, centre y, side) of the square to look at in the first frame.
        looks: passes of each search; a frame where the person is followed has one.
        flip, detector: see `PoseEstimator.predict`.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        *,
        smooth: bool = True,
        first: tuple[float, float, float] | None = None,
        looks: int | None = None,
        flip: bool = False,
        detector: Detector | None = None,
    ):
        self._estimator, self._smooth, self._flip, self._detector = estimator, smooth, flip, detector
        self._first, self._looks = first, looks
        self._last: Pose | None = None

    def find(self, image: np.ndarray, seconds: float) -> Pose | None:
        """The person in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, of the same size each time.
            seconds: when it was taken.

        Returns:
            The pose, smoothed if asked for; None where a detector sees nobody.
        """
        pose = self._followed(image) if self._last is not None else None
        if pose is None:
            pose = self._searched(image)
            self._best = 0.0
        if pose is None:
            self._last = None
            return None
        score = float(pose.scores.mean())
        self._best = max(self._best, score)
        self._last = pose if score >= max(FAINT, FADED * self._best) else None
        return self._smoothed(pose, seconds) if self._smooth else pose

    def _followed(self, image: np.ndarray) -> Pose | None:
        """The pose about the last one, or None where that box does not meet the frame."""
        last = self._last
        widest = np.float32([*last.box[:2], last.box[2] * GROWTH])
        box = geometry.narrowed_box(last.with_scores(), widest)
        box[2] = max(box[2], last.box[2] / GROWTH, max(self._estimator.network.input_size) / ENLARGED)
        if not (np.abs(box[:2]) <= np.array(last.size) + box[2]).all():
            return None
        keypoints = self._estimator.look([Photograph.of_pixels(image)], [box], flip=self._flip)[0]
        square = tuple(float(v) for v in box)
        return replace(last, keypoints=keypoints[:, :2], scores=keypoints[:, 2], box=square, found=FOLLOWED, looks=1)

    def _searched(self, image: np.ndarray) -> Pose | None:
        self._filter = OneEuro(MINIMUM, BETA)
        self._scale = None
        box, self._first = self._first, None
        found = self._estimator.predict(image, box, looks=self._looks, flip=self._flip, detector=self._detector)
        return max(found, key=lambda pose: pose.box[2], default=None)

    def _smoothed(self, pose: Pose, seconds: float) -> Pose:
        # In sizes of the person, so that the filter does the same for a near one and a far one.
        self._scale = self._scale or pose.box[2]
        return replace(pose, keypoints=np.float32(self._filter(pose.keypoints / self._scale, seconds) * self._scale))
