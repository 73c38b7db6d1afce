"""What tests of keras_mspose share: small networks, and photographs whose keypoints are painted on them."""

import colorsys
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_mspose import saved_model
from keras_mspose.config import ModelConfig, from_dict
from keras_mspose.model import build_model
from keras_mspose.records import Person, RecordSet
from keras_mspose.skeleton import LSP14

DOT_SIGMA = 2.2  # photograph pixels


@dataclass(frozen=True)
class Dots:
    """A record folder of photographs, black but for one soft dot a keypoint, of a hue that is the keypoint's own.

    Attributes:
        records: splits `train` (12 persons in 3 shards) and `val` (7 persons), metric PCK.
        persons: the persons by image name, as they were written.
        size: (width, height) of every photograph.
        colours: (14, 3) RGB between 0 and 255, by keypoint.
    """

    records: RecordSet
    persons: dict[str, Person]
    size: tuple[int, int]
    colours: np.ndarray


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """1 stack, 8 channels, 64 px."""
    return ModelConfig(stacks=1, channels=8, input_size=(64, 64), depth=2, scales=(1, 2))


@pytest.fixture(scope="session")
def tiny_model(tiny_config: ModelConfig) -> keras.Model:
    """The training network of `tiny_config` for 16 keypoints. Shared: tests leave its weights alone."""
    keras.utils.set_random_seed(0)
    return build_model(tiny_config, 16)


@pytest.fixture(scope="session")
def spot_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose "network" answers for keypoint k where a picture is brightest in a mixture of colours of its own."""
    said = {"stacks": 1, "channels": 8, "input_size": [64, 64], "depth": 2, "scales": [1], "regression": False}
    config = from_dict({"model": said, "data": {"box": "image"}}, "looks")
    crop = keras.Input((64, 64, 3), dtype="uint8", name="crop")
    x = keras.layers.Rescaling(1 / 255)(crop)
    x = keras.layers.Conv2D(3, 4, 4, "same", use_bias=False, name="mean")(x)  # of 4 x 4 pixels, each colour its own
    maps = keras.layers.Conv2D(14, 1, use_bias=False, name="stack1_gt1")(x)
    model = keras.Model(crop, {"stack1_gt1": maps})
    model.get_layer("mean").set_weights([np.tile(np.eye(3) / 16, (4, 4, 1, 1))])
    model.layers[-1].set_weights([np.random.default_rng(3).uniform(0.1, 1, (1, 1, 3, 14))])
    folder = tmp_path_factory.mktemp("run")
    saved_model.save(model, folder / "best.keras", saved_model.Facts(LSP14, "pck", config))
    return folder


@pytest.fixture(scope="session")
def spot_export(spot_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network, exported to SavedModel, TFLite and ONNX."""
    from export.run import export_run

    out = tmp_path_factory.mktemp("exports") / "spot"
    export_run(spot_run, out, ["savedmodel", "tflite", "onnx"], precisions=["float32"], name="spot")
    return out


@pytest.fixture(scope="session")
def spot() -> Callable[..., np.ndarray]:
    """Draws a white spot at x, y on black: (H, W, 3) uint8 of a size (W, H)."""

    def draw(x: float, y: float, size: tuple[int, int]) -> np.ndarray:
        down, across = np.mgrid[: size[1], : size[0]]
        white = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 9.0**2))
        return np.repeat(np.round(255 * white[..., None]), 3, axis=-1).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Dots:
    """Photographs of dots. `val2.jpg` has a box, `val3.jpg` no left shoulder, and `val4.jpg` no wrists."""
    from tfrecords_tools import writer

    width, height = size = (240, 200)
    colours = np.array([colorsys.hsv_to_rgb(i / 14, 1, 1) for i in range(14)]) * 255
    rng = np.random.default_rng(0)
    made: dict[str, Person] = {}

    def persons() -> Iterator[tuple[str, Person]]:
        for split, count in (("train", 12), ("val", 7)):
            for i in range(count):
                cells = rng.permutation(20)[:14]  # of a 5 x 4 grid, so that no two dots touch
                xy = np.stack([32 + 44 * (cells % 5), 34 + 44 * (cells // 5)], axis=1) + rng.uniform(-4, 4, (14, 2))
                keypoints = np.concatenate([xy, rng.integers(1, 3, (14, 1))], axis=1)
                name = f"{split}{i}.jpg"
                if name == "val3.jpg":
                    keypoints[LSP14.index("left_shoulder"), 2] = 0
                if name == "val4.jpg":
                    keypoints[[LSP14.index("left_wrist"), LSP14.index("right_wrist")], 2] = 0
                box = (100.0, 90.0, 160.0) if name == "val2.jpg" else None
                made[name] = Person(name, keypoints, _photograph(keypoints, colours, width, height), box, person_id=i)
                yield split, made[name]

    out = tmp_path_factory.mktemp("dots") / "records"
    writer.write(
        persons(), out, name="dots", skeleton=LSP14, metric="pck", source="drawn", options={}, persons_per_shard=4
    )
    return Dots(RecordSet.load(out), made, size, colours)


@pytest.fixture
def dots_folder(dots: Dots, tmp_path: Path) -> Path:
    """A copy of the folder of `dots` that a test may damage."""
    for file in dots.records.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def _photograph(keypoints: np.ndarray, colours: np.ndarray, width: int, height: int) -> bytes:
    image = np.zeros((height, width, 3))
    down, across = np.mgrid[:height, :width]
    for (x, y, visibility), colour in zip(keypoints, colours, strict=True):
        if visibility:
            dot = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * DOT_SIGMA**2))
            image += dot[..., None] * colour
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.round(image), 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=100, subsampling=0)
    return buffer.getvalue()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
