"""The web page finds in the browser what Keras finds here, by files that are all local, on any static server."""

from __future__ import annotations

import base64
import functools
import io
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from export import onnxruntime_web, web
from export.run import export_run
from keras_mspose import geometry
from keras_mspose.crops import Photograph
from keras_mspose.errors import MsposeError
from keras_mspose.pose_estimator import PoseEstimator
from keras_mspose.skeleton import LSP14
from keras_mspose.visualization import SIDES
from tfrecords_tools.synthetic import make_person

NAME = "lsp14-small"
SECONDS = 120  # for what a browser does


def needed(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Rendered persons, of whom the network is sure, smaller and larger than what a crop decodes; JPEG and PNG."""
    folder = tmp_path_factory.mktemp("photographs")
    for i, size in ((0, 150), (2, 240), (9, 640)):
        (folder / f"{size}.jpg").write_bytes(make_person(("val", i), size=size).image)
    with Image.open(folder / "640.jpg") as image:
        image.crop((20, 0, 620, 431)).save(folder / "wide.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an exported page, served by a static server without any headers of its own."""
    needed("npm")
    out = tmp_path_factory.mktemp("exports") / "small"
    report = export_run(Path(NAME), out, ["web"])
    assert report["good"] and report["web"]["onnxruntime_web"] == onnxruntime_web.VERSION

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(out / "web")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser(page: str, chromium: Callable[[], Any]) -> Iterator[Any]:
    """Headless Chromium with the page loaded and the network ready."""
    with chromium() as driver:
        driver.get(page)
        reached(driver, "ready")
        yield driver


def reached(browser: Any, state: str) -> str:
    """Wait until the page is in a state; what it says there."""
    from selenium.webdriver.support.ui import WebDriverWait

    ends = {state, "failed"}
    WebDriverWait(browser, SECONDS).until(lambda b: b.execute_script("return document.body.dataset.state") in ends)
    said = browser.find_element("id", "state").text
    assert browser.execute_script("return document.body.dataset.state") == state, said
    return said


def pixels(path: Path) -> np.ndarray:
    """All of a photograph's pixels, which a browser decodes: a JPEG file is read no larger than its crop needs."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def given(browser: Any, path: Path, state: str = "done") -> dict:
    """Give the page a photograph: what it found."""
    browser.execute_script("document.body.dataset.state = 'given'; window.pose = null")
    browser.find_element("id", "file").send_keys(str(path))
    reached(browser, state)
    return browser.execute_script("return window.pose")


def positions(pose: dict) -> np.ndarray:
    return np.array([[k["x"], k["y"], k["score"]] for k in pose["keypoints"]])


def test_the_page_looks_as_often_as_the_export_says(tmp_path: Path) -> None:
    for name in ("out/onnx/model_float32.onnx", *(f"runtime/{file}" for file in onnxruntime_web.FILES)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"some")
    index = {
        "name": "tiny",
        "input_size": [64, 64],
        "skeleton": LSP14.to_dict(),
        "formats": {"onnx": {"model_float32": {"path": "onnx/model_float32.onnx"}}},
        "photographs": {"flip_test": False, "looks_without_box": 5},
    }
    web.write(tmp_path / "out", tmp_path / "runtime", index)
    assert json.loads((tmp_path / "out/web/model.json").read_text())["look"]["looks"] == 5


@pytest.mark.slow
def test_the_page_finds_what_keras_finds(browser: Any, photographs: list[Path]) -> None:
    estimator = PoseEstimator.load(NAME)
    for path in photographs:
        pose, (expected,) = given(browser, path), estimator.predict(pixels(path))
        assert (pose["width"], pose["height"]) == expected.size
        apart = np.linalg.norm(positions(pose)[:, :2] - expected.keypoints, axis=1)
        assert apart.max() < 0.5, (path.name, apart)
        np.testing.assert_allclose(positions(pose)[:, 2], expected.scores, atol=0.01)
        assert float(browser.find_element("id", "total").text) > 0
        drawn = Image.open(io.BytesIO(browser.find_element("id", "view").screenshot_as_png)).convert("RGB")
        between = np.linalg.norm(expected.keypoints[:, None] - expected.keypoints, axis=2) + 1e3 * np.eye(14)
        alone = between.min(axis=1) > expected.box[2] / 20  # no other one is drawn over it
        best = int(np.where(alone, expected.scores, 0).argmax())  # the others are fainter: the network is less sure
        (x, y), (width, height) = expected.keypoints[best], expected.size
        scale = min(drawn.width / width, drawn.height / height)
        left, top = (drawn.width - scale * width) / 2, (drawn.height - scale * height) / 2
        seen = np.array(drawn.getpixel((round(left + scale * (x + 0.5)), round(top + scale * (y + 0.5)))))
        photograph = np.array(Image.open(path).convert("RGB").getpixel((round(x), round(y))))
        colour = np.array(SIDES[LSP14.side(LSP14.keypoints[best])])
        assert np.abs(seen - colour).sum() < 0.6 * np.abs(photograph - colour).sum(), path.name

    from selenium.webdriver import ActionChains

    view = browser.find_element("id", "view")
    drag = ActionChains(browser).move_to_element_with_offset(view, -60, -70).click_and_hold()
    browser.execute_script("document.body.dataset.state = 'given'")
    drag.move_by_offset(150, 130).release().perform()
    reached(browser, "done")
    pose = browser.execute_script("return window.pose")
    x, y, side = pose["box"]
    assert 20 < side < 600 and browser.find_element("id", "looks").text == "1"
    expected = estimator.predict(pixels(photographs[-1]), (x, y, side))[0].keypoints
    assert np.linalg.norm(positions(pose)[:, :2] - expected, axis=1).max() < 0.5
    browser.find_element("id", "whole").click()


@pytest.mark.slow
@pytest.mark.data
def test_real_photographs(browser: Any, real_data: Path) -> None:
    """Two places of a heatmap may be equal but for rounding; then the next look goes elsewhere. That is rare."""
    estimator = PoseEstimator.load(NAME)
    paths = [real_data / f"lspet/images/im{number:05d}.jpg" for number in range(7249, 7261)]
    apart = np.array(
        [
            np.linalg.norm(
                positions(given(browser, path))[:, :2] - estimator.predict(pixels(path))[0].keypoints, axis=1
            )
            for path in paths
        ]
    )
    print(f"{apart.size} keypoints: median {np.median(apart):.4f} px, {np.mean(apart < 0.5):.1%} within 0.5 px")
    assert np.median(apart) < 0.01 and np.mean(apart < 0.5) > 0.95


@pytest.mark.slow
def test_what_is_no_photograph_is_said_and_the_webcam_runs(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    browser.find_element("id", "file").send_keys(str(tmp_path / "notes.txt"))
    with pytest.raises(AssertionError, match=r"notes\.txt: not an image that this browser reads"):
        reached(browser, "done")
    browser.execute_script("document.body.dataset.state = 'given'; window.pose = null")
    browser.find_element("id", "webcam").click()
    reached(browser, "webcam")
    from selenium.webdriver.support.ui import WebDriverWait

    pose = WebDriverWait(browser, SECONDS).until(lambda b: b.execute_script("return window.pose"))
    assert pose["width"] == 640 and len(pose["keypoints"]) == 14 and pose["milliseconds"]["network"] > 0
    browser.find_element("id", "webcam").click()


def test_the_page_rounds_and_draws_as_python_does(tmp_path: Path) -> None:
    needed("node")
    for name in ("crops.js", "pose.js", "drawing.js"):
        (tmp_path / name).write_text((web.PAGE / name).read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "run.js").write_text(
        'import { narrowedBox } from "./pose.js";\n'
        'import { drawSkeleton } from "./drawing.js";\n'
        "const look = { certain: 0.15, smallest: 0.35, margin: 1.25 };\n"
        "const box = narrowedBox([[10.125, 20.375, 1]], [50, 50, 100], look);\n"
        "const arcs = [];\n"
        "const context = { arc: (x) => arcs.push(x), beginPath() {}, fill() {} };\n"
        'const skeleton = { keypoints: ["a", "b", "c"], flip_pairs: [], limbs: [] };\n'
        "drawSkeleton(context, [[1, 1, 0], [2, 2, 0.1], [3, 3, -0.1]], skeleton, 100);\n"
        "console.log(JSON.stringify({ box, arcs }));\n"
    )
    done = subprocess.run(["node", tmp_path / "run.js"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    expected = geometry.narrowed_box(np.float32([[10.125, 20.375, 1]]), np.float32([50, 50, 100]))
    assert found["box"] == expected.tolist() == [10, 20.5, 35]
    assert found["arcs"] == [2.5] * 3


@pytest.fixture
def cut_by_javascript(tmp_path: Path) -> Callable[..., list[np.ndarray]]:
    """Runs the page's crops.js in Node on (RGB pixels, box, size)."""
    needed("node")

    def run(cases: list[tuple[np.ndarray, list[float], tuple[int, int]]]) -> list[np.ndarray]:
        for name in ("crops.js", "package.json"):
            (tmp_path / name).write_text('{"type": "module"}' if name.endswith("n") else (web.PAGE / name).read_text())
        (tmp_path / "run.js").write_text(
            'import { RULE, cutOut } from "./crops.js";\n'
            'import { readFileSync } from "node:fs";\n'
            "const { rule, cases } = JSON.parse(readFileSync(0));\n"
            "Object.assign(RULE, rule);\n"
            'const bytes = (text) => new Uint8ClampedArray(Buffer.from(text, "base64"));\n'
            "const cut = ({ data, box, size, ...image }) => cutOut({ data: bytes(data), ...image }, box, size);\n"
            'console.log(JSON.stringify(cases.map((one) => Buffer.from(cut(one)).toString("base64"))));\n'
        )
        given = []
        for pixels, box, size in cases:
            height, width = pixels.shape[:2]
            rgba = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], axis=2)
            data = base64.b64encode(rgba.tobytes()).decode()
            given.append({"data": data, "width": width, "height": height, "box": box, "size": size})
        said = json.dumps({"rule": web.rule(), "cases": given})
        done = subprocess.run(["node", tmp_path / "run.js"], input=said, capture_output=True, text=True, check=True)
        cut = [np.frombuffer(base64.b64decode(one), np.uint8) for one in json.loads(done.stdout)]
        return [one.reshape(*size, 3) for one, (_, _, size) in zip(cut, cases, strict=True)]

    return run


def test_the_pages_crop_is_ours(cut_by_javascript: Callable[..., list[np.ndarray]]) -> None:
    rng, cases = np.random.default_rng(0), []
    for i in range(40):
        width, height = (int(v) for v in rng.integers(30, 700, 2))
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
        pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        center, side = geometry.image_box(np.float64(width), np.float64(height))
        box = [*center.tolist(), float(side)]
        if i % 4:
            box = np.float32([rng.uniform(0, width), rng.uniform(0, height), rng.uniform(20, 2000)]).tolist()
        cases.append((pixels, box, ((64, 64), (64, 96), (128, 128))[i % 3]))
    for found, (pixels, box, size) in zip(cut_by_javascript(cases), cases, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        difference = np.abs(found.astype(int) - Photograph(buffer.getvalue()).crop(np.float32(box), size))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01, (box, size, pixels.shape)


def test_where_onnxruntime_web_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MsposeError, match=r"there is no npm .*--onnxruntime-web FOLDER"):
        onnxruntime_web.find()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(MsposeError, match=r"could not fetch .*no network"):
        onnxruntime_web.find()
    assert not list((tmp_path / "cache/mspose").iterdir())
    (tmp_path / "package/dist").mkdir(parents=True)
    with pytest.raises(MsposeError, match=r"not onnxruntime-web .*ort-wasm-simd-threaded\.wasm"):
        onnxruntime_web.find(tmp_path / "package")
    for name in onnxruntime_web.FILES:
        (tmp_path / "package/dist" / name).touch()
    (tmp_path / "package/package.json").write_text('{"name": "onnxruntime-web", "version": "9.8.7"}')
    found = onnxruntime_web.find(tmp_path / "package")
    assert found == tmp_path / "package/dist" and onnxruntime_web.version(found) == "9.8.7"
