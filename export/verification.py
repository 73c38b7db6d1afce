"""How a file's answers differ from Keras's over many persons, and whether that is within the limits.

A heatmap may have two maxima that are equal but for rounding; then a file and Keras each pick one, and their keypoints
lie any distance apart without either being wrong. Such a keypoint is called flipped: the file's peak is at another
pixel, and Keras's own heatmap is there at most `NEAR` below its maximum. Flipped keypoints are counted and listed by
person, and left out of the mean, the 99.9th percentile and the largest difference; all three are also given with them.
A peak at another pixel where Keras sees no second maximum is a difference like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from keras_mspose.geometry import crop_to_heatmap

NEAR = {"float32": 1e-3, "float16": 1e-2, "dynamic": 5e-2, "int8": 5e-2}  # share of the maximum
PIXELS = {"float32": 0.01, "float16": 0.1}  # largest 99.9th percentile of the difference, crop pixels
POINTS = {"dynamic": 1.0, "int8": 1.0}  # largest loss of accuracy, percentage points


@dataclass
class Differences:
    """Gathered batch by batch.

    Attributes:
        stride: crop pixels a heatmap pixel.
        near: share of the maximum up to which a second one counts as its equal.
        pixels: distances (B, K) in crop pixels.
        flipped: (B, K) bool.
        gaps: (B, K) how far Keras's heatmap is below its maximum at the file's peak, share of the maximum.
        heatmaps: largest difference of a heatmap's value, None where the file gives no heatmaps.
    """

    stride: int
    near: float
    pixels: list[np.ndarray] = field(default_factory=list)
    flipped: list[np.ndarray] = field(default_factory=list)
    gaps: list[np.ndarray] = field(default_factory=list)
    heatmaps: float | None = None

    def add(self, keypoints: np.ndarray, expected: np.ndarray, maps: np.ndarray, own: np.ndarray | None) -> None:
        """Take in a batch.

        Args:
            keypoints, expected: (B, K, 3) the file's and Keras's, crop pixels.
            maps: (B, h, w, K) Keras's.
            own: (B, h, w, K) the file's, None where it gives none: its peak is then the pixel about its keypoint where
                Keras's heatmap is highest.
        """
        distance = np.linalg.norm(keypoints[..., :2] - expected[..., :2], axis=-1)
        peak = flat(maps).argmax(axis=1)
        found = _about(keypoints, maps, self.stride) if own is None else flat(own).argmax(axis=1)
        highest, there = (np.take_along_axis(flat(maps), at[:, None], axis=1)[:, 0] for at in (peak, found))
        gap = (highest - there) / np.maximum(np.abs(highest), 1e-12)
        self.pixels.append(distance)
        self.gaps.append(gap)
        self.flipped.append((found != peak) & (gap <= self.near))
        if own is not None:
            # np.maximum and not max: the latter would pass over a NaN
            self.heatmaps = float(np.maximum(self.heatmaps or 0.0, np.abs(own - maps).max()))

    def summary(self) -> dict:
        """Figures in crop pixels, without the flipped keypoints and with them; `flips` by person and keypoint."""
        pixels, flipped, gaps = (np.concatenate(part) for part in (self.pixels, self.flipped, self.gaps))
        places = [
            {"person": int(p), "keypoint": int(k), "moved_px": float(pixels[p, k]), "gap": float(gaps[p, k])}
            for p, k in zip(*np.nonzero(flipped), strict=True)
        ]
        return {
            "keypoints": int(pixels.size),
            "flipped": len(places),
            **_figures(pixels[~flipped]),
            "with_flipped": _figures(pixels.ravel()),
            "heatmaps": self.heatmaps,
            "flips": places,
        }


def judge(precision: str, found: dict, loss: float) -> tuple[bool, str]:
    """Whether a file is within its limit, and the limit in words.

    Args:
        precision: of the file.
        found: as `Differences.summary` gives it.
        loss: percentage points of accuracy under Keras's; NaN where no person counts.
    """
    if precision in PIXELS:
        limit = PIXELS[precision]
        return bool(found["p99_9_px"] <= limit), f"p99.9 at most {limit:g} px"
    limit = POINTS[precision]
    return bool(loss <= limit), f"at most {limit:g} point lost"


def flat(maps: np.ndarray) -> np.ndarray:
    """(B, h, w, K) to (B, h w, K)."""
    return maps.reshape(len(maps), -1, maps.shape[-1])


def _figures(pixels: np.ndarray) -> dict:
    if not pixels.size:
        return {"mean_px": 0.0, "p99_9_px": 0.0, "largest_px": 0.0}
    return {
        "mean_px": float(pixels.mean()),
        "p99_9_px": float(np.percentile(pixels, 99.9)),
        "largest_px": float(pixels.max()),
    }


def _about(keypoints: np.ndarray, maps: np.ndarray, stride: int) -> np.ndarray:
    """(B, K) flat position of the highest of the 3 x 3 pixels about each keypoint."""
    _, height, width, _ = maps.shape
    middle = np.nan_to_num(np.round(crop_to_heatmap(keypoints[..., :2], stride))).astype(int)
    rows = np.clip(middle[..., 1, None] + np.repeat([-1, 0, 1], 3), 0, height - 1)
    columns = np.clip(middle[..., 0, None] + np.tile([-1, 0, 1], 3), 0, width - 1)
    places = rows * width + columns  # (B, K, 9)
    values = np.take_along_axis(flat(maps).transpose(0, 2, 1), places, axis=2)
    return np.take_along_axis(places, values.argmax(axis=2)[..., None], axis=2)[..., 0]
