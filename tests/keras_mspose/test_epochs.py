"""Everybody comes once an epoch, whatever the workers and the data sets, in an order that can be had again."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_mspose import epochs

SHARDS = {"a": [4, 5, 3, 1, 7], "b": [6, 2], "c": [9]}  # 20, 8 and 9 persons


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards whose persons are called after set, shard and place, such as a-1-0."""
    out = tmp_path_factory.mktemp("shards")
    for name, sizes in SHARDS.items():
        for shard, size in enumerate(sizes):
            with tf.io.TFRecordWriter(str(out / f"{name}{shard}")) as file:
                for i in range(size):
                    file.write(f"{name}-{shard}-{i}")
    return out


def _source(folder: Path, name: str, quota: int | None = None) -> epochs.Source:
    files = [str(folder / f"{name}{i}") for i in range(len(SHARDS[name]))]
    return epochs.Source(files, SHARDS[name], sum(SHARDS[name]) if quota is None else quota)


def _epochs(sources: list, persons: int, count: int, *, worker=(0, 1), start: int = 0, seed: int = 1) -> list[list]:
    """(seeds, place, name) of every person of `count` epochs."""
    found = epochs.order(sources, persons, seed, 4, worker=worker, start_epoch=start).take(persons * count)
    everybody = [(tuple(s.tolist()), int(p), r.decode()) for s, p, r in found.as_numpy_iterator()]
    return [everybody[i : i + persons] for i in range(0, len(everybody), persons)]


def _names(epoch: list) -> list[str]:
    return [name for _, _, name in epoch]


def _all(*sets: str) -> list[str]:
    return [f"{s}-{shard}-{i}" for s in sets for shard, size in enumerate(SHARDS[s]) for i in range(size)]


@given(
    st.integers(1, 9).flatmap(lambda c: st.tuples(st.lists(st.integers(2 * c, 60), min_size=1, max_size=5), st.just(c)))
)
def test_shares_are_whole_and_equal(case: tuple[list[int], int]) -> None:
    sizes, workers = case
    cuts = epochs.shares(sizes, workers)
    assert cuts.shape == (len(sizes), workers + 1)
    np.testing.assert_array_equal(cuts[:, 0], 0)
    np.testing.assert_array_equal(cuts[:, -1], sizes)
    parts = np.diff(cuts)
    assert parts.min() >= 1 and np.ptp(parts.sum(axis=0)) <= 1


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("sets", ["a", "c", "abc"])
def test_the_workers_see_everybody_once(folder: Path, workers: int, sets: str) -> None:
    sources = [_source(folder, s) for s in sets]
    persons = len(_all(*sets)) // workers
    parts = [_epochs(sources, persons, 2, worker=(w, workers)) for w in range(workers)]
    for epoch in zip(*parts, strict=True):
        seen = Counter(name for part in epoch for name in _names(part))
        assert max(seen.values()) == 1 and set(seen) <= set(_all(*sets))
        assert len(seen) == persons * workers
        seeds = {seeds for part in epoch for seeds, _, _ in part}
        assert len(seeds) == persons * workers  # nobody is augmented as another one is


def test_every_epoch_has_an_order_of_its_own_that_can_be_had_again(folder: Path) -> None:
    for worker in ((0, 1), (1, 2)):
        sources = [_source(folder, s) for s in "ab"]
        whole = _epochs(sources, 14, 4, worker=worker)
        assert len({tuple(_names(epoch)) for epoch in whole}) == 4
        assert _epochs(sources, 14, 2, worker=worker, start=2) == whole[2:]
        assert _epochs(sources, 14, 1, worker=worker, seed=2) != whole[:1]


def test_a_worker_opens_its_own_shards_alone(folder: Path) -> None:
    even = epochs.Source([str(folder / f"even{i}") for i in range(6)], [3] * 6, 18)
    for i in range(6):
        with tf.io.TFRecordWriter(even.files[i]) as file:
            for k in range(3):
                file.write(f"{i}-{k}")
    for worker in range(3):
        for epoch in _epochs([even], 6, 3, worker=(worker, 3)):
            assert len({name[0] for name in _names(epoch)}) == 2


def test_data_sets_are_mixed_over_the_whole_epoch(folder: Path) -> None:
    sources = [_source(folder, s) for s in "abc"]
    for epoch in _epochs(sources, 37, 3):
        assert sorted(_names(epoch)) == sorted(_all("a", "b", "c"))
        assert all("abc"[place] == name[0] for _, place, name in epoch)
        for half in (_names(epoch)[:18], _names(epoch)[18:]):
            assert {name[0] for name in half} == {"a", "b", "c"}


def test_quotas_take_more_of_one_and_less_of_another(folder: Path) -> None:
    sources = [_source(folder, "a", 5), _source(folder, "c", 20)]
    for epoch in _epochs(sources, 25, 2):
        seen = Counter(_names(epoch))
        assert sum(n for name, n in seen.items() if name[0] == "a") == 5 == len([n for n in seen if n[0] == "a"])
        # 20 of 9 persons: everybody twice, two of them thrice
        assert sorted(n for name, n in seen.items() if name[0] == "c") == [2] * 7 + [3] * 2
    parts = [_epochs(sources, 12, 1, worker=(w, 2))[0] for w in range(2)]
    assert 23 <= sum(len(part) for part in parts) <= 24
    assert {name[0] for part in parts for name in _names(part)} == {"a", "c"}
