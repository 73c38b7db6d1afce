"""Differences that are chance are told from those that are not."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_mspose.cli import main
from keras_mspose.comparison import compare, compare_seeds, interval_of_seeds
from keras_mspose.distance_file import read_distances
from keras_mspose.errors import MsposeError
from keras_mspose.prediction_file import FORMAT
from keras_mspose.skeleton import LSP14, Skeleton

TWO = Skeleton("two", ("a", "b"))


def test_by_hand() -> None:
    a = np.array([[0.1, 0.1], [0.9, np.nan], [0.1, 0.9], [0.9, 0.9]])
    b = np.array([[0.1, 0.1], [0.1, np.nan], [0.1, 0.1], [0.9, 0.9]])
    found = compare(a, b, TWO, 0.5)
    assert (found["a"].a, found["a"].b, found["a"].persons) == (50, 75, 4)
    assert found["b"].value == pytest.approx(100 / 3) and found["b"].persons == 3
    assert found["mean"].value == pytest.approx((25 + 100 / 3) / 2)


def test_the_same_network_twice_is_no_difference() -> None:
    a = np.random.default_rng(0).uniform(0, 1, (100, 2))
    for difference in compare(a, a.copy(), TWO, 0.5).values():
        assert (difference.value, difference.low, difference.high, difference.is_real) == (0, 0, 0, False)


def test_the_interval_of_one_way_is_that_of_its_persons_and_widens_with_its_seeds() -> None:
    rng = np.random.default_rng(3)
    one = rng.uniform(0, 1, (1, 1000, 2))  # 30 % of two joints each: a deviation of sqrt(0.3 * 0.7 / 2000)
    low, high = interval_of_seeds(one, TWO, 0.3)
    assert low < 100 * (one <= 0.3).mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.3 * 0.7 / 2000), rel=0.1)
    apart = np.concatenate([one, one * 0.5])  # another seed finds 60 %: draws of both are 30, 45 and 60 %
    low, high = interval_of_seeds(apart, TWO, 0.3)
    assert low < 31 and high > 59


def test_a_real_gain_is_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(1)
    base = rng.uniform(0, 1, (1000, 2))
    better = np.where(rng.uniform(size=base.shape) < 0.1, 0.0, base)
    assert compare(base, better, TWO, 0.5)["mean"].is_real
    real = 0
    for seed in range(40):  # two networks equally good, on other persons each time
        rng = np.random.default_rng(100 + seed)
        real += compare(rng.uniform(0, 1, (200, 2)), rng.uniform(0, 1, (200, 2)), TWO, 0.5, draws=500)["mean"].is_real
    assert real <= 6  # 2 are expected


def test_the_interval_is_as_wide_as_theory_has_it() -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.uniform(0, 1, (2000, 2)) for _ in range(2))
    found = compare(a, b, TWO, 0.5)["a"]
    expected = 2 * 1.96 * 100 * np.sqrt(0.5 / 2000)  # each person adds -1, 0 or 1, with variance 1/2
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_nobody_counts() -> None:
    nothing = np.full((3, 2), np.nan)
    assert compare(nothing, nothing, TWO, 0.5)["a"].persons == 0


def test_other_persons_are_refused() -> None:
    a = np.zeros((3, 2))
    b = a.copy()
    b[0, 0] = np.nan
    with pytest.raises(MsposeError, match="not of the same persons"):
        compare(a, b, TWO, 0.5)


def predictions(path: Path, error: float, persons: int = 30) -> Path:
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.uniform(0, 100, (persons, 14, 2)), np.full((persons, 14, 1), 2.0)], axis=-1)
    predicted = truth + np.random.default_rng(1).normal(0, error, truth.shape)
    listed = [
        {"image": f"{i}.jpg", "person_id": i, "keypoints": p.tolist(), "truth": t.tolist(), "reference": 40.0}
        for i, (p, t) in enumerate(zip(predicted, truth, strict=True))
    ]
    path.write_text(json.dumps({"format": FORMAT, "metric": "pck", "skeleton": LSP14.to_dict(), "persons": listed}))
    return path


def test_the_command(tmp_path: Path, capsys) -> None:
    a, b = predictions(tmp_path / "a.json", 12), predictions(tmp_path / "b.json", 4)
    assert main(["compare", str(a), str(b), "--json", str(tmp_path / "c.json")]) == 0
    assert "better" in capsys.readouterr().out
    report = json.loads((tmp_path / "c.json").read_text())["differences"]
    assert report["mean"]["real"] and report["mean"]["low"] > 0 and list(report)[1:] == list(LSP14.keypoints)
    other = predictions(tmp_path / "d.json", 4, persons=29)
    assert main(["compare", str(a), str(other)]) == 2
    assert "30 persons of lsp14, PCK against 29 persons" in capsys.readouterr().err
    data = json.loads(b.read_text())
    data["persons"].reverse()
    b.write_text(json.dumps(data))
    assert main(["compare", str(a), str(b)]) == 2
    assert "the truth differs" in capsys.readouterr().err


def test_over_seeds_a_gain_has_to_come_with_every_one() -> None:
    rng = np.random.default_rng(3)
    base = rng.uniform(0, 1, (3, 800, 2))
    better = np.where(rng.uniform(size=base.shape) < 0.1, 0.0, base)
    found = compare_seeds(base, better, TWO, 0.5)
    expected = [compare(a, b, TWO, 0.5)["mean"].value for a, b in zip(base, better, strict=True)]
    assert found.by_seed == pytest.approx(expected, abs=1e-4) and found.value == pytest.approx(
        np.mean(expected), abs=1e-4
    )
    assert found.is_real
    mixed = np.stack([better[0], better[1], np.where(rng.uniform(size=base[2].shape) < 0.02, 1.0, base[2])])
    found = compare_seeds(base, mixed, TWO, 0.5)
    assert found.by_seed[2] < 0 < found.value and not found.is_real


def test_over_seeds_the_interval_holds_the_chance_in_training() -> None:
    rng = np.random.default_rng(4)
    a = np.repeat(rng.uniform(0, 1, (1, 4000, 2)), 6, axis=0)
    share = np.array(
        [0.02, 0.1, 0.02, 0.1, 0.02, 0.1]
    )  # gains that differ by far more from seed to seed than by person
    b = np.where(rng.uniform(size=a.shape) < share[:, None, None], 0.0, a)
    found = compare_seeds(a, b, TWO, 0.5)
    expected = np.std(found.by_seed) / np.sqrt(6)
    assert found.high - found.low == pytest.approx(2 * 1.96 * expected, rel=0.3)


def test_an_effect_over_pairs_is_the_mean_of_theirs_and_surer() -> None:
    rng = np.random.default_rng(5)
    plain = rng.uniform(0, 1, (4, 3, 400, 2))
    switched = np.where(rng.uniform(size=plain.shape) < 0.05, 0.0, plain)
    together = compare_seeds(plain, switched, TWO, 0.5)
    alone = [compare_seeds(a, b, TWO, 0.5) for a, b in zip(plain, switched, strict=True)]
    assert together.by_seed == pytest.approx(np.mean([one.by_seed for one in alone], axis=0), abs=1e-4)
    assert together.high - together.low < min(one.high - one.low for one in alone)


def test_an_empty_file_of_distances_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    with pytest.raises(MsposeError, match=r"a\.npz: not a file of distances"):
        read_distances(tmp_path / "a.npz")
