"""A photograph that lies turned in its file, as phones write them, gets from the SavedModel the pose that it gets
upright, and that `mspose predict` gives: with a box and without, alone and beside others."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from export import savedmodel
from export.graph import InferenceGraph
from keras_mspose import saved_model
from keras_mspose.config import from_dict
from keras_mspose.pose_estimator import PoseEstimator
from keras_mspose.skeleton import LSP14

pytestmark = pytest.mark.slow
ORIENTATIONS = range(1, 9)
SPOTS = np.array([[-38.3, -59.8], [41.6, -20.9], [-11.6, 69.7]])  # from the middle to where it is red, green and blue
SIDE = 210.0  # of the box about them
LOOKS = 3
NEAR = 0.1  # pixels, to `mspose predict` and between orientations


def places(width: int, height: int) -> np.ndarray:
    return SPOTS + np.array([width, height]) / 2


def drawn(width: int, height: int) -> Image.Image:
    """A red, a green and a blue spot, on shades."""
    down, across = np.mgrid[:height, :width]
    spots = [250 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 11.0**2)) for x, y in places(width, height)]
    shades = 20 + 10 * np.sin(across / 17) * np.cos(down / 23)
    return Image.fromarray(np.clip(np.stack(spots, axis=-1) + shades[..., None], 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def phones_file(as_stored: Callable) -> Callable[[Image.Image, int], bytes]:
    def written(upright: Image.Image, orientation: int) -> bytes:
        """As a camera writes it that was held so; turned before it is encoded, in blocks of whole pixels."""
        tags, buffer = Image.Exif(), io.BytesIO()
        tags[0x010F], tags[0x0112] = "a phone", orientation
        as_stored(upright, orientation).save(buffer, "JPEG", quality=95, subsampling=0, exif=tags)
        return buffer.getvalue()

    return written


def write_run(folder: Path, size: tuple[int, int]) -> Path:
    """A run whose "network" answers with where a crop is reddest, greenest and bluest."""
    said = {"stacks": 1, "channels": 8, "input_size": list(size), "depth": 2, "scales": [1], "regression": False}
    crop = keras.Input((*size, 3), dtype="uint8", name="crop")
    x = keras.layers.Rescaling(1 / 255)(crop)
    x = keras.layers.Conv2D(3, 4, 4, "same", use_bias=False, name="mean")(x)
    maps = keras.layers.Conv2D(14, 1, use_bias=False, name="stack1_gt1")(x)
    model = keras.Model(crop, {"stack1_gt1": maps})
    model.get_layer("mean").set_weights([np.tile(np.eye(3) / 16, (4, 4, 1, 1))])
    model.layers[-1].set_weights([np.eye(3)[None, None][..., np.arange(14) % 3]])
    facts = saved_model.Facts(LSP14, "pck", from_dict({"model": said, "data": {"box": "image"}}, "test"))
    saved_model.save(model, folder / "best.keras", facts)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), (64, 64))


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    path = run / "savedmodel/spots/1"
    path.parent.mkdir(parents=True)
    savedmodel.write(InferenceGraph(*saved_model.load(run)), path, flip=False, looks=LOOKS)
    return path


@pytest.fixture(scope="module")
def serve(exported: Path) -> Any:
    loaded = tf.saved_model.load(str(exported))

    def ask(files: list[bytes], boxes: list[tuple] | None = None) -> np.ndarray:
        more = {} if boxes is None else {"boxes": tf.constant(boxes, tf.float32)}
        signature = "serving_default" if boxes is None else "serving_boxes"
        return loaded.signatures[signature](image_bytes=tf.constant(files), **more)["keypoints"].numpy()

    return ask


def held_right(
    found: np.ndarray, files: list[bytes], size: tuple[int, int], estimator: PoseEstimator, **how: Any
) -> None:
    """What was found is as `mspose predict` has it, the same for all, and where the spots are."""
    for orientation, data, pose in zip(ORIENTATIONS, files, found, strict=True):
        (same,) = estimator.predict(data, **how)
        assert np.abs(pose[:, :2] - same.keypoints).max() < NEAR, f"{orientation}: not as mspose predict has it"
        assert np.abs(pose[:, 2] - same.scores).max() < 0.02
        assert np.abs(pose - found[0])[:, :2].max() < NEAR, f"{orientation}: not as upright"
        assert np.abs(pose[:, :2] - places(*size)[np.arange(14) % 3]).max() < 1.0, f"{orientation}: beside the spots"


@pytest.mark.parametrize("size", [(320, 240), (800, 272)], ids=str)
@pytest.mark.parametrize("boxed", [True, False], ids=["box", "no box"])
def test_it_is_the_pose_of_the_upright_photograph(
    size: tuple[int, int], boxed: bool, run: Path, serve: Any, phones_file: Callable
) -> None:
    files = [phones_file(drawn(*size), orientation) for orientation in ORIENTATIONS]
    assert {Image.open(io.BytesIO(data)).size for data in files} == {size, size[::-1]}
    box = (size[0] / 2, size[1] / 2, SIDE)
    found = serve(files, [box] * 8 if boxed else None)  # one batch, all orientations
    how = {"boxes": np.float32([box])} if boxed else {"looks": LOOKS}
    held_right(found, files, size, PoseEstimator.load(run), **how)
    np.testing.assert_allclose(serve(files[5:6], [box] if boxed else None)[0], found[5], atol=1e-3)


def test_crops_need_not_be_square(tmp_path: Path, phones_file: Callable) -> None:
    folder, size = write_run(tmp_path, (80, 48)), (320, 240)
    files = [phones_file(drawn(*size), orientation) for orientation in ORIENTATIONS]
    box = np.float32([[size[0] / 2, size[1] / 2, SIDE]])
    _, boxed = InferenceGraph(*saved_model.load(folder)).photographs(flip=False, looks=1)
    found = boxed(tf.constant(files), tf.constant(np.tile(box, (8, 1))))["keypoints"].numpy()
    held_right(found, files, size, PoseEstimator.load(folder), boxes=box)


def test_sides_that_are_no_multiple_of_8_change_little(serve: Any, phones_file: Callable) -> None:
    found = serve([phones_file(drawn(331, 253), orientation) for orientation in ORIENTATIONS])
    assert np.abs(found - found[0])[..., :2].max() < 0.3


def test_what_is_outside_is_outside_of_the_upright_photograph(serve: Any, phones_file: Callable) -> None:
    turned = phones_file(drawn(240, 320), 6)  # 320 x 240 as stored
    assert Image.open(io.BytesIO(turned)).size == (320, 240)
    serve([turned], [(100.0, 300.0, 60.0)])  # below what is stored
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"boxes\[1\]: lies outside .* 240 x 320 pixels"):
        serve([turned, turned], [(100.0, 300.0, 60.0), (300.0, 100.0, 60.0)])


ALONE = """
import sys
class Refused:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"keras_mspose", "export", "tfrecords_tools", "PIL", "cv2"}:
            raise ImportError(name + " is not to be had here")
sys.meta_path.insert(0, Refused())
import pathlib
import numpy as np
import tensorflow as tf
model, turned, answer = sys.argv[1:]
serve = tf.saved_model.load(model).signatures["serving_default"]
np.save(answer, serve(image_bytes=tf.constant([pathlib.Path(turned).read_bytes()]))["keypoints"])
"""


def test_it_needs_tensorflow_alone_and_none_of_python(
    exported: Path, serve: Any, tmp_path: Path, phones_file: Callable
) -> None:
    (tmp_path / "turned.jpg").write_bytes(turned := phones_file(drawn(320, 240), 8))
    arguments = [str(exported), str(tmp_path / "turned.jpg"), str(tmp_path / "answer.npy")]
    done = subprocess.run([sys.executable, "-I", "-c", ALONE, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), serve([turned]), atol=1e-3)
    graph = SavedModel.FromString((exported / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    operations = {node.op for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes}
    assert "DecodeAndCropJpeg" in operations and not any("PyFunc" in name for name in operations)
