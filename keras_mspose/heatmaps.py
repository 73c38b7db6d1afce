"""The codec: keypoints to heatmaps at every scale, and heatmaps to sub-pixel keypoints.

A keypoint at h (heatmap pixels) is a Gaussian of peak 1: exp(-|p - h|^2 / (2 sigma^2)), centred between pixels where h
is, so that nothing is rounded. Decoding reads the peak and its neighbours: the logarithm of a Gaussian is a parabola,
so its vertex follows exactly from three values, and at a border, where one neighbour is missing, from two values and
sigma. NumPy arrays and TensorFlow tensors are both taken and answered in kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mspose.geometry import array_module, crop_to_heatmap, heatmap_to_crop

DECODINGS = ("parabola", "quarter", "argmax")
LOG_FLOOR = 1e-3  # neighbours below this share of the peak count as this share: noise, not shape


def flip_mean(heatmaps: np.ndarray, mirrored: np.ndarray, flip_order: np.ndarray) -> np.ndarray:
    """The flip test's mean.

    Args:
        heatmaps: (B, h, w, K) of crops.
        mirrored: of the mirrored crops.
        flip_order: (K,) `Skeleton.flip_order`.
    """
    return (heatmaps + mirrored[:, :, ::-1][..., flip_order]) / 2


def render(keypoints: Any, size: tuple[int, int], stride: int, sigma: float = 1.0) -> Any:
    """Draw ground truth heatmaps.

    Args:
        keypoints: (B, K, 3+) x, y in crop pixels, visibility; further columns are ignored.
        size: (h, w) of the heatmap.
        stride: crop pixels a heatmap pixel.
        sigma: standard deviation in heatmap pixels.

    Returns:
        (B, h, w, K) float32, all zero for keypoints that are not labelled.
    """
    xp = array_module(keypoints)
    height, width = size
    center = crop_to_heatmap(keypoints[..., :2], stride)
    across = np.arange(width, dtype=np.float32)[:, None]
    down = np.arange(height, dtype=np.float32)[:, None]
    gauss_x = xp.exp(-((across - center[:, None, :, 0]) ** 2) / (2 * sigma**2))
    gauss_y = xp.exp(-((down - center[:, None, :, 1]) ** 2) / (2 * sigma**2))
    labelled = xp.where(keypoints[..., 2] > 0, xp.ones_like(center[..., 0]), xp.zeros_like(center[..., 0]))
    return gauss_y[:, :, None, :] * (gauss_x * labelled[:, None, :])[:, None, :, :]


def shrink(heatmaps: Any, factor: int, how: str) -> Any:
    """Down-sample GT heatmaps for a smaller scale by `maximum` or `average` over factor x factor windows.

    Args:
        heatmaps: (B, h, w, K), h and w divisible by factor.

    Returns:
        (B, h / factor, w / factor, K).
    """
    xp = array_module(heatmaps)
    if how == "maximum":
        reduce = xp.max if xp is np else xp.reduce_max
    elif how == "average":
        reduce = xp.mean if xp is np else xp.reduce_mean
    else:
        raise ValueError(f"how must be 'maximum' or 'average', got {how!r}")
    _, height, width, count = heatmaps.shape
    windows = xp.reshape(heatmaps, (-1, height // factor, factor, width // factor, factor, count))
    return reduce(windows, axis=(2, 4))


def decode(heatmaps: Any, stride: int, sigma: float = 1.0, how: str = "parabola") -> Any:
    """Read one keypoint from each heatmap, below the pixel.

    Args:
        heatmaps: (B, h, w, K).
        stride: crop pixels a heatmap pixel.
        sigma: standard deviation that the maps were trained with, heatmap pixels; used at borders alone.
        how: `parabola` through the logarithms of the peak and its neighbours, which knows that the maps are Gaussians
            (as distribution-aware decoding does, Zhang et al., CVPR 2020); `quarter` of a pixel towards the higher
            neighbour (Newell et al., ECCV 2016); or `argmax`, the peak's own pixel. The last two are to compare with.

    Returns:
        (B, K, 3) x, y in crop pixels, and the peak's value as score.
    """
    xp = array_module(heatmaps)
    _, height, width, count = heatmaps.shape
    flat = xp.reshape(xp.transpose(heatmaps, (0, 3, 1, 2)), (-1, count, height * width))
    peak = xp.argmax(flat, axis=-1) if xp is np else xp.argmax(flat, axis=-1, output_type=xp.int32)
    row, column = peak // width, peak % width

    def value(at_row: Any, at_column: Any) -> Any:
        index = (at_row * width + at_column)[..., None]
        if xp is np:
            return np.take_along_axis(flat, index, axis=-1)[..., 0]
        return xp.gather(flat, index, batch_dims=2)[..., 0]

    score = value(row, column)
    left, right = value(row, xp.maximum(column - 1, 0)), value(row, xp.minimum(column + 1, width - 1))
    above, below = value(xp.maximum(row - 1, 0), column), value(xp.minimum(row + 1, height - 1), column)
    if how == "parabola":
        x = _vertex(left, score, right, column, width, sigma)
        y = _vertex(above, score, below, row, height, sigma)
    elif how in DECODINGS:
        share = 0.25 if how == "quarter" else 0.0
        x = _towards_higher(left, right, column, width, share)
        y = _towards_higher(above, below, row, height, share)
    else:
        raise ValueError(f"how must be among {DECODINGS}, got {how!r}")
    crop = heatmap_to_crop(xp.stack([x, y], axis=-1), stride)
    return xp.concat([crop, score[..., None]], axis=-1)


def _towards_higher(before: Any, after: Any, position: Any, length: int, share: float) -> Any:
    """A pixel's position, moved by `share` towards the higher neighbour; at a border one is missing, and it stays."""
    xp = array_module(before)
    inside = (position > 0) & (position < length - 1)
    offset = xp.where(inside, share * xp.sign(after - before), xp.zeros_like(before))
    return (position if xp is np else xp.cast(position, before.dtype)) + offset


def _vertex(before: Any, peak: Any, after: Any, position: Any, length: int, sigma: float) -> Any:
    """Position of the parabola's vertex through the logarithms of three neighbouring values, at most half a pixel
    from the middle one. A border pixel's missing neighbour follows from sigma."""
    xp = array_module(peak)
    floor = LOG_FLOOR * xp.abs(peak) + 1e-12
    log = xp.log if xp is np else xp.math.log
    low, mid, high = (log(xp.maximum(v, floor)) for v in (before, peak, after))
    curvature = 1.0 / sigma**2
    low = xp.where(position == 0, 2 * mid - high - curvature, low)
    high = xp.where(position == length - 1, 2 * mid - low - curvature, high)
    bend = xp.maximum(2 * mid - low - high, 1e-6)
    offset = xp.minimum(xp.maximum((high - low) / (2 * bend), -0.5), 0.5)
    return (position if xp is np else xp.cast(position, peak.dtype)) + offset
