"""log.csv grows by whole rows, and stays readable where a later version adds a column."""

from pathlib import Path

from keras_mspose import plot_run, run_log


def test_a_new_column_leaves_older_rows_readable(tmp_path: Path) -> None:
    row = {"epoch": 0, "loss": 2.0, "val_loss": 3.0, "val_pck": 40.0}
    run_log.write_rows(tmp_path, [row, {**row, "epoch": 1, "input_waits": 5.0}])
    assert [r["input_waits"] for r in run_log.read_log(tmp_path)] == ["nan", "5.0"]
    assert plot_run.read_curves(tmp_path).epochs == [1, 2]
    run_log.write_rows(tmp_path, [])
    assert run_log.read_log(tmp_path) == [] and list(tmp_path.iterdir()) == []
