"""Requests that TF Serving runs before it takes any, so that the first client does not wait for the graph's set-up."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from export.graph import CROPS
from export.photographs import BOXES, IMAGE_BYTES

FILE = Path("assets.extra", "tf_serving_warmup_requests")  # where TF Serving looks for it
PHOTOGRAPH = (480, 640)  # height and width in pixels


def write(model: Path, name: str, crop_size: tuple[int, int]) -> None:
    """Write one request a signature into `model`, a folder `NAME/1`."""
    (model / FILE.parent).mkdir()
    with tf.io.TFRecordWriter(str(model / FILE)) as writer:
        for one in requests(name, crop_size):
            log = prediction_log_pb2.PredictLog(request=one)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def requests(name: str, crop_size: tuple[int, int]) -> list[predict_pb2.PredictRequest]:
    """One request for every signature.

    Args:
        name: of the model.
        crop_size: (height, width) in pixels.
    """
    height, width = PHOTOGRAPH
    _, jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))
    images = np.array([jpeg.tobytes()], object)
    box = np.array([[(width - 1) / 2, (height - 1) / 2, height]], np.float32)
    return [
        request(name, "serving_default", {IMAGE_BYTES: images}),
        request(name, "serving_boxes", {IMAGE_BYTES: images, BOXES: box}),
        request(name, "crops", {CROPS: np.full((1, *crop_size, 3), 128, np.uint8)}),
    ]


def request(name: str, signature: str, inputs: dict[str, np.ndarray]) -> predict_pb2.PredictRequest:
    """A request to TF Serving, as its clients send it."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        made.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return made
