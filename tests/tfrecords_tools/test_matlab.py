"""MATLAB files are read in a process of their own, which may break down."""

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from keras_mspose.errors import MsposeError
from tfrecords_tools import matlab, matlab_reader


@pytest.fixture
def file(tmp_path: Path) -> Path:
    savemat(tmp_path / "a.mat", {"joints": np.arange(0.5, 6).reshape(2, 3), "name": "x"})
    return tmp_path / "a.mat"


def test_one_variable(file: Path) -> None:
    np.testing.assert_array_equal(matlab.load(file, "joints"), [[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]])
    assert matlab.load(file, "name", squeeze_me=True) == "x"
    assert matlab.load(file, "other") is None


def test_structs_come_as_asked_for(file: Path) -> None:
    savemat(file, {"release": {"act": {"name": "chess"}, "numbers": [1, 2]}})
    release = matlab.load(file, "release", squeeze_me=True, struct_as_record=False)
    assert release.act.name == "chess" and release.numbers.tolist() == [1, 2]


def test_a_file_that_ends_its_reader(file: Path) -> None:
    """A type of numbers that does not exist: SciPy looks it up beyond the end of a table."""
    data = bytearray(file.read_bytes())
    assert data[184] == 9  # float64
    data[185] = 2
    file.write_bytes(data)
    with pytest.raises(MsposeError, match=r"a\.mat: not a readable MATLAB file \(.+\); download it again"):
        matlab.load(file, "joints")


def test_a_file_that_declares_too_much(file: Path) -> None:
    size = 14 * 3 * 12_000_000 * 8
    header = file.read_bytes()[:128]
    flags, shape = struct.pack("<IIII", 6, 8, 6, 0), struct.pack("<IIiiii", 5, 12, 14, 3, 12_000_000, 0)
    matrix = flags + shape + struct.pack("<II8s", 1, 6, b"joints") + struct.pack("<II", 9, size)
    packed = zlib.compress(struct.pack("<II", 14, len(matrix) + size & 0xFFFFFFF8) + matrix + bytes(1 << 20))
    file.write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(MsposeError, match=r"a\.mat: not a readable MATLAB file \(.+\); download it again"):
        matlab.load(file, "joints")


def test_what_is_no_matlab_file(file: Path) -> None:
    for data in (b"", b"MATLAB", b"\x89HDF\r\n\x1a\n" + bytes(200), b"x" * 1000):
        file.write_bytes(data)
        with pytest.raises(MsposeError, match=r"a\.mat: not a readable MATLAB file") as caught:
            matlab.load(file, "joints")
        assert "\n" not in str(caught.value)


def test_a_reader_that_takes_too_long(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab, "SECONDS", 0.01)
    with pytest.raises(MsposeError, match=r"a\.mat: not read after 0\.01 seconds"):
        matlab.load(file, "joints")


def test_a_system_without_limits_of_memory_reads_all_the_same(file: Path, monkeypatch, capfdbinary) -> None:
    resource = pytest.importorskip("resource")

    def refused(what: int, _: tuple[int, int]) -> None:
        if what == resource.RLIMIT_AS:
            raise ValueError("current limit exceeds maximum limit")  # as macOS does

    monkeypatch.setattr(resource, "setrlimit", refused)
    assert matlab_reader.main(str(file), "joints", "{}", str(1 << 30)) == 0
    assert pickle.loads(capfdbinary.readouterr().out).shape == (2, 3)
