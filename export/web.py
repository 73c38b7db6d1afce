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

FORMAT = FOLDER = "web"
PRECISION = "float32"  # of the ONNX file
PAGE = Path(__file__).parent / "page"


def write(folder: Path, runtime: Path, index: dict) -> dict:
    """Write `folder/web/`.

    Args:
        folder: of the export, with the float32 ONNX file in it.
        runtime: folder of onnxruntime-web's files.
        index: the content of `export.json`.

    Returns:
        The page's entry of `export.json`.

    Raises:
        OSError: the disk is full or may not be written.
    """
    page = folder / FOLDER
    shutil.copytree(PAGE, page)
    shutil.copyfile(folder / index["formats"]["onnx"][f"model_{PRECISION}"]["path"], page / "model.onnx")
    (page / "onnxruntime").mkdir()
    for file in onnxruntime_web.FILES:
        shutil.copyfile(runtime / file, page / "onnxruntime" / file)
    about = {
        "name": index["name"],
        "input_size": index["input_size"],
        "skeleton": index["skeleton"],
        "look": {
            "looks": index["photographs"]["looks_without_box"],
            "certain": geometry.CERTAIN,
            "smallest": geometry.SMALLEST,
            "margin": geometry.BOX_MARGIN,
        },
        "rule": rule(),
    }
    (page / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in page.rglob("*") if file.is_file())
    return {"path": FOLDER, "bytes": size, "onnxruntime_web": onnxruntime_web.version(runtime)}


def rule() -> dict:
    """`crop_rule` as the page's crops.js calls it."""
    return {
        "ratios": crop_rule.RATIOS,
        "finest": crop_rule.FINEST,
        "margin": crop_rule.MARGIN,
        "positionBits": crop_rule.POSITION_BITS,
        "weightBits": crop_rule.WEIGHT_BITS,
        "betweenBits": crop_rule.BETWEEN_BITS,
        "blurBits": crop_rule.BLUR_BITS,
        "far": crop_rule.FAR,
    }
