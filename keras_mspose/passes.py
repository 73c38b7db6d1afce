"""What one network answers when it is asked more than once about a person: mirrored, larger and smaller.

The heatmaps of every pass are brought back to the frame of the plain crop and averaged there, as maps, before anything
is read from them. A person who is `scale` times as large in a crop lies `scale` times as far from its middle; the same
holds for heatmaps, whatever their stride.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    import keras

PLAIN = (1.0,)


class Passes(NamedTuple):
    """What is averaged.

    Attributes:
        flip: every crop and its mirror image.
        scales: sizes of the person in the crop, over the usual one.
    """

    flip: bool = False
    scales: tuple[float, ...] = PLAIN


def heatmaps_by_passes(
    model: keras.Model, crops: dict[float, tf.Tensor], skeleton: Skeleton, asked: Iterable[Passes]
) -> dict[Passes, dict[str, tf.Tensor]]:
    """Heatmaps of every head for several ways of averaging. Each crop goes through the network once, and once mirrored.

    Args:
        crops: (B, H, W, 3) by the scale that the persons have in them; each scale that is asked for.
        skeleton: says which keypoints a mirror exchanges.

    Returns:
        (B, h, w, K) by head, for each way, in the frame of scale 1.
    """
    asked = list(asked)
    wanted = {(scale, flip) for one in asked for scale in one.scales for flip in (False, True)[: 1 + one.flip]}
    seen: dict[tuple[float, bool], dict[str, tf.Tensor]] = {}
    for scale, flip in sorted(wanted):
        outputs = model(crops[scale][:, :, ::-1] if flip else crops[scale], training=False)
        seen[scale, flip] = {
            name: rescaled(flipped_back(maps, skeleton) if flip else maps, scale) for name, maps in outputs.items()
        }
    return {one: _averaged(seen, one) for one in asked}


def flipped_back(heatmaps: tf.Tensor, skeleton: Skeleton) -> tf.Tensor:
    """Heatmaps (B, h, w, K) of mirrored crops, mirrored back, every keypoint under its own name again."""
    return tf.gather(heatmaps[:, :, ::-1], skeleton.flip_order, axis=-1)


def rescaled(heatmaps: tf.Tensor, scale: float) -> tf.Tensor:
    """Heatmaps (B, h, w, K) of crops with persons `scale` times as large, as they lie in the plain crop; 0 where those
    crops do not reach. By Lanczos's kernel: a bilinear or bicubic one flattens peaks and moves them by up to 0.7 px."""
    if scale == 1:
        return heatmaps
    height, width = heatmaps.shape[1:3]
    return tf.raw_ops.ScaleAndTranslate(
        images=heatmaps,
        size=[height, width],
        scale=[1 / scale, 1 / scale],
        translation=[height / 2 * (1 - 1 / scale), width / 2 * (1 - 1 / scale)],
        kernel_type="lanczos3",
        antialias=False,
    )


def _averaged(seen: dict[tuple[float, bool], dict[str, tf.Tensor]], passes: Passes) -> dict[str, tf.Tensor]:
    chosen = [key for key in seen if key[0] in passes.scales and key[1] <= passes.flip]
    averaged = {}
    for name in seen[chosen[0]]:
        maps = [seen[key][name] for key in chosen]
        # beyond the border of an enlarged crop the others answer alone
        reach = [rescaled(tf.ones_like(maps[0][:1, :, :, :1]), scale) for scale, _ in chosen]
        averaged[name] = tf.add_n(maps) / tf.maximum(tf.add_n(reach), 1e-6) if len(maps) > 1 else maps[0]
    return averaged
