"""What `PoseEstimator` finds: one person's keypoints, and how they were found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas

BOX, COARSE_TO_FINE, FOLLOWED = "box", "coarse to fine", "followed"  # how a person was found
COLUMNS = ("image", "frame", "person", "keypoint", "x", "y", "score")


@dataclass(frozen=True, eq=False)
class Pose:
    """One person.

    Attributes:
        keypoints: (K, 2) float32 x, y in pixels of the upright photograph, the first pixel's centre at 0, 0.
        scores: (K,) float32, the heatmaps' peaks: about 1 where the network is sure, about 0 where it is not.
        skeleton: names, limbs and sides of the K keypoints.
        box: (centre x, centre y, side) of the square that the network looked at last, photograph pixels.
        size: (width, height) of the upright photograph.
        found: `box`, one was given; `coarse to fine`, from the whole photograph; `followed`, from the last frame.
        looks: passes of the network over this person, each after the first over a box about what the last one found.
        image: name of the photograph, None for one that came as pixels or bytes.
        person: number among the photograph's persons, from 0.
        frame: of a video, from 0; None for a photograph.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    box: tuple[float, float, float]
    size: tuple[int, int]
    found: str = BOX
    looks: int = 1
    image: str | None = None
    person: int = 0
    frame: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """K names, in the order of `keypoints`."""
        return self.skeleton.keypoints

    @property
    def how(self) -> str:
        """How the person was found, in words."""
        looks = f"{self.looks} look{'s' if self.looks > 1 else ''}"
        words = {BOX: "box given", COARSE_TO_FINE: "coarse to fine", FOLLOWED: "followed from the last frame"}
        return f"{words[self.found]}, {looks}"

    def __repr__(self) -> str:
        name = f"{self.image}, " if self.image else ""
        size = f"{self.size[0]} x {self.size[1]}"
        return f"Pose({name}{size}, {len(self.names)} keypoints, mean score {self.scores.mean():.2f}, {self.how})"

    def __str__(self) -> str:
        longest = max(map(len, self.names))
        rows = zip(self.names, self.keypoints, self.scores, strict=True)
        lines = [f"  {name:{longest}}  {x:8.1f} {y:8.1f}  {score:5.2f}" for name, (x, y), score in rows]
        return "\n".join([repr(self), *lines])

    def with_scores(self) -> np.ndarray:
        """(K, 3) x, y, score."""
        return np.concatenate([self.keypoints, self.scores[:, None]], axis=1)

    def draw(self, image: np.ndarray, *, threshold: float = 0.0) -> np.ndarray:
        """The photograph with the skeleton drawn on it.

        Args:
            image: (H, W, 3) uint8 RGB, of the size that the pose was found in. It is not changed.
            threshold: keypoints must score above it to be drawn.

        Raises:
            MsposeError: the image has another shape or type.
        """
        from keras_mspose.visualization import draw_pose

        return draw_pose(image, self.with_scores(), self.skeleton, threshold=threshold, person_size=self.box[2])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as `keypoints.json` has it."""
        rows = zip(self.names, self.keypoints.tolist(), self.scores.tolist(), strict=True)
        return {
            "image": self.image,
            **({} if self.frame is None else {"frame": self.frame}),
            "width": self.size[0],
            "height": self.size[1],
            "person": self.person,
            "found": self.found,
            "looks": self.looks,
            "box": dict(zip(("x", "y", "side"), self.box, strict=True)),
            "keypoints": [{"name": name, "x": x, "y": y, "score": score} for name, (x, y), score in rows],
        }

    @classmethod
    def from_dict(cls, said: dict[str, Any], skeleton: Skeleton) -> Pose:
        """The inverse of `to_dict`."""
        rows = np.float32([[k["x"], k["y"], k["score"]] for k in said["keypoints"]])
        box = tuple(said["box"][key] for key in ("x", "y", "side"))
        size = (said["width"], said["height"])
        more = {key: said.get(key) for key in ("found", "looks", "image", "person", "frame")}
        return cls(rows[:, :2], rows[:, 2], skeleton, box, size, **more)

    def to_coco(self, image_id: int | str | None = None) -> dict[str, Any]:
        """An entry of COCO's results form: `keypoints` is x, y, score in turn, `score` their mean.

        Args:
            image_id: by default the number that the photograph's name is, as COCO's are, else the name.
        """
        if image_id is None:
            stem = PurePath(self.image or "").stem
            image_id = int(stem) if stem.isascii() and stem.isdigit() else self.image
        return {
            "image_id": image_id,
            **({} if self.frame is None else {"frame": self.frame}),
            "category_id": 1,
            "keypoints": np.round(self.with_scores().astype(float), 4).ravel().tolist(),
            "score": round(float(self.scores.mean()), 6),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a keypoint, of the columns `COLUMNS`."""
        rows = zip(self.names, self.keypoints.tolist(), self.scores.tolist(), strict=True)
        about = {"image": self.image, "frame": self.frame, "person": self.person}
        return [{**about, "keypoint": name, "x": x, "y": y, "score": score} for name, (x, y), score in rows]

    def to_frame(self) -> pandas.DataFrame:
        """`rows` as a pandas DataFrame; see `to_frame` for many poses."""
        return to_frame([self])


def to_frame(poses: Iterable[Pose]) -> pandas.DataFrame:
    """Poses as one pandas DataFrame, a row a keypoint, of the columns `COLUMNS`.

    Raises:
        MsposeError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MsposeError("to_frame needs pandas, which is not installed: pip install pandas") from error
    return pandas.DataFrame([row for pose in poses for row in pose.rows()], columns=list(COLUMNS))
