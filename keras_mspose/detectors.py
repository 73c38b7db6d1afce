"""Where the persons of a photograph are, by a detector that is installed already; none is fetched.

A detector is any callable that takes (H, W, 3) uint8 RGB and answers rectangles (N, 4), x, y, width, height in pixels.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

import cv2
import numpy as np

from keras_mspose.errors import MsposeError

Detector = Callable[[np.ndarray], np.ndarray]
HOG = "hog"
LONGEST = 800  # pixels of a photograph's longer side that HOG searches; its persons are then 96 pixels tall at least
SURE = 0.5  # distance from the support vector machine's plane
OVERLAP = 0.3  # of two boxes: the better one stays
# Its windows are 64 x 128 about a person of 96, who stands in the middle of them.
PERSON = (0.5, 0.75)


def find(name: str) -> Detector:
    """A detector by its name.

    Args:
        name: `hog`, OpenCV's histogram of oriented gradients (Dalal and Triggs, CVPR 2005), trained on people who stand
            or walk; or `MODULE:FUNCTION`, a callable of yours, of a module in the current folder or
            wherever Python imports from.

    Raises:
        MsposeError: no such detector, or this OpenCV comes without it.
    """
    if name == HOG:
        return _hog()
    module, colon, function = name.partition(":")
    if not colon:
        raise MsposeError(f"--detector {name}: expected {HOG}, or MODULE:FUNCTION for one of yours")
    if "" not in sys.path:  # the current folder, where an installed command does not look by itself
        sys.path.append("")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise MsposeError(f"--detector {name}: cannot be imported ({error})") from error
    if not callable(found):
        raise MsposeError(f"--detector {name}: is no function")
    return found


def _hog() -> Detector:
    if not hasattr(cv2, "HOGDescriptor"):
        raise MsposeError(
            f"--detector {HOG}: OpenCV {cv2.__version__} comes without it; put opencv-contrib-python-headless in the "
            "place of opencv-python-headless, or give boxes by --boxes"
        )
    descriptor = cv2.HOGDescriptor()
    descriptor.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def detect(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        scale = min(LONGEST / max(height, width), 1.0)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size[0] < 64 or size[1] < 128:
            return np.zeros((0, 4))
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
        boxes, scores = descriptor.detectMultiScale(small, winStride=(8, 8), scale=1.05, groupThreshold=0)
        kept = cv2.dnn.NMSBoxes(np.asarray(boxes).tolist(), np.ravel(scores).tolist(), SURE, OVERLAP)
        found = np.asarray(boxes, float).reshape(-1, 4)[np.asarray(kept, int).ravel()]
        margin = found[:, 2:] * (1 - np.array(PERSON)) / 2
        return np.concatenate([found[:, :2] + margin, found[:, 2:] - 2 * margin], axis=1) / scale

    return detect
