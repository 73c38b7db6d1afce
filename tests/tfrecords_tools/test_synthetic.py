"""Rendered persons: the same for a seed, in the picture where their labels say, with occlusion that differs."""

from pathlib import Path

import numpy as np

from tfrecords_tools import figures, synthetic


def test_a_seed_gives_the_same_figure() -> None:
    a, b, other = (figures.render(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.keypoints, b.keypoints)
    assert not np.array_equal(a.image, other.image)


def test_labelled_keypoints_lie_in_the_picture_and_some_are_occluded() -> None:
    made = [figures.render(np.random.default_rng(seed)) for seed in range(40)]
    keypoints = np.stack([figure.keypoints for figure in made])
    labelled = keypoints[..., 2] > 0
    assert (keypoints[..., :2][labelled] >= -0.5).all() and (keypoints[..., :2][labelled] <= 191.5).all()
    occluded = (keypoints[..., 2] == 1).sum() / labelled.sum()
    assert 0.03 < occluded < 0.5


def test_a_folder_counts_what_was_asked_for(tmp_path: Path) -> None:
    data = synthetic.convert(tmp_path / "data", persons=12, val_persons=3)
    assert (data.persons("train"), data.persons("val"), data.metric) == (12, 3, "pckh")
