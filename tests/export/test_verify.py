"""`mspose verify`: what is measured of a file, and when it is past its limit."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import crops_of_records, exif, verification
from export.index import read_index
from export.run import export_run
from export.verify_run import verify_export, without_exif
from keras_mspose import cli, saved_model
from keras_mspose import heatmaps as codec
from keras_mspose.config import DataConfig, ModelConfig, RunConfig
from keras_mspose.errors import MsposeError
from keras_mspose.model import build_model
from keras_mspose.skeleton import LSP14, MPII16
from tfrecords_tools import synthetic


def two_peaks(second: float) -> np.ndarray:
    """(1, 8, 12, 1): a Gaussian of peak 1 at heatmap pixel (3, 3), and one of peak `second` at (8, 3)."""
    left, right = (codec.render(np.float32([[[x, 13.5, 1]]]), (8, 12), 4) for x in (13.5, 33.5))
    return left + second * right


def measured(found: np.ndarray, expected: np.ndarray, *, own: bool = True) -> dict:
    differences = verification.Differences(4, verification.NEAR["float32"])
    differences.add(codec.decode(found, 4), codec.decode(expected, 4), expected, found if own else None)
    return differences.summary()


@pytest.mark.parametrize("own", [True, False])
def test_a_peak_that_flips_between_equal_maxima_is_listed_and_left_out(own: bool) -> None:
    found = measured(two_peaks(1.0001), two_peaks(0.9999), own=own)
    assert found["flipped"] == 1 and found["p99_9_px"] == found["largest_px"] == 0
    assert found["with_flipped"]["largest_px"] == pytest.approx(20, abs=0.1)
    (flip,) = found["flips"]
    assert (flip["person"], flip["keypoint"]) == (0, 0) and flip["gap"] == pytest.approx(1e-4, rel=0.1)
    assert verification.judge("float32", found, 0.0)[0]


@pytest.mark.parametrize("own", [True, False])
def test_a_peak_that_keras_does_not_see_is_a_difference(own: bool) -> None:
    found = measured(two_peaks(1.0001), two_peaks(0.9), own=own)
    assert found["flipped"] == 0 and found["p99_9_px"] == pytest.approx(20, abs=0.1)
    assert not verification.judge("float32", found, 0.0)[0]


def test_figures_are_of_crop_pixels_and_heatmap_values() -> None:
    expected, found = two_peaks(0.0), codec.render(np.float32([[[13.9, 13.2, 1]]]), (8, 12), 4)
    result = measured(found, expected)
    assert result["mean_px"] == pytest.approx(0.5, abs=0.01)
    assert result["heatmaps"] == pytest.approx(np.abs(found - expected).max())
    found[0, 0, 0, 0] = np.nan
    assert np.isnan(measured(found, expected)["heatmaps"])


@pytest.mark.parametrize(
    ("precision", "pixels", "loss", "good"),
    [
        ("float32", 0.011, 0.0, False),
        ("float16", 0.099, 0.0, True),
        ("float16", 0.11, 0.0, False),
        ("float16", float("nan"), 0.0, False),
        ("int8", 9.0, 1.0, True),
        ("int8", 0.0, 1.1, False),
        ("int8", 0.0, float("nan"), False),
        ("dynamic", 0.0, -3.0, True),
    ],
)
def test_limits(precision: str, pixels: float, loss: float, good: bool) -> None:
    assert verification.judge(precision, {"p99_9_px": pixels}, loss)[0] is good


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records") / "drawn"
    synthetic.convert(folder, persons=16, val_persons=5, seed=0)
    return folder


@pytest.fixture(scope="module")
def export(records: Path, as_trained: Callable[..., keras.Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ModelConfig(1, 8, (64, 64), depth=2, scales=(1, 2))
    folder = tmp_path_factory.mktemp("run")
    run = RunConfig(model=config, data=DataConfig(box="record"))
    saved_model.save(as_trained(config), folder / "best.keras", saved_model.Facts(MPII16, "pckh", run))
    out = folder / "export"
    report = export_run(
        folder, out, ["savedmodel", "tflite", "onnx"], precisions=["float32"], data=records, flip=True, name="tiny"
    )
    assert report["compared"]["data"] == "drawn" and report["compared"]["calibrated_on"] == 16
    assert report["photographs"] == {"flip_test": True, "looks_without_box": 3}
    return out


@pytest.mark.slow
def test_every_file_is_compared_timed_and_judged(
    export: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, page = tmp_path / "verify.json", tmp_path / "verify.html"
    arguments = ["verify", str(export), "--data", str(records), "--calls", "3"]
    assert cli.main([*arguments, "--json", str(figures), "--html", str(page)]) == 0
    report = json.loads(figures.read_text())
    assert report["good"] and report["persons"] == 5
    forms = [(row["format"], row["form"]) for row in report["files"]]
    assert forms == [
        ("savedmodel", "cpu"),
        ("savedmodel", "photographs"),
        ("tflite", "cpu"),
        ("tflite", "delegate"),
        ("onnx", "cpu"),
    ]
    for row in report["files"]:
        found = row["differences"]
        assert found["keypoints"] == 5 * 16 and found["p99_9_px"] < 0.01 and abs(row["loss"]) < 5
        if row["form"] == "photographs":
            assert found["heatmaps"] is None and not row["timed"]
        else:
            assert found["heatmaps"] < 1e-3 and set(row["timed"]) == {"1", "2"}
            assert all(0 < t["median_ms"] <= t["p95_ms"] and t["load_ms"] > 0 for t in row["timed"].values())
    assert [one["flip_test"] for one in report["keras"]] == [False, True]
    written = page.read_text()
    assert "://" not in written and written.count("<tr>") >= 10 and "delegate_float32" in written
    said = capsys.readouterr().out
    assert "SavedModel, photographs and boxes" in said and "PAST LIMIT" not in said


@pytest.mark.slow
def test_a_file_past_its_limit_ends_with_1(
    export: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx
    from onnx import numpy_helper

    file = export / "onnx/model_float32.onnx"
    kept = file.read_bytes()
    model = onnx.load(file)
    weights = next(i for i in model.graph.initializer if len(i.dims) == 4)
    weights.CopyFrom(numpy_helper.from_array(1.3 * numpy_helper.to_array(weights), weights.name))
    onnx.save(model, file)
    try:
        arguments = ["verify", str(export), "--data", str(records), "--calls", "0", "--only", "onnx", "--persons", "2"]
        assert cli.main([*arguments, "--json", str(tmp_path / "v.json")]) == 1
    finally:
        file.write_bytes(kept)
    assert "PAST LIMIT" in capsys.readouterr().out
    report = json.loads((tmp_path / "v.json").read_text())
    assert not report["good"] and [row["path"] for row in report["files"]] == ["onnx/model_float32.onnx"]
    assert report["persons"] == 2 and report["files"][0]["timed"] == {}


@pytest.mark.slow
def test_what_cannot_be_verified_is_refused(export: Path, records: Path, tmp_path: Path) -> None:
    for folder, how, match in (
        (export, {"only": ["coreml"]}, "no file to measure; there are savedmodel/tiny/1"),
        (export, {"persons": 0}, "expected 1 or more persons"),
        (export, {"split": "test"}, "test"),
        (tmp_path, {}, "not an export"),
    ):
        with pytest.raises(MsposeError, match=match):
            verify_export(folder, records, calls=0, **how)


def test_a_damaged_index_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = tmp_path / "export.json"
    for content, match in (
        ("{", "damaged"),
        ('{"formats": {}}', "damaged, or of another version"),
        (
            '{"formats": {"onnx": {"model_float32": {"path": "onnx/x.onnx"}}}, "name": "a", "input_size": [1, 1], '
            '"stride": 4, "sigma": 1, "skeleton": {}}',
            "x.onnx: named in export.json but missing",
        ),
    ):
        index.write_text(content)
        with pytest.raises(MsposeError, match=match):
            read_index(tmp_path)
        assert cli.main(["verify", str(tmp_path), "--data", str(tmp_path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_photographs_are_asked_about_as_they_are_stored() -> None:
    """The boxes of records are in the pixels as stored, whatever EXIF says of how to turn them."""
    tags, written = Image.Exif(), io.BytesIO()
    tags[0x010F], tags[0x0112] = "a phone", 6
    picture = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    Image.fromarray(picture).save(written, "JPEG", exif=tags)
    plain = without_exif(written.getvalue())
    assert int(exif.orientation(tf.constant(written.getvalue()))) == 6
    assert int(exif.orientation(tf.constant(plain))) == 1
    before, after = (tf.io.decode_jpeg(data) for data in (written.getvalue(), plain))
    np.testing.assert_array_equal(before, after)


def test_records_are_matched_to_the_runs_skeleton(records: Path, tmp_path: Path) -> None:
    """As in training, by the recipe's `data.skeleton` and `data.rename`."""
    config = ModelConfig(1, 8, (64, 64), depth=2, scales=(1, 2))

    def facts(**data) -> saved_model.Facts:
        return saved_model.Facts(LSP14, "pckh", RunConfig(model=config, data=DataConfig(box="record", **data)))

    with pytest.raises(MsposeError, match="they must agree"):
        crops_of_records.read(records, facts())
    matched = facts(skeleton="lsp14", rename={"upper_neck": "neck"})
    compared, calibration = crops_of_records.read(records, matched)
    assert compared.shape == (5, 64, 64, 3) and calibration.shape == (16, 64, 64, 3)
    saved_model.save(build_model(config, len(LSP14)), tmp_path / "network.keras", matched)
    (tmp_path / "a.onnx").touch()
    index = {"formats": {"onnx": {"a": {"path": "a.onnx"}}}, "name": "a", "input_size": [64, 64], "stride": 4}
    (tmp_path / "export.json").write_text(json.dumps({**index, "sigma": 1, "skeleton": LSP14.to_dict()}))
    with pytest.raises(MsposeError, match="'holiday'"):  # and nothing about the skeleton
        verify_export(tmp_path, records, split="holiday")
