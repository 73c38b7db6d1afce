"""Repeated photographs and persons, in and across splits."""

import tracemalloc

import numpy as np

from tfrecords_tools import duplicates


def test_photographs() -> None:
    splits = ["train", "train", "train", "train", "val", "val", "val"]
    names = ["a.jpg", "a.jpg", "b.jpg", "c.jpg", "c.jpg", "d.jpg", "b.jpg"]
    bytes_ = np.array([1, 1, 2, 1, 1, 3, 4])
    repeats = [tuple(r) for r in duplicates.photographs(splits, names, bytes_)]
    assert repeats == [(3, False, "the bytes of a.jpg in train"), (4, True, "the bytes of a.jpg in train")]
    (renamed,) = duplicates.names_in_two_splits(splits, names, bytes_)
    assert renamed.index == 6


def test_persons() -> None:
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(0, 200, (300, 14, 2)), np.full((300, 14, 1), 2)], axis=2)
    keypoints[100] = keypoints[7] + [0.9, -0.9, 0]
    keypoints[250] = keypoints[7]
    keypoints[200] = keypoints[8] + [1.1, 0, 0]
    keypoints[201] = keypoints[9]
    keypoints[201, 13] = 0  # one label less: another person
    keypoints[202] = keypoints[203] = [[5, 5, 2]] * 3 + [[0, 0, 0]] * 11  # too few to say
    splits, names = ["train"] * 240 + ["val"] * 60, [f"{i}.jpg" for i in range(300)]
    found = {r.index: (r.across, r.what) for r in duplicates.persons(splits, names, keypoints)}
    assert found == {
        100: (False, "the keypoints of a person on 7.jpg in train"),
        250: (True, "the keypoints of a person on 7.jpg in train"),
    }
    assert not list(duplicates.persons(["train"], ["a"], np.zeros((1, 14, 3))))


def test_a_thing_that_stands_still_does_not_fill_the_memory() -> None:
    count = 2000
    xy = 50 + np.random.default_rng(0).uniform(0, 0.9, (count, 4, 2))
    keypoints = np.concatenate([xy, np.full((count, 4, 1), 2)], axis=2)
    tracemalloc.start()
    found = list(duplicates.persons(["train"] * count, ["a.jpg"] * count, keypoints))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [r.index for r in found] == list(range(1, count))
    assert peak < 8 << 20  # all pairs are 2 million, each with 4 x 2 differences
