"""A checkpoint is whole or not there, whatever happens to the disk."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mspose.averaging import Average
from keras_mspose.checkpoints import Checkpoints
from keras_mspose.errors import MsposeError

SIZE = 200_000  # weights: 0.8 MB


def _run(out: Path, *, keep: int = 2) -> Checkpoints:
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(SIZE, use_bias=False, kernel_initializer="zeros")(inputs))
    model.compile(keras.optimizers.SGD())
    model.optimizer.build(model.trainable_variables)
    return Checkpoints(out, model, model.optimizer, Average(model, 0.9), keep)


def _save(run: Checkpoints, number: int) -> None:
    run.model.set_weights([np.full((1, SIZE), number, np.float32)])
    run.average.restart()
    run.save(number, 2 * number, np.array([0.5 * number, 1, 2], np.float32), number)


def _found(out: Path) -> tuple[float, int, int, list[float]]:
    run = _run(out)
    run.restore()
    return float(run.model.get_weights()[0].mean()), run.epoch, run.step, run.sums.tolist()


def test_all_comes_back_and_the_last_two_are_kept(tmp_path: Path) -> None:
    run = _run(tmp_path)
    for number in (1, 2, 3):
        _save(run, number)
    assert sorted({p.name.split(".")[0] for p in run.folder.glob("ckpt-*")}) == ["ckpt-2", "ckpt-3"]
    assert _found(tmp_path) == (3, 3, 6, [1.5, 1, 2])


def test_without_any_a_run_begins_at_the_beginning(tmp_path: Path) -> None:
    assert _run(tmp_path).restore() is None
    assert _found(tmp_path) == (0, 0, 0, [])


@contextmanager
def _files_end_at(size: int) -> Iterator[None]:
    """The system refuses to make a file larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow_leaves_the_checkpoint_before_whole(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _save(run, 1)
    with _files_end_at(SIZE), pytest.raises(MsposeError, match=r"cannot be written .*ckpt-1 is whole: make room"):
        _save(run, 2)
    assert not list(run.folder.glob("ckpt-2*"))
    assert _found(tmp_path)[:2] == (1, 1)
    _save(run, 3)
    assert _found(tmp_path)[:2] == (3, 3)


def test_a_full_disk_leaves_the_checkpoint_before_whole(small_disk: Path) -> None:
    run = _run(small_disk / "run")
    _save(run, 1)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - SIZE))
    with pytest.raises(MsposeError, match=r"No space left.*ckpt-1 is whole: make room"):
        _save(run, 2)
    assert _found(small_disk / "run")[:2] == (1, 1)
    filler.unlink()
    _save(run, 3)
    assert _found(small_disk / "run")[:2] == (3, 3)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-5000], lambda b: b[:1000] + bytes(900) + b[1900:], lambda b: b""],
    ids=["cut", "over", "empty"],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: Callable[[bytes], bytes], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = _run(tmp_path)
    _save(run, 1)
    _save(run, 2)
    (file,) = run.folder.glob("ckpt-2.data*")
    file.write_bytes(damage(file.read_bytes()))
    assert _found(tmp_path)[:2] == (1, 1)
    assert "warning: cannot read" in capsys.readouterr().out
    for file in run.folder.glob("ckpt-1*"):
        file.unlink()
    with pytest.raises(MsposeError, match="no checkpoint can be read: "):
        _found(tmp_path)


def test_what_a_kill_left_is_cleaned_away(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _save(run, 1)
    whole = sorted(run.folder.iterdir())
    (run.folder / "ckpt-2_temp").mkdir()
    (run.folder / "ckpt-2_temp" / "part-00000").write_bytes(b"half")
    (run.folder / "ckpt-2.data-00000-of-00001").write_bytes(b"half")
    (run.folder / "checkpoint.tmp123").write_bytes(b"half")
    (tmp_path / "best.partial-77.keras").write_bytes(b"half")
    _run(tmp_path).clean()
    assert sorted(run.folder.iterdir()) == whole and list(tmp_path.iterdir()) == [run.folder]


def test_one_that_an_earlier_version_wrote_after_an_epoch_is_read(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.model.set_weights([np.full((1, SIZE), 7, np.float32)])
    epoch = tf.Variable(3, dtype=tf.int64)
    earlier = tf.train.Checkpoint(model=run.model, optimizer=run.model.optimizer, epoch=epoch)
    tf.train.CheckpointManager(earlier, str(run.folder), 2).save(checkpoint_number=3)
    assert _found(tmp_path) == (7, 3, 0, [])
