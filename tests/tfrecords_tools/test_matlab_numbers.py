"""The quick reader of plain arrays agrees with SciPy, and leaves to it all that is anything else."""

import random
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tfrecords_tools import matlab_numbers


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        np.random.default_rng(0).normal(size=(14, 3, 7)),
        np.arange(42.0).reshape(3, 14, 1),
        np.random.default_rng(0).normal(size=(3, 14, 5)).astype(np.float32),
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.int64([1, -2]),
        np.zeros((0, 3)),
        5.0,
    ],
)
def test_numbers_are_those_of_scipy(value: np.ndarray, packed: bool, tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"before": "text", "joints": value, "z": 3}, do_compression=packed)
    found, expected = matlab_numbers.load(tmp_path / "a.mat", "joints"), loadmat(tmp_path / "a.mat")["joints"]
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    assert matlab_numbers.load(tmp_path / "a.mat", "other") is None


@pytest.mark.parametrize("value", ["text", True, [1 + 2j], {"a": 1}, np.array([[1, "a"]], object)])
def test_anything_else_is_left_to_scipy(value: object, tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"joints": value})
    assert matlab_numbers.load(tmp_path / "a.mat", "joints") is None


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_left_to_scipy_or_read(packed: bool, tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"joints": np.arange(84.0).reshape(14, 3, 2)}, do_compression=packed)
    whole, rng = (tmp_path / "a.mat").read_bytes(), random.Random(0)
    left = 0
    for _ in range(1000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(100, len(data))] ^= 1 << rng.randrange(8)
        (tmp_path / "a.mat").write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
        found = matlab_numbers.load(tmp_path / "a.mat", "joints")
        left += found is None
        assert found is None or found.nbytes <= 8 * len(whole)
    assert left > 200
