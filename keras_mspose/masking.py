"""Keypoint masking: keypoints covered by background, and keypoints that appear twice.

From section 3.4 of Ke, Chang, Qi and Lyu, *Multi-Scale Structure-Aware Network for Human Pose Estimation*, ECCV 2018.
What it proposes, in short: two kinds of training samples are made. In the first, a patch of background is pasted over a
keypoint, so that the network has to find an occluded keypoint by what it sees around it. In the second, a patch about a
keypoint is pasted on the background, as if another person stood there, so that the network has to tell the right one of
two equal places by the rest of the body. The whole network is fine-tuned with such samples at the end of its training.

What the paper leaves open, and was chosen here:

- One to `MOST` keypoints of a crop are covered, and as many copied; which ones is drawn anew for every crop.
- Patches are squares, upright in the crop, between half of `patch_size` and `patch_size` of the crop's longer side.
- No data set that is read here says what is background. A place is taken for background where no labelled keypoint and
  no middle of a limb between two labelled ones is nearer than one side of the patch (along x or y), and which does not
  show the black beyond the photograph's border. Of `PLACES` random places the first such is taken; where there is none,
  and where a patch would overlap another one, it is left out. A crop that the person fills is thus left as it is.
- A covered keypoint stays labelled, and becomes occluded (visibility 1). A copy changes no label.
- Only labelled keypoints inside of the crop are covered or copied.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_mspose import patches
from keras_mspose.config import AugmentConfig
from keras_mspose.skeleton import Skeleton

MOST = 3  # keypoints of a crop that are covered, and that are copied
PLACES = 8  # random places that are tried for each patch


def numbers(skeleton: Skeleton) -> int:
    """How many random numbers `keypoint_patches` needs for a crop."""
    return 4 + 2 * len(skeleton) + 2 * MOST * (1 + 2 * PLACES)


def keypoint_patches(
    crops: tf.Tensor, targets: tf.Tensor, drawn: tf.Tensor, config: AugmentConfig, skeleton: Skeleton
) -> patches.Layer:
    """Patches that cover keypoints of some crops, and patches that copy keypoints of some.

    Args:
        crops: (B, H, W, 3) uint8.
        targets: (B, K, 4) x, y in crop pixels, visibility, reference length.
        drawn: (B, `numbers(skeleton)`) between 0 and 1.
        config: `mask_keypoints` and `copy_keypoints` are the shares of crops, `patch_size` the largest patch.
    """
    height, width = crops.shape[1:3]
    k = len(skeleton)
    shares, counts, scores, sizes, places = tf.split(drawn, [2, 2, 2 * k, 2 * MOST, 4 * MOST * PLACES], axis=1)
    # which keypoints: those of the highest scores, first the covered, then the copied
    inside = tf.reduce_all((targets[..., :2] > -0.5) & (targets[..., :2] < [width - 0.5, height - 0.5]), axis=-1)
    usable = (inside & (targets[..., 2] > 0))[:, None]
    found, which = tf.math.top_k(tf.where(usable, tf.reshape(scores, [-1, 2, k]), -1.0), min(MOST, k))
    most = which.shape[-1]
    amount = 1 + tf.cast(counts * most, tf.int32)
    chosen = (shares < [config.mask_keypoints, config.copy_keypoints])[..., None] & (found >= 0)
    chosen &= tf.range(most) < amount[..., None]
    at = tf.gather(targets[..., :2], tf.reshape(which, [-1, 2 * most]), batch_dims=1)
    at = tf.cast(tf.round(at), tf.int32)  # (B, P, 2), P = 2 * most

    largest = config.patch_size * max(height, width)
    side = tf.cast(tf.round(largest * (0.5 + 0.5 * sizes[:, : 2 * most])), tf.int32)
    side = tf.clip_by_value(side, 1, min(height, width))[..., None]  # (B, P, 1)
    room = tf.constant([width, height]) - side
    places = tf.reshape(places, [-1, 2 * MOST, PLACES, 2])[:, : 2 * most]
    corners = tf.cast(places * tf.cast(room + 1, tf.float32)[:, :, None], tf.int32)  # (B, P, C, 2)
    background = _clear(corners, side, targets, skeleton) & _photographed(crops, corners, side)
    first = tf.argmax(tf.cast(background, tf.int32), axis=-1, output_type=tf.int32)
    place = tf.gather(corners, first, batch_dims=2)
    about = at - side // 2  # a keypoint's patch may stand over the border: what lies beyond is not drawn
    within = tf.clip_by_value(about, 0, room)

    covers = tf.constant([True] * most + [False] * most)[:, None]
    shown_at, source = tf.where(covers, about, place), tf.where(covers, place, within)
    wanted = tf.reshape(chosen, [-1, 2 * most]) & tf.reduce_any(background, axis=-1)
    pasted = patches.apart(shown_at, tf.repeat(side, 2, axis=-1), wanted)
    move = source - shown_at
    shift = tf.cast(move[..., 1] * width + move[..., 0], tf.float32) * tf.cast(pasted, tf.float32)
    rows = patches.span(shown_at[..., 1], side[..., 0], height) * shift[..., None]
    columns = patches.span(shown_at[..., 0], side[..., 0], width)
    return patches.Layer(rows, columns)


def _clear(corners: tf.Tensor, side: tf.Tensor, targets: tf.Tensor, skeleton: Skeleton) -> tf.Tensor:
    """(B, P, C) whether patches of `side` (B, P, 1) at places (B, P, C, 2) are a side or more away from the body."""
    xy, labelled = targets[..., :2], targets[..., 2] > 0
    if skeleton.limbs:
        a, b = np.transpose(skeleton.limb_indices)
        middles = (tf.gather(xy, a, axis=1) + tf.gather(xy, b, axis=1)) / 2
        both = tf.gather(labelled, a, axis=1) & tf.gather(labelled, b, axis=1)
        xy, labelled = tf.concat([xy, middles], axis=1), tf.concat([labelled, both], axis=1)
    body = tf.where(labelled[..., None], xy, 1e9)
    sides = tf.cast(side, tf.float32)[..., None]
    middle = tf.cast(corners, tf.float32) + sides / 2 - 0.5
    across = tf.abs(middle[..., 0, None] - body[:, None, None, :, 0])
    down = tf.abs(middle[..., 1, None] - body[:, None, None, :, 1])
    return tf.reduce_all(tf.maximum(across, down) >= sides, axis=-1)


def _photographed(crops: tf.Tensor, corners: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """(B, P, C) whether no corner of a patch is as black as what lies beyond the photograph's border."""
    height, width = crops.shape[1:3]
    ends = tf.constant([[0, 0], [0, 1], [1, 0], [1, 1]]) * (side[..., None, None] - 1)
    at = corners[..., None, :] + ends  # (B, P, C, 4, 2)
    colours = tf.gather(tf.reshape(crops, [-1, height * width, 3]), at[..., 1] * width + at[..., 0], batch_dims=1)
    return tf.reduce_all(tf.reduce_any(colours != 0, axis=-1), axis=-1)
