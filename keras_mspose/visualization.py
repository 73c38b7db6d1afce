"""Drawing poses and heatmaps on photographs. Needs no TensorFlow.

Colours tell the person's own left (blue), right (orange) and middle (green), apart for colour-blind eyes too.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.geometry import crop_to_heatmap
from keras_mspose.result_file import write_bytes
from keras_mspose.skeleton import Skeleton
from keras_mspose.tiles import PAPER, checked, words

SIDES = {"left": (0, 114, 178), "right": (230, 159, 0), "middle": (0, 158, 115)}  # Okabe and Ito's, RGB
RIM, HALO = (20, 20, 20), (255, 255, 255)  # the one is seen on light photographs, the other on dark ones
SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
FAINTEST = 0.35  # opacity of what scores 0
LEGEND = 26  # height in pixels
FAR = 16384  # pixels: OpenCV's fixed-point coordinates overflow beyond


def draw_pose(
    image: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Skeleton,
    *,
    threshold: float = 0.0,
    person_size: float | None = None,
) -> np.ndarray:
    """Draw limbs and keypoints with a dark rim and a light one about it, legible on every photograph; low scores are
    faint.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints: (K, 3) x, y in pixels of the image, and a score, opaque from 1 on, or a visibility. Positions that
            are NaN are left out; positions outside of the image are drawn as far as they show.
        skeleton: names and limbs of the K keypoints.
        threshold: keypoints must score above it to be drawn.
        person_size: side of the person's box in pixels, for the thickness of the limbs; by default the longer side of
            the drawn keypoints' bounding box.

    Returns:
        (H, W, 3) uint8, a drawn copy.

    Raises:
        MsposeError: the image or the keypoints have another shape or type.
    """
    drawn = checked(image).copy()
    keypoints = np.asarray(keypoints, float)
    if keypoints.shape != (len(skeleton), 3):
        raise MsposeError(f"keypoints have the shape {keypoints.shape}, {skeleton.name} needs ({len(skeleton)}, 3)")
    shown = np.isfinite(keypoints).all(1) & (keypoints[:, 2] > threshold) & (np.abs(keypoints[:, :2]) < FAR).all(1)
    if not shown.any():
        return drawn
    if person_size is None:
        person_size = float(np.ptp(keypoints[shown, :2], axis=0).max())
    thick = max(2, round(person_size / 70))
    rim = max(1, round(thick / 4))
    points = [
        tuple(int(v) for v in np.round(np.where(s, p, 0) * 2**SHIFT)) for p, s in zip(keypoints, shown, strict=True)
    ]
    opacity = np.clip(np.nan_to_num(keypoints[:, 2]), FAINTEST, 1)
    # The faintest are drawn first, so that blending never lets a certain joint disappear under a doubtful one.
    limbs = [(min(opacity[i], opacity[j]), i, j) for i, j in skeleton.limb_indices if shown[i] and shown[j]]
    for strength, i, j in sorted(limbs):
        colour = SIDES[_limb_side(skeleton, i, j)]
        ends = np.array([points[i][:2], points[j][:2]]) / 2**SHIFT
        with _Blended(drawn, ends, thick + 2 * rim + 3, strength) as (layer, corner):
            start, end = ((p[0] - (corner[0] << SHIFT), p[1] - (corner[1] << SHIFT)) for p in (points[i], points[j]))
            for tone, wider in ((HALO, 4 * rim), (RIM, 2 * rim), (colour, 0)):
                cv2.line(layer, start, end, tone, thick + wider, cv2.LINE_AA, SHIFT)
    for k in sorted(np.flatnonzero(shown), key=lambda k: opacity[k]):
        radius = thick + 1
        colour = SIDES[skeleton.side(skeleton.keypoints[k])]
        with _Blended(drawn, np.array([points[k][:2]]) / 2**SHIFT, radius + 2 * rim + 2, opacity[k]) as (layer, corner):
            at = (points[k][0] - (corner[0] << SHIFT), points[k][1] - (corner[1] << SHIFT))
            for tone, wider in ((HALO, 2 * rim), (RIM, rim), (colour, 0)):
                cv2.circle(layer, at, (radius + wider) << SHIFT, tone, -1, cv2.LINE_AA, SHIFT)
    return drawn


def heatmap_overlay(
    image: np.ndarray, heatmaps: np.ndarray, *, peak: float | None = None, opacity: float = 0.75
) -> np.ndarray:
    """All keypoints' heatmaps in colour over a greyed image: at each pixel the largest of the K.

    A heatmap covers the whole image: with stride s = W / w, heatmap position (x + 0.5) / s - 0.5 lies on image x.

    Args:
        image: (H, W, 3) uint8 RGB.
        heatmaps: (h, w, K) float; values below 0 count as 0.
        peak: value of the strongest colour; by default the largest there is, but 0.1 at least, so that noise stays
            dark.
        opacity: of the strongest colour, 0..1.

    Returns:
        (H, W, 3) uint8.

    Raises:
        MsposeError: the image or the heatmaps have another shape or type.
    """
    image = checked(image)
    heatmaps = np.asarray(heatmaps, np.float32)
    if heatmaps.ndim != 3 or not heatmaps.size:
        raise MsposeError(f"heatmaps have the shape {heatmaps.shape}, expected (h, w, K)")
    height, width = image.shape[:2]
    strongest = np.nan_to_num(heatmaps.max(-1))
    columns = crop_to_heatmap(np.arange(width, dtype=np.float32), width / heatmaps.shape[1])
    rows = crop_to_heatmap(np.arange(height, dtype=np.float32), height / heatmaps.shape[0])
    at = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    spread = cv2.remap(strongest, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    strength = np.clip(spread / (peak or max(float(strongest.max()), 0.1)), 0, 1)
    colours = cv2.applyColorMap(np.uint8(np.round(strength * 255)), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * 0.7
    share = opacity * np.sqrt(strength)[..., None]
    return np.uint8(np.round(grey * (1 - share) + colours * share))


def legend(width: int, said: str = "") -> np.ndarray:
    """What the colours mean, as a line above pictures.

    Args:
        width: of the line in pixels; what does not fit is cut.
        said: words behind it.

    Returns:
        (LEGEND, width, 3) uint8 RGB.
    """
    parts = []
    for side, colour in SIDES.items():
        dot = np.full((LEGEND, 18, 3), PAPER, np.uint8)
        for tone, radius in ((RIM, 6), (colour, 5)):
            cv2.circle(dot, (9, LEGEND // 2), radius, tone, -1, cv2.LINE_AA)
        parts += [dot, words(f"own {side}" if side != "middle" else side, 74, LEGEND)]
    line = np.concatenate(parts, axis=1)
    rest = words(said, max(1, width - line.shape[1]), LEGEND)
    return np.concatenate([line, rest], axis=1)[:, :width]


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image, beside its name first.

    Raises:
        MsposeError: the image has another shape or type, or the file cannot be written.
    """
    _, encoded = cv2.imencode(".png", checked(image)[..., ::-1])
    write_bytes(path, encoded.tobytes())


class _Blended:
    """Draw at some opacity: gives a copy of the part of the image about some points, and mixes it in afterwards."""

    def __init__(self, image: np.ndarray, points: np.ndarray, margin: int, opacity: float) -> None:
        low = np.floor(points.min(0)).astype(int) - margin
        high = np.ceil(points.max(0)).astype(int) + margin + 1
        self.corner = tuple(int(v) for v in np.clip(low, 0, image.shape[1::-1]))
        stop = np.clip(high, 0, image.shape[1::-1])
        self.target = image[self.corner[1] : stop[1], self.corner[0] : stop[0]]
        self.opacity = float(opacity)

    def __enter__(self) -> tuple[np.ndarray, tuple[int, int]]:
        # OpenCV refuses an empty array: what lies outside of the image is drawn on a pixel that nobody sees.
        self.layer = self.target.copy() if self.target.size else np.zeros((1, 1, 3), np.uint8)
        return self.layer, self.corner

    def __exit__(self, *_: object) -> None:
        if self.target.size:
            self.target[:] = cv2.addWeighted(self.layer, self.opacity, self.target, 1 - self.opacity, 0)


def _limb_side(skeleton: Skeleton, i: int, j: int) -> str:
    sides = {skeleton.side(skeleton.keypoints[k]) for k in (i, j)} - {"middle"}
    return sides.pop() if len(sides) == 1 else "middle"
