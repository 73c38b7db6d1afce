"""A SavedModel is given whole photographs and answers in their pixels, or says which of them it cannot."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from export import savedmodel, warm_up
from export.graph import InferenceGraph
from export.photographs import BOXES, IMAGE_BYTES
from keras_mspose import geometry, resample
from keras_mspose import heatmaps as codec
from keras_mspose.config import ModelConfig, RunConfig
from keras_mspose.model import inference_model
from keras_mspose.saved_model import Facts
from keras_mspose.skeleton import MPII16

SIZE, LOOKS = (64, 64), 2
CONFIG = ModelConfig(1, 8, SIZE, depth=2, scales=(1, 2))
BOX = (81.0, 60.0, 70.0)


def photograph(width: int = 200, height: int = 150, seed: int = 0, kind: str = "JPEG") -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def network(as_trained: Callable[..., keras.Model]) -> keras.Model:
    return as_trained(CONFIG)


@pytest.fixture(scope="module")
def graph(network: keras.Model) -> InferenceGraph:
    return InferenceGraph(network, Facts(MPII16, "pckh", RunConfig(model=CONFIG)))


@pytest.fixture(scope="module")
def saved(graph: InferenceGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "savedmodel/tiny/1"
    path.parent.mkdir(parents=True)
    savedmodel.write(graph, path, flip=False, looks=LOOKS)
    return path


@pytest.fixture(scope="module")
def loaded(saved: Path) -> object:
    return tf.saved_model.load(str(saved))


def ask(loaded: object, images: list[bytes], boxes: list[tuple] | None = None) -> np.ndarray:
    if boxes is None:
        return loaded.signatures["serving_default"](image_bytes=tf.constant(images))["keypoints"].numpy()
    fed = tf.constant(boxes, tf.float32)
    return loaded.signatures["serving_boxes"](image_bytes=tf.constant(images), boxes=fed)["keypoints"].numpy()


def seen(network: keras.Model, image: bytes, box: np.ndarray, *, flip: bool = False) -> np.ndarray:
    """The same in Python: the training pipeline's crop, Keras, NumPy's decoding, and back."""
    matrix = geometry.crop_transform(box[:2], box[2], SIZE)
    crop = resample.crop_from_jpeg(tf.constant(image), tf.constant(matrix), SIZE)[None]
    keras_own = inference_model(network)
    heatmaps = keras_own(crop, training=False).numpy()
    if flip:
        other = keras_own(crop[:, :, ::-1], training=False).numpy()
        heatmaps = (heatmaps + other[:, :, ::-1][..., MPII16.flip_order]) / 2
    found = codec.decode(heatmaps, 4)[0]
    return np.column_stack([geometry.apply(geometry.invert(matrix), found[:, :2]), found[:, 2]])


@pytest.mark.slow
def test_a_box_is_looked_at_once_and_a_whole_photograph_twice(network: keras.Model, loaded: object) -> None:
    images = [photograph(seed=1), photograph(90, 160, seed=2), photograph(seed=3)]
    found = ask(loaded, images, [BOX, (0.0, 0.0, 0.0), (20.0, 30.0, 70.0)])
    for place, box in ((0, BOX), (2, (20.0, 30.0, 70.0))):
        np.testing.assert_allclose(found[place], seen(network, images[place], np.float32(box)), atol=0.01)
    whole = np.float32([44.5, 79.5, 160.0])
    first = seen(network, images[1], whole)
    second = seen(network, images[1], geometry.narrowed_box(np.float32(first), whole))
    np.testing.assert_allclose(found[1], second, atol=0.02)
    np.testing.assert_allclose(ask(loaded, images[1:2])[0], found[1], atol=1e-3)


@pytest.mark.slow
def test_flip_test_is_that_of_evaluate(network: keras.Model, graph: InferenceGraph) -> None:
    image = photograph(seed=4)
    _, boxed = graph.photographs(flip=True, looks=1)
    found = boxed(tf.constant([image]), tf.constant([BOX]))["keypoints"][0]
    np.testing.assert_allclose(found, seen(network, image, np.float32(BOX), flip=True), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_other_formats_are_read_and_their_size_with_them(kind: str, loaded: object) -> None:
    image = photograph(130, 90, kind=kind)
    reference = photograph(130, 90, kind="PNG")
    found = ask(loaded, [image, reference], [(60.0, 45.0, 60.0)] * 2)
    if kind != "GIF":  # whose 256 colours are others
        np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="130 x 90 pixels"):
        ask(loaded, [image], [(400.0, 45.0, 60.0)])


def huge_png() -> bytes:
    whole = photograph(kind="PNG")
    return whole[:16] + struct.pack(">II", 10_000, 10_000) + whole[24:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "box", "said"),
    [
        (b"", BOX, r"image_bytes\[1\]: empty"),
        (b"no photograph", BOX, r"image_bytes\[1\]: not an image \(JPEG, PNG, GIF, BMP\)"),
        (photograph()[:900], BOX, r"image_bytes\[1\]: damaged, or cut short"),
        (photograph()[:25], BOX, r"image_bytes\[1\]: damaged, or cut short"),
        (photograph(kind="PNG")[:400], BOX, r"image_bytes\[1\]: damaged, or cut short"),
        (huge_png(), BOX, r"image_bytes\[1\]: declares 10000 x 10000 pixels, more than 80 megapixels"),
        (photograph(), (900.0, 40.0, 60.0), r"boxes\[1\]: lies outside of the photograph, 200 x 150 pixels"),
        (photograph(), (90.0, 40.0, 1e-18), r"boxes\[1\]: its side is under a hundredth of a pixel"),
        (photograph(), (np.nan, 40.0, 60.0), r"boxes\[1\]: expected centre x"),
        (photograph(), (40.0, 40.0, np.inf), r"boxes\[1\]: expected centre x"),
    ],
    ids=["empty", "text", "cut", "header", "cut png", "huge", "outside", "small", "nan", "infinite"],
)
def test_a_bad_one_is_named_and_the_next_request_is_answered(bad: bytes, box: tuple, said: str, loaded: object) -> None:
    good = photograph(seed=5)
    before = ask(loaded, [good], [BOX])
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        ask(loaded, [good, bad, good], [BOX, box, BOX])
    np.testing.assert_array_equal(ask(loaded, [good], [BOX]), before)


@pytest.mark.slow
def test_all_bad_and_none_at_all(loaded: object) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image_bytes\[0\]: not an image"):
        ask(loaded, [b"a", b"b"])
    empty = loaded.signatures["serving_boxes"](image_bytes=tf.zeros([0], tf.string), boxes=tf.zeros((0, 3)))
    assert empty["keypoints"].shape == (0, 16, 3)


@pytest.mark.slow
def test_warm_up_requests_go_through_their_bytes_and_are_answered(saved: Path, loaded: object) -> None:
    logs = tf.data.TFRecordDataset(str(saved / warm_up.FILE))
    requests = [prediction_log_pb2.PredictionLog.FromString(one.numpy()).predict_log.request for one in logs]
    assert [r.model_spec.signature_name for r in requests] == ["serving_default", "serving_boxes", "crops"]
    image = photograph(seed=6)
    inputs = {IMAGE_BYTES: np.array([image], object), BOXES: np.float32([BOX])}
    requests.append(warm_up.request("tiny", "serving_boxes", inputs))
    for request in requests:
        sent = predict_pb2.PredictRequest.FromString(request.SerializeToString())
        assert sent.model_spec.name == "tiny"
        fed = {name: tf.constant(tf.make_ndarray(value)) for name, value in sent.inputs.items()}
        answer = loaded.signatures[sent.model_spec.signature_name](**fed)
        response = predict_pb2.PredictResponse()
        for name, value in answer.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        received = predict_pb2.PredictResponse.FromString(response.SerializeToString())
        keypoints = tf.make_ndarray(received.outputs["keypoints"])
        assert keypoints.shape == (1, 16, 3) and np.isfinite(keypoints).all()
    np.testing.assert_array_equal(keypoints, ask(loaded, [image], [BOX]))
