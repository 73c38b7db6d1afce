"""Multi-scale supervised single-person pose networks with Keras 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_mspose.pose import Pose, to_frame
    from keras_mspose.pose_estimator import PoseEstimator

__version__ = "0.1.0"
__all__ = ["Pose", "PoseEstimator", "__version__", "to_frame"]

_ROOMS = {"Pose": "pose", "PoseEstimator": "pose_estimator", "to_frame": "pose"}


def __getattr__(name: str) -> Any:
    """Each name's room is imported when it is first asked for: `mspose --help` needs none of them."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
