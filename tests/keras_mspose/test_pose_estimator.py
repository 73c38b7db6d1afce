"""One interface over every form of a network, every kind of image, and boxes from everywhere."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import keras_mspose
from keras_mspose import PoseEstimator, detectors, network
from keras_mspose.errors import MsposeError
from keras_mspose.person_boxes import BoxFile, squares
from keras_mspose.pose import Pose
from keras_mspose.skeleton import LSP14

SIZE = (320, 200)


@pytest.fixture(scope="module")
def estimator(spot_export: Path) -> PoseEstimator:
    return PoseEstimator.load(spot_export)


def saved(pixels: np.ndarray, form: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **how)
    return buffer.getvalue()


def test_every_form_finds_the_same(
    spot_run: Path, spot_export: Path, spot: Callable, tmp_path: Path, estimator: PoseEstimator
) -> None:
    assert estimator.network.file == spot_export / "onnx/model_float32.onnx"
    images = [spot(100.3, 80.8, SIZE), spot(207.1, 121.9, SIZE)]
    boxes = [None, [[150, 60, 100, 110]]]
    forms = ["onnx/model_float32.onnx", "tflite/model_float32.tflite", "tflite/delegate_float32.tflite", "savedmodel"]
    expected = PoseEstimator.load(spot_run).predict(images, boxes, flip=True)
    for form in forms:
        found = PoseEstimator.load(spot_export / form).predict(images, boxes, flip=True)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one[0].with_scores(), other[0].with_scores(), atol=0.01, err_msg=form)
            assert one[0].box == other[0].box and one[0].how == other[0].how
    lone = tmp_path / "lone.onnx"
    lone.write_bytes((spot_export / forms[0]).read_bytes())
    with pytest.raises(MsposeError, match=r"without its export\.json, .*copy export\.json beside it"):
        PoseEstimator.load(lone)
    (tmp_path / "export.json").write_bytes((spot_export / "export.json").read_bytes())
    assert PoseEstimator.load(lone).predict(images[0])[0].names == LSP14.keypoints
    lone.write_bytes(lone.read_bytes()[:500])
    with pytest.raises(MsposeError, match=r"lone\.onnx: cannot be loaded"):
        PoseEstimator.load(lone)
    with pytest.raises(MsposeError, match=r"no such file or folder.*also read: an exported folder"):
        PoseEstimator.load(tmp_path / "none")


def test_every_kind_of_image_is_read(estimator: PoseEstimator, spot: Callable, tmp_path: Path) -> None:
    pixels = spot(200.4, 90.2, SIZE)
    path = tmp_path / "a.png"
    path.write_bytes(saved(pixels, "PNG"))
    (expected,) = estimator.predict(pixels)
    assert np.abs(expected.keypoints - (200.4, 90.2)).max() < 1
    for image in (path, str(path), path.read_bytes(), Image.open(path)):
        (pose,) = estimator.predict(image)
        np.testing.assert_array_equal(pose.keypoints, expected.keypoints)
        assert pose.size == SIZE and pose.image == ("a.png" if isinstance(image, (str, Path)) else None)
    for bad in (pixels[..., 0], pixels.astype(float), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(MsposeError, match=r"expected uint8 of \(H, W, 3\)"):
            estimator.predict(bad)
    with pytest.raises(MsposeError, match=r"none\.jpg: no such file"):
        estimator.predict(tmp_path / "none.jpg")


def test_a_batch_is_what_its_images_are_alone(estimator: PoseEstimator, spot: Callable) -> None:
    images = [spot(40 + 13 * i, 30 + 7 * i, SIZE) for i in range(18)]
    boxes = [None if i % 3 else [[10, 10, 250, 150], [0, 0, 320, 200]][: i % 2 + 1] for i in range(18)]
    together = estimator.predict(images, boxes)
    assert [len(poses) for poses in together] == [1 if given is None else len(given) for given in boxes]
    for image, given, poses in zip(images, boxes, together, strict=True):
        for one, other in zip(estimator.predict(image, given), poses, strict=True):
            np.testing.assert_allclose(one.with_scores(), other.with_scores(), atol=1e-3)
            assert (one.found, one.person) == (other.found, other.person)
    assert estimator.predict([]) == [] and estimator.predict(images[0], []) == []
    with pytest.raises(MsposeError, match="1 lists of boxes for 2 images"):
        estimator.predict(images[:2], [None])


def test_the_flip_test_is_the_same_in_the_mirror(estimator: PoseEstimator, spot: Callable) -> None:
    image = spot(70.3, 150.6, (201, 201))
    (pose,) = estimator.predict(image, (100, 100, 201), flip=True)
    (mirrored,) = estimator.predict(np.ascontiguousarray(image[:, ::-1]), (100, 100, 201), flip=True)
    back = mirrored.keypoints[LSP14.flip_order] * (-1, 1) + (200, 0)
    np.testing.assert_allclose(back, pose.keypoints, atol=0.05)


def test_a_detector_says_where(estimator: PoseEstimator, spot: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    image = spot(70, 150, SIZE)

    def detector(seen: np.ndarray) -> list:
        np.testing.assert_array_equal(seen, image)
        return [[20, 100, 90, 90], [30, 90, 80, 100]]

    assert [pose.how for pose in estimator.predict(image, detector=detector)] == ["box given, 1 look"] * 2
    assert estimator.predict(image, detector=lambda seen: np.zeros((0, 4))) == []
    assert detectors.find("numpy:zeros_like") is np.zeros_like
    for name, said in (("yolo", "expected hog, or MODULE:FUNCTION"), ("numpy:none", "cannot be"), ("none:x", "cannot")):
        with pytest.raises(MsposeError, match=said):
            detectors.find(name)
    monkeypatch.delattr(cv2, "HOGDescriptor", raising=False)
    with pytest.raises(MsposeError, match="comes without it; put opencv-contrib-python-headless"):
        detectors.find("hog")


@pytest.mark.parametrize("answer", [None, [[1, 2, 3, 4, 0.9]] * 4, [[1, 2], [3]], "none"])
def test_a_detector_that_answers_no_rectangles_is_named(answer: object) -> None:
    def finder(_: np.ndarray) -> object:
        return answer

    with pytest.raises(MsposeError, match=r"the detector .*finder answered .*; expected rectangles \(N, 4\)"):
        PoseEstimator(None).predict(np.zeros((9, 9, 3), np.uint8), detector=finder)


@pytest.mark.skipif(not hasattr(cv2, "HOGDescriptor"), reason="this OpenCV has no HOG: 4, or 5 with contrib, has it")
def test_hog_answers_rectangles() -> None:
    found = detectors.find("hog")(np.random.default_rng(0).integers(0, 255, (300, 900, 3), np.uint8))
    assert found.ndim == 2 and found.shape[1] == 4
    assert detectors.find("hog")(np.zeros((20, 900, 3), np.uint8)).shape == (0, 4)


def test_squares_are_those_of_training() -> None:
    # COCO's box from 10 to 30: its pixels are 10 to 29, its middle is 19.5
    np.testing.assert_allclose(squares([10, 20, 20, 40], (100, 100)), [[19.5, 39.5, 50]])
    np.testing.assert_allclose(squares([[19, 39, 50]], (100, 100)), [[19, 39, 50]])
    for boxes, said in (
        ([1, 2], "shape"),
        ([[1, 2, 0, 5]], "above 0"),
        ([1, 2, float("nan")], "expected pixels"),
        ([500, 20, 30, 30], "outside of the photograph, 100 x 100"),
        (["a"], "expected numbers"),
        ([50, 50, 10**400], "expected numbers"),
        ([50, 50, 1e-18], "its side is under a hundredth of a pixel"),
        ([50, 50, 1e-18, 1e-3], "its side is under a hundredth of a pixel"),
    ):
        with pytest.raises(MsposeError, match=said):
            squares(boxes, (100, 100))


def test_box_files(tmp_path: Path) -> None:
    file, box, other = tmp_path / "boxes.json", [1, 2, 3, 4], [5.5, 6, 7, 8]
    images = [{"id": 7, "file_name": "a/x.jpg"}, {"id": 8, "file_name": "y.jpg"}]
    entries = [{"image_id": 7, "bbox": box, "category_id": c, "iscrowd": i} for c, i in ((3, 0), (1, 0), (3, 1))]
    annotations = {"images": images, "annotations": entries, "categories": [{"id": 3, "name": "person"}]}
    alike = {
        "images": [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "b/1.jpg"}],
        "annotations": [{"image_id": 1, "bbox": box}, {"image_id": 2, "bbox": other}],
    }
    results = [
        {"image_id": 139, "bbox": box, "category_id": 1, "score": 0.9},
        {"image_id": 139, "bbox": other, "category_id": 1, "score": 0.1},
        {"image_id": 139, "bbox": other, "category_id": 2, "score": 0.9},
    ]
    for said, found in (
        ({"x.jpg": [box, other]}, {"here/x.jpg": [box, other], "y.jpg": None}),
        (annotations, {"x.jpg": [box], "y.jpg": [], "z.jpg": None}),
        (alike, {"photos/a/1.jpg": [box], "b/1.jpg": [other], "2.jpg": None}),
        (results, {"000000000139.jpg": [box], "x.jpg": None, "1.jpg": None}),
    ):
        file.write_text(json.dumps(said))
        for name, boxes in found.items():
            assert BoxFile(file).of(Path(name)) == boxes, (said, name)
    file.write_text(json.dumps(alike))
    with pytest.raises(MsposeError, match=r"boxes\.json: c/1\.jpg may be its a/1\.jpg or b/1\.jpg"):
        BoxFile(file).of(Path("c/1.jpg"))
    for text in (
        "[",
        "[" * 100_000,
        '[{"bbox": [1, 2, 3, 4], "image_id": 1e999}]',
        "7",
        '{"x.jpg": [[1, 2, 3]]}',
        '{"x.jpg": 4}',
        '[{"bbox": [1, 2, 3, 4]}]',
        '{"x": [["a", 1, 2, 3]]}',
    ):
        file.write_text(text)
        with pytest.raises(MsposeError, match=r"boxes\.json: not boxes"):
            BoxFile(file)


def test_a_pose_says_itself() -> None:
    keypoints = np.arange(28, dtype=np.float32).reshape(14, 2) + 5
    pose = Pose(
        keypoints, np.full(14, 0.5, np.float32), LSP14, (20, 20, 40), (50, 60), image="a/000000000042.jpg", person=1
    )
    assert repr(pose) == "Pose(a/000000000042.jpg, 50 x 60, 14 keypoints, mean score 0.50, box given, 1 look)"
    assert str(pose).splitlines()[-1].split() == ["head_top", "31.0", "32.0", "0.50"]
    coco = pose.to_coco()
    assert (coco["image_id"], coco["category_id"], coco["score"]) == (42, 1, 0.5)
    assert coco["keypoints"][:6] == [5, 6, 0.5, 7, 8, 0.5] and pose.to_coco("x")["image_id"] == "x"
    again = Pose.from_dict(json.loads(json.dumps(pose.to_dict())), LSP14)
    assert again.to_dict() == pose.to_dict() and again.to_dict()["keypoints"][0]["name"] == "right_ankle"
    image = np.zeros((60, 50, 3), np.uint8)
    assert pose.draw(image).any() and not image.any()
    assert not pose.draw(image, threshold=0.6).any()


def test_poses_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    pose = Pose(np.ones((14, 2), np.float32), np.ones(14, np.float32), LSP14, (20, 20, 40), (50, 60), image="a.jpg")
    pytest.importorskip("pandas")
    table = keras_mspose.to_frame([pose, pose])
    assert len(table) == 28 and list(table.columns[:2]) == ["image", "frame"]
    assert pose.to_frame().query("keypoint == 'neck'").x.item() == 1
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MsposeError, match="pip install pandas"):
        pose.to_frame()


@pytest.mark.parametrize("form", ["onnx/model_float32.onnx", "tflite/model_float32.tflite"])
def test_an_exported_network_needs_no_tensorflow(form: str, spot_export: Path, spot: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(spot(70, 90, SIZE), "PNG"))
    arguments = ["predict", str(spot_export / form), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    code = (
        "import sys, keras_mspose; from keras_mspose import cli; assert 'numpy' not in sys.modules; "
        f"assert cli.main({arguments!r}) == 0; "
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'scipy', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert (tmp_path / "out/a_pose.png").is_file()


def test_the_best_file_of_an_export_is_taken(spot_export: Path, tmp_path: Path) -> None:
    said = json.loads((spot_export / "export.json").read_text())
    del said["formats"]["onnx"]
    (tmp_path / "export.json").write_text(json.dumps(said))
    with pytest.raises(MsposeError, match="none of the files"):
        network.find(tmp_path)
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite/model_float32.tflite").touch()
    assert network.find(tmp_path).name == "model_float32.tflite"
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(MsposeError, match=r"export\.json: damaged"):
        network.find(tmp_path)
