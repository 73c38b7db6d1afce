"""A web page that finds poses in the browser: static files, all of them local, for any server.

    web/index.html, *.js, style.css     the page
    web/model.onnx                      the network, as the ONNX export has it
    web/model.json                      what the page has to know of it
    web/onnxruntime/                    onnxruntime-web
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from export import onnxruntime_web
from keras_mspose import crop_rule, geometry
from keras_mspose.skeleton import Skeleton

FOLDER = "web"
PAGE = Path(__file__).parent / "page"


def write(folder: Path, network: Path, runtime: Path, name: str, input_size: tuple[int, int], skeleton: Skeleton) -> None:
    """Write `folder/web/`.

    Args:
        folder: of the export.
        network: the ONNX file, float32.
        runtime: folder of onnxruntime-web's files.
        name: of the model, the page's title.
        input_size: (height, width) of the network's crops.
        skeleton: of its keypoints.

    Raises:
        OSError: the disk is full or may not be written.
    """
    web = folder / FOLDER
    shutil.copytree(PAGE, web, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(network, web / "model.onnx")
    (web / "onnxruntime").mkdir()
    for file in onnxruntime_web.FILES:
        shutil.copyfile(runtime / file, web / "onnxruntime" / file)
    about = {
        "name": name,
        "input_size": list(input_size),
        "skeleton": skeleton.to_dict(),
        "look": {
            "looks": geometry.LOOKS,
            "certain": geometry.CERTAIN,
            "smallest": geometry.SMALLEST,
            "margin": geometry.BOX_MARGIN,
        },
        "rule": rule(),
        "onnxruntime_web": onnxruntime_web.version(runtime),
    }
    (web / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def rule() -> dict:
    """`crop_rule` as the page's crops.js calls it."""
    return {
        "ratios": crop_rule.RATIOS,
        "finest": crop_rule.FINEST,
        "margin": crop_rule.MARGIN,
        "positionBits": crop_rule.POSITION_BITS,
        "weightBits": crop_rule.WEIGHT_BITS,
        "blurBits": crop_rule.BLUR_BITS,
        "far": crop_rule.FAR,
    }
