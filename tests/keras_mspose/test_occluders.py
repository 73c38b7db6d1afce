"""Occluders hide what they should of the crop, in the sizes asked for, and leave every label in its place."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import occluders, patches
from keras_mspose.config import AugmentConfig

HEIGHT, WIDTH = 48, 64
BATCH = 200
# of an occluder: width, height, first column and row, source's column and row, shape, kind, phase
RECTANGLE, ELLIPSE = 0.1, 0.9
PART, COLOUR, NOISE = 0.1, 0.5, 0.9


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Crops whose pixels say where they are: red is 3 x + 1, green 3 y + 1."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.repeat(np.stack([3 * x + 1, 3 * y + 1, np.full_like(x, 7)], axis=-1).astype(np.uint8)[None], BATCH, 0)


def _occluded(crops: np.ndarray, numbers: np.ndarray | None = None, **settings: float) -> tuple[np.ndarray, ...]:
    """What is shown (B, H, W, 2) as x, y of the crop's pixels, and the targets of two keypoints, far left and right."""
    drawn = tf.random.stateless_uniform((BATCH, occluders.NUMBERS), (1, 2)) if numbers is None else numbers
    config = AugmentConfig(**{"occluders": 1.0, **settings})
    targets = np.tile(np.float32([[10, 20, 2, 9], [50, 20, 2, 9]]), (len(drawn), 1, 1))
    layer = occluders.occluding_patches((HEIGHT, WIDTH), tf.constant(drawn), config)
    found = patches.paste(tf.constant(crops[: len(drawn)]), tf.constant(targets), [layer])
    return (found[0].numpy()[..., :2].astype(int) - 1) // 3, found[1].numpy()


def _one(*occluder: float) -> np.ndarray:
    return np.float32([[0.0, 0.0, *occluder, *[0.5] * 9]])


def _moved(shown: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (shown != np.stack([x, y], axis=-1)).any(axis=-1)


def test_a_part_of_the_crop_by_hand(crops: np.ndarray) -> None:
    # as large as allowed, 32 x 24, in the last corner, showing what is in the first
    shown, _ = _occluded(crops, _one(0.9999, 0.9999, 0.9999, 0.9999, 0, 0, RECTANGLE, PART, 0), occluder_size=0.5)
    moved = np.zeros((HEIGHT, WIDTH), bool)
    moved[24:, 32:] = True
    np.testing.assert_array_equal(_moved(shown)[0], moved)
    np.testing.assert_array_equal(shown[0, 24:, 32:], shown[0, :24, :32])


def test_one_colour_and_noise_by_hand(crops: np.ndarray) -> None:
    where = (0.9999, 0.9999, 0.9999, 0.9999, 0.25, 0.5)
    colour, _ = _occluded(crops, _one(*where, RECTANGLE, COLOUR, 0), occluder_size=0.5)
    assert np.unique(colour[0, 24:, 32:].reshape(-1, 2), axis=0).tolist() == [[16, 24]]
    noise, _ = _occluded(crops, _one(*where, RECTANGLE, NOISE, 0), occluder_size=0.5)
    np.testing.assert_array_equal(_moved(noise)[0, :24], False)
    noise = noise[0, 24:, 32:]
    assert len(np.unique(noise.reshape(-1, 2), axis=0)) > 0.4 * noise.shape[0] * noise.shape[1]
    assert np.abs(np.diff(noise, axis=0)).mean() > 3 and np.abs(np.diff(noise, axis=1)).mean() > 3


def test_ellipses_are_round(crops: np.ndarray) -> None:
    shown, _ = _occluded(crops, _one(0.9999, 0.9999, 0.5, 0.5, 0, 0, ELLIPSE, COLOUR, 0), occluder_size=0.5)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    middle = np.argwhere(_moved(shown)[0])[:, ::-1].mean(axis=0)
    inside = ((x - middle[0]) / 16) ** 2 + ((y - middle[1]) / 12) ** 2 <= 1
    assert (inside ^ _moved(shown)[0]).sum() < 0.08 * inside.sum()


def test_hidden_keypoints_stay_and_become_occluded(crops: np.ndarray) -> None:
    shown, targets = _occluded(crops)
    moved = _moved(shown)
    np.testing.assert_array_equal(targets[..., 2] == 1, moved[:, 20, [10, 50]])
    assert 0.02 < np.mean(targets[..., 2] == 1) < 0.5
    np.testing.assert_array_equal(targets[..., [0, 1, 3]], np.tile([[10, 20, 9], [50, 20, 9]], (BATCH, 1, 1)))


def test_sizes_and_places_are_used_and_kept(crops: np.ndarray) -> None:
    moved = _moved(_occluded(crops, occluder_size=0.4)[0])
    largest = np.ceil(0.4 * WIDTH) * np.ceil(0.4 * HEIGHT)
    covered = moved.sum(axis=(1, 2))
    assert covered.min() > 0 and largest / 2 < covered.max() <= 2 * largest
    assert moved[:, 4:-4, 4:-4].any(axis=0).all()  # occluders come everywhere, into corners seldom
    columns, rows = (np.ptp(np.nonzero(moved.any(axis=a))[1]) for a in (1, 2))
    assert (columns, rows) == (WIDTH - 1, HEIGHT - 1)


def test_the_share_of_crops_is_respected(crops: np.ndarray) -> None:
    for share in (0.0, 0.3, 1.0):
        hit = _moved(_occluded(crops, occluders=share)[0]).any(axis=(1, 2))
        assert hit.mean() == pytest.approx(share, abs=0.1)


def test_a_crop_is_occluded_the_same_way_in_any_batch(crops: np.ndarray) -> None:
    numbers = tf.random.stateless_uniform((BATCH, occluders.NUMBERS), (1, 2)).numpy()
    whole, _ = _occluded(crops, numbers)
    np.testing.assert_array_equal(_occluded(crops, numbers[3:4])[0], whole[3:4])
