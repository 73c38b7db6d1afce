"""Augmentation moves image and keypoints together, within its limits, and the same way for the same seed."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_mspose import augment, pipeline
from keras_mspose.config import AugmentConfig, from_dict
from keras_mspose.skeleton import LSP14

SETTINGS = AugmentConfig(
    **{"scale": 0.3, "rotation": 40.0, "rotation_share": 0.6, "translation": 0.1, "flip": 0.25, "colour": 0.2},
    **{"whole_image": 0.15, "half_body": 0.3},
)
DRAWS = 4000


@pytest.fixture(scope="module")
def draws() -> augment.Draw:
    """Many draws, as arrays, of the seeds that a first epoch would use."""
    seeds = tf.data.Dataset.range(DRAWS)
    found = seeds.map(lambda i: augment.draw(SETTINGS, tf.stack([i, 7]))).batch(DRAWS).get_single_element()
    return augment.Draw(*(part.numpy() for part in found))


def test_the_same_seed_draws_the_same(draws: augment.Draw) -> None:
    for i in (0, 1, 17):
        again = augment.draw(SETTINGS, tf.constant([i, 7], tf.int64))
        for part, whole in zip(again, draws, strict=True):
            np.testing.assert_array_equal(part, whole[i])


def test_who_else_is_in_a_batch_changes_nobodys_numbers(draws: augment.Draw) -> None:
    seeds = tf.constant([[17, 7], [3, 7], [250, 7]], tf.int64)
    for part, whole in zip(augment.draw(SETTINGS, seeds), draws, strict=True):
        np.testing.assert_array_equal(part, whole[[17, 3, 250]])
    config = AugmentConfig(occluders=0.5, mask_keypoints=0.5)
    together = augment.draw_patches(config, LSP14, seeds)
    for numbers, seed in zip(together, seeds, strict=True):
        np.testing.assert_array_equal(numbers, augment.draw_patches(config, LSP14, seed))


def test_other_seeds_draw_otherwise(draws: augment.Draw) -> None:
    assert len(np.unique(draws.scale)) > 0.99 * DRAWS
    other_epoch = augment.draw(SETTINGS, tf.constant([0, 8], tf.int64))
    assert float(other_epoch.scale) != float(draws.scale[0])


def test_limits_are_respected_and_used(draws: augment.Draw) -> None:
    turned = draws.rotation != 0
    for values, middle, limit in (
        (draws.scale, 1, 0.3),
        (draws.rotation[turned], 0, math.radians(40)),
        (draws.shift, 0, 0.1),
        (draws.colour[:, 0], 1, 0.2),
    ):
        away = values - middle
        assert np.abs(away).max() <= limit * 1.00001
        assert away.min() < -0.98 * limit and away.max() > 0.98 * limit
        assert abs(away.mean()) < 0.05 * limit  # neither way is preferred


def test_shares_are_respected(draws: augment.Draw) -> None:
    assert np.mean(draws.rotation != 0) == pytest.approx(0.6, abs=0.03)
    assert np.mean(draws.flip) == pytest.approx(0.25, abs=0.03)
    assert np.mean(draws.whole_image) == pytest.approx(0.15, abs=0.03)
    assert np.mean(draws.half_body) == pytest.approx(0.3, abs=0.03)
    assert np.mean(draws.upper) == pytest.approx(0.5, abs=0.03)


def test_what_is_drawn_for_one_thing_says_nothing_of_another(draws: augment.Draw) -> None:
    columns = np.column_stack([*draws._replace(colour=draws.colour[:, 0])])
    correlation = np.corrcoef(columns.astype(float), rowvar=False) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 0.07


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_of_nothing_and_of_all(share: float) -> None:
    config = AugmentConfig(rotation=40.0, rotation_share=share, flip=share, whole_image=share)
    found = [augment.draw(config, tf.constant([i, 0])) for i in range(50)]
    assert {bool(d.flip) for d in found} == {bool(d.whole_image) for d in found} == {bool(share)}
    assert {float(d.rotation) != 0 for d in found} == {bool(share)}


def test_no_augmentation_is_none() -> None:
    found = augment.draw(AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), tf.constant([3, 4]))
    assert (float(found.scale), float(found.rotation), bool(found.flip)) == (1, 0, False)
    np.testing.assert_array_equal(found.shift, [0, 0])
    np.testing.assert_array_equal(found.colour, [[1, 1, 1], [0, 0, 0]])


def test_colour_by_hand() -> None:
    crops = tf.constant([[[[100, 100, 250]]], [[[3, 0, 255]]]], tf.uint8)
    colours = tf.constant([[[1.2, 0.5, 1.2], [0, 0, 0]], [[0.5, 2.0, 1.0], [0, 7.4, -5]]])
    changed = augment.change_colour(crops, colours)
    assert changed.dtype == tf.uint8
    np.testing.assert_array_equal(changed, [[[[120, 50, 255]]], [[[2, 7, 250]]]])  # 1.5 is rounded up
    np.testing.assert_array_equal(augment.change_colour(crops[1], colours[1]), changed[1])


def test_contrast_turns_about_mid_grey_and_brightness_shifts() -> None:
    config = AugmentConfig(colour=0.0, contrast=0.4, brightness=0.2)
    factors, added = np.transpose([augment.draw(config, tf.constant([i, 7])).colour for i in range(300)], (1, 0, 2))
    assert np.ptp(factors, axis=1).max() == np.ptp(added, axis=1).max() == 0  # all channels alike
    contrast = factors[:, 0]
    assert 0.6 <= contrast.min() < 0.65 and 1.35 < contrast.max() <= 1.4
    lighter = added[:, 0] - 127.5 * (1 - contrast)
    assert -51.01 <= lighter.min() < -45 and 45 < lighter.max() <= 51.01
    assert abs(np.corrcoef(contrast, lighter)[0, 1]) < 0.2


def test_mirrored_keypoints_exchange_their_names() -> None:
    keypoints, order = tf.constant([[1.0, 2, 2], [3, 4, 1], [5, 6, 0]]), tf.constant([1, 0, 2])
    np.testing.assert_array_equal(augment.flip_keypoints(keypoints, tf.constant(False), order), keypoints)
    np.testing.assert_array_equal(
        augment.flip_keypoints(keypoints, tf.constant(True), order), [[3, 4, 1], [1, 2, 2], [5, 6, 0]]
    )


def _mirrored(targets: np.ndarray, truth: np.ndarray) -> bool | None:
    """Whether targets (K, 2) are a mirrored view of keypoints (K, 2), names exchanged; None where they are neither."""
    ones = np.ones((len(truth), 1))
    for mirrored, seen in ((False, targets), (True, targets[LSP14.flip_order])):
        affine, *_ = np.linalg.lstsq(np.hstack([truth, ones]), seen, rcond=None)
        off = np.abs(np.hstack([truth, ones]) @ affine - seen).max()
        if off < 0.01 and (np.linalg.det(affine[:2]) < 0) == mirrored:
            return mirrored
    return None


def test_every_dot_is_under_its_own_keypoint(dots) -> None:
    """Photograph's dots, each of a hue that is its keypoint's, found in augmented crops at the targets' positions: the
    dot that was painted on the left shoulder is what a mirrored crop calls the right shoulder."""
    config = from_dict(
        {
            "model": {"stacks": 1, "channels": 8, "input_size": [128, 128], "depth": 2, "scales": [1]},
            "data": {
                "box": "image",
                "augment": {"scale": 0.25, "rotation": 180.0, "rotation_share": 0.9, "translation": 0.1, "colour": 0.0},
            },
            "training": {"batch_size": 4, "seed": 3},
        },
        "test",
    )
    batches, steps = pipeline.training_batches(dots.records, config, ["a"])
    hues = dots.colours / np.linalg.norm(dots.colours, axis=1, keepdims=True)
    seen = {False: 0, True: 0}
    for crops, targets in batches.take(5 * steps).as_numpy_iterator():
        for crop, target in zip(crops.astype(float), targets["a"], strict=True):
            found = [_mirrored(target[:, :2].astype(float), p.keypoints[:, :2]) for p in dots.persons.values()]
            (mirrored,) = (f for f in found if f is not None)  # just one of the persons
            painted = LSP14.flip_order if mirrored else np.arange(14)
            for name, (x, y) in zip(painted, target[:, :2], strict=True):
                column, row = round(float(x)), round(float(y))
                if not (5 <= column < 123 and 5 <= row < 123):
                    continue
                window = crop[row - 5 : row + 6, column - 5 : column + 6]
                light = window.sum(axis=(0, 1))
                assert (hues @ light).argmax() == name
                bright = np.clip(window.max(axis=2) - 6, 0, None)
                down, across = np.mgrid[-5:6, -5:6]
                at = np.array(
                    [column + (across * bright).sum() / bright.sum(), row + (down * bright).sum() / bright.sum()]
                )
                assert np.abs(at - (x, y)).max() < 0.1
                seen[mirrored] += 1
    assert min(seen.values()) > 100
