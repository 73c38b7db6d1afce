"""Keypoint masking covers labelled keypoints with background, copies them to the background, and alters no label."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import masking, patches
from keras_mspose.config import AugmentConfig
from keras_mspose.skeleton import LSP14, Skeleton

SIZE = 64
BATCH = 40
PATCH = 0.2
ON = {"mask": {"mask_keypoints": 1.0}, "copy": {"copy_keypoints": 1.0}}


def _crops() -> np.ndarray:
    """Crops whose pixels say where they are: red is 3 x + 1, green 3 y + 1."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.repeat(np.stack([3 * x + 1, 3 * y + 1, np.full_like(x, 7)], axis=-1).astype(np.uint8)[None], BATCH, 0)


def _people(seed: int = 0) -> np.ndarray:
    """Targets (BATCH, 14, 4) of people who stand in the middle of the crop."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform((26, 10), (38, 54), (BATCH, 14, 2))
    return np.concatenate([xy, np.full((BATCH, 14, 1), 2), np.full((BATCH, 14, 1), 20)], axis=-1).astype(np.float32)


def _numbers(skeleton: Skeleton = LSP14) -> tf.Tensor:
    return tf.random.stateless_uniform((BATCH, masking.numbers(skeleton)), (1, 2))


def _paste(
    crops: tf.Tensor, targets: tf.Tensor, numbers: tf.Tensor, config: AugmentConfig, skeleton: Skeleton
) -> tuple:
    layer = masking.keypoint_patches(crops, targets, numbers, config, skeleton)
    return patches.paste(crops, targets, [layer])


def _masked(crops: np.ndarray, targets: np.ndarray, **settings: float) -> tuple[np.ndarray, np.ndarray]:
    config = AugmentConfig(patch_size=PATCH, **settings)
    found = _paste(tf.constant(crops), tf.constant(targets), _numbers(), config, LSP14)
    return tuple(part.numpy() for part in found)


def _shown(crops: np.ndarray) -> np.ndarray:
    """(BATCH, SIZE, SIZE, 2) x, y of the pixel that every pixel shows."""
    return (crops[..., :2].astype(int) - 1) // 3


def _moved(crops: np.ndarray) -> np.ndarray:
    """(BATCH, SIZE, SIZE) whether a pixel shows another one."""
    return (crops != _crops()).any(axis=-1)


def _here(values: np.ndarray, targets: np.ndarray, b: int, k: int) -> np.ndarray:
    x, y = np.round(targets[b, k, :2]).astype(int)
    return values[b, y, x]


def test_covered_keypoints_show_background_and_stay_where_they_are() -> None:
    targets = _people()
    crops, found = _masked(_crops(), targets, mask_keypoints=1.0)
    np.testing.assert_array_equal(np.delete(found, 2, axis=-1), np.delete(targets, 2, axis=-1))
    moved, shown, hidden = _moved(crops), _shown(crops), found[..., 2] == 1
    assert hidden.any(axis=1).mean() > 0.8
    for b in range(BATCH):
        for k in range(14):
            assert _here(moved, targets, b, k) == hidden[b, k]
        for pixel in shown[b][moved[b]]:  # a patch's pixels are at least half a (smallest) patch away from the body
            assert np.abs(targets[b, :, :2] - pixel).max(axis=-1).min() >= 0.25 * PATCH * SIZE - 1
    patch_pixels = moved.sum(axis=(1, 2))
    assert patch_pixels.max() <= masking.MOST * (PATCH * SIZE + 1) ** 2


def test_copied_keypoints_appear_twice_and_once_at_their_place() -> None:
    targets = _people()
    crops, found = _masked(_crops(), targets, copy_keypoints=1.0)
    np.testing.assert_array_equal(found, targets)
    moved, shown = _moved(crops), _shown(crops)
    copies = np.zeros((BATCH, 14), int)
    for b in range(BATCH):
        for k in range(14):
            assert not _here(moved, targets, b, k)
            copies[b, k] = (shown[b] == np.round(targets[b, k, :2])).all(axis=-1).sum() - 1
    assert copies.any(axis=1).mean() > 0.8


@pytest.mark.parametrize("settings", ON.values(), ids=ON)
def test_one_to_three_keypoints(settings: dict) -> None:
    targets = _people()
    targets[:, :, :2] = [(4 + 8 * (k % 7), 8 + 48 * (k // 7)) for k in range(14)]  # apart, with room between
    config = AugmentConfig(patch_size=0.08, **settings)
    found, _ = _paste(tf.constant(_crops()), tf.constant(targets), _numbers(), config, LSP14)
    shown = _shown(found.numpy())
    # a patch moves all of its pixels by the same way
    ways = [{tuple(w) for w in (shown[b] - _shown(_crops())[b])[_moved(found.numpy())[b]]} for b in range(BATCH)]
    assert {len(w) for w in ways} == {1, 2, 3}


@pytest.mark.parametrize("settings", ON.values(), ids=ON)
def test_only_labelled_keypoints_inside_of_the_crop_count(settings: dict) -> None:
    targets = _people()
    targets[:, 1:7, 2] = 0
    targets[:, 7:, 0] = SIZE + 3.0
    targets[:, 0, :2] = (20, 30)
    crops, _ = _masked(_crops(), targets, **settings)
    moved, shown = _moved(crops), _shown(crops)
    for b in range(BATCH):
        y, x = np.nonzero(moved[b])
        assert len(x)
        if "mask_keypoints" in settings:
            middle = np.array([x.min() + x.max() + 1, y.min() + y.max() + 1]) / 2
        else:
            middle = (shown[b][moved[b]].min(axis=0) + shown[b][moved[b]].max(axis=0) + 1) / 2
        assert np.abs(middle - (20, 30)).max() <= 0.5
    targets[:, 0, 2] = 0
    np.testing.assert_array_equal(_masked(_crops(), targets, **settings)[0], _crops())


@pytest.mark.parametrize("settings", ON.values(), ids=ON)
def test_a_person_who_fills_the_crop_leaves_no_background(settings: dict) -> None:
    targets = _people()
    targets[:, :, :2] = [(8 + 16 * (k % 4), 8 + 16 * (k // 4)) for k in range(14)]
    config = AugmentConfig(patch_size=0.5, **settings)
    crops, found = _paste(tf.constant(_crops()), tf.constant(targets), _numbers(), config, LSP14)
    np.testing.assert_array_equal(crops, _crops())
    np.testing.assert_array_equal(found, targets)


def test_what_lies_beyond_the_photograph_is_no_background() -> None:
    black = _crops()
    black[:, :, :20] = 0
    crops, _ = _masked(black, _people(), mask_keypoints=1.0)
    assert (crops != black).any()
    assert not ((crops == 0).all(axis=-1) & (black != 0).any(axis=-1)).any()


@pytest.mark.parametrize("key", ["mask_keypoints", "copy_keypoints"])
def test_the_share_of_crops_is_respected(key: str) -> None:
    targets = _people()
    every, none, some = (_moved(_masked(_crops(), targets, **{key: s})[0]).any(axis=(1, 2)) for s in (1.0, 0.0, 0.4))
    assert not none.any()
    assert 0.15 < some.sum() / every.sum() < 0.65
    assert not (some & ~every).any()


def test_a_crop_is_masked_the_same_way_in_any_batch() -> None:
    config = AugmentConfig(mask_keypoints=0.7, copy_keypoints=0.7)
    crops, targets, numbers = tf.constant(_crops()), tf.constant(_people()), _numbers()
    whole = _paste(crops, targets, numbers, config, LSP14)
    for part in (slice(0, 1), slice(5, 9)):
        again = _paste(crops[part], targets[part], numbers[part], config, LSP14)
        for a, b in zip(again, whole, strict=True):
            np.testing.assert_array_equal(a, b[part])


def test_skeletons_of_two_points_and_without_limbs_are_masked_too() -> None:
    skeleton = Skeleton("ends", ("tip", "root"))
    targets = tf.constant(_people()[:, :2])
    config = AugmentConfig(mask_keypoints=1.0, copy_keypoints=1.0)
    crops, found = _paste(tf.constant(_crops()), targets, _numbers(skeleton), config, skeleton)
    assert _moved(crops.numpy()).any(axis=(1, 2)).mean() > 0.8
    assert set(np.unique(found[..., 2])) == {1.0, 2.0}
