"""The server answers as Keras does, refuses what is bad with a status and a reason of its own, and loses nothing: not
under load, and not when it is told to stop. CI sends 200 requests, `make stress` 1,000."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import tensorflow as tf

from export.serving import artefact
from export.serving.network import Network
from keras_mspose import cli, geometry, resample, saved_model
from keras_mspose import heatmaps as codec
from keras_mspose.model import inference_model
from keras_mspose.pose_estimator import PoseEstimator

pytestmark = pytest.mark.slow
NAME, CLIENTS, MB = "lsp14-small", 32, 1 << 20
Bad = dict[str, tuple[bytes, int, str]]
Asks = Callable[..., bytes]
Running = Any  # see conftest.py


@pytest.fixture(scope="module")
def server(export: Path, serve: Callable) -> Iterator[Running]:
    with serve(export, "--max-body", "8") as running:
        yield running


@pytest.fixture(scope="module")
def good(photographs: list[bytes], asks: Asks) -> list[bytes]:
    return [asks(data) for data in photographs]


def post(address: str, body: bytes) -> tuple[int, dict]:
    """Status and content of one answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def keras_answer(estimator: PoseEstimator, data: bytes, box: np.ndarray) -> np.ndarray:
    """Keypoints (K, 3) in photograph pixels, by TensorFlow's crop and Keras's network."""
    size = estimator.network.input_size
    matrix = geometry.crop_transform(box[:2], box[2], size)
    if data.startswith(b"\x89PNG"):
        crop = resample.crop_from_pixels(tf.io.decode_png(data, channels=3).numpy(), matrix, size)
    else:
        crop = resample.crop_from_jpeg(tf.constant(data), tf.constant(matrix, tf.float32), size)
    found = estimator.keypoints(crop[None].numpy())[0]
    found[:, :2] = geometry.apply(geometry.invert(matrix), found[:, :2])
    return found


def test_it_answers_as_keras_does(server: Running, photographs: list[bytes], asks: Asks) -> None:
    estimator = PoseEstimator.load(NAME)
    instances, expected = [], []
    for data in photographs:
        height, width = tf.io.decode_image(data).shape[:2]
        first = np.float32([(width - 1) / 2, (height - 1) / 2, max(width, height)])
        box = np.float32([0.55 * width, 0.45 * height, 0.8 * height])
        instances += [json.loads(asks(data, **more))["instances"][0] for more in ({"boxes": box.tolist()}, {})]
        looked = first
        for _ in range(2):
            looked = geometry.narrowed_box(keras_answer(estimator, data, looked), first)
        expected += [keras_answer(estimator, data, box), keras_answer(estimator, data, looked)]
    status, said = post(server.predict, json.dumps({"instances": instances}).encode())
    assert status == 200
    found = np.array(said["predictions"])
    assert found.shape == (len(instances), 14, 3)
    apart = np.linalg.norm(found[..., :2] - np.array(expected)[..., :2], axis=-1)
    assert apart[::2].max() < 0.5, apart[::2].max(axis=-1)  # a box given
    assert apart[1::2].max() < 0.5, apart[1::2].max(axis=-1)
    np.testing.assert_allclose(found[..., 2], np.array(expected)[..., 2], atol=0.01)


def test_crops_and_what_the_model_says_of_itself(server: Running, drawn: np.ndarray) -> None:
    status, said = post(server.predict, json.dumps({"signature_name": "crops", "instances": drawn.tolist()}).encode())
    expected = PoseEstimator.load(NAME).keypoints(drawn)
    assert status == 200 and np.shape(said["predictions"][0]["heatmaps"]) == (32, 32, 14)
    found = [one["keypoints"] for one in said["predictions"]]
    np.testing.assert_allclose(found, expected, atol=0.01)
    model = f"{server.address}/v1/models/{NAME}"
    assert json.loads(get(model))["model_version_status"][0]["state"] == "AVAILABLE"
    assert len(json.loads(get(f"{model}/versions/1/metadata"))["metadata"]["skeleton"]["keypoints"]) == 14
    assert json.loads(get(f"{server.address}/healthz")) == {"status": "ok"}


def test_the_flip_test_of_an_export_is_the_servers_too(export: Path, drawn: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "flipped"
    shutil.copytree(export, folder)
    index = json.loads((folder / "export.json").read_text())
    assert index["photographs"] == {"flip_test": False, "looks_without_box": 3}
    index["photographs"]["flip_test"] = True
    (folder / "export.json").write_text(json.dumps(index))
    model, facts = saved_model.load(NAME)
    network = inference_model(model)
    plain, mirrored = (network(crops, training=False).numpy() for crops in (drawn, drawn[:, :, ::-1]))
    mean = (plain + mirrored[:, :, ::-1][..., facts.skeleton.flip_order]) / 2
    np.testing.assert_allclose(Network(artefact.read(folder)).keypoints(drawn), codec.decode(mean, 4), atol=0.01)
    assert np.abs(Network(artefact.read(export)).keypoints(drawn) - codec.decode(mean, 4)).max() > 0.1


def test_each_bad_request_has_its_own_answer(server: Running, bad_requests: Bad) -> None:
    for kind, (body, status, reason) in bad_requests.items():
        found, said = post(server.predict, body)
        assert found == status and reason in said["error"], kind
    for path, status, reason in (("/v1/models/other:predict", 404, "has lsp14-small"), ("/v1/x", 404, "nothing at")):
        found, said = post(server.address + path, b"{}")
        assert found == status and reason in said["error"], path
    with pytest.raises(urllib.error.HTTPError) as wrong_method:
        get(server.predict)
    assert wrong_method.value.code == 405


def test_a_client_that_breaks_off_harms_nobody(server: Running, photographs: list[bytes], asks: Asks) -> None:
    async def broken(body: bytes) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.address.rsplit(":", 1)[1]))
        head = f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[: len(body) // 2])
        await writer.drain()
        writer.close()

    for _ in range(5):
        asyncio.run(broken(asks(photographs[0])))
    assert post(server.predict, asks(photographs[0]))[0] == 200


class Load:
    """Requests of many clients, one in twenty bad, each answer checked against what the server says when alone."""

    def __init__(self, server: Running, good: list[bytes], bad_requests: Bad):
        self.address = server.predict
        self.good = good
        self.expected = [np.array(post(self.address, body)[1]["predictions"]) for body in self.good]
        self.bad = list(bad_requests.values())
        self.answers: Counter[int] = Counter()
        self.lost: list[Exception] = []

    async def send(self, count: int) -> None:
        numbers = iter(range(count))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(120)) as session:
            await asyncio.gather(*(self._client(session, numbers) for _ in range(CLIENTS)))

    async def _client(self, session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for number in numbers:
            turn, rest = divmod(number, 20)
            bad = self.bad[turn % len(self.bad)] if rest == 19 else None
            which = random.Random(number).randrange(len(self.good))
            try:
                async with session.post(self.address, data=bad[0] if bad else self.good[which]) as answer:
                    status, said = answer.status, await answer.json()
            except (aiohttp.ClientConnectionError, ConnectionError) as error:
                self.lost.append(error)
                return
            self.answers[status] += 1
            if bad:
                assert status == bad[1] and bad[2] in said["error"], said
            else:
                assert status == 200, said
                np.testing.assert_allclose(said["predictions"], self.expected[which], atol=0.05)


def resident(server: Running) -> float:
    """MB."""
    lines = get(f"{server.address}/metrics").decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_resident_memory_bytes")) / MB


@pytest.mark.parametrize("requests", [200, pytest.param(1000, marks=pytest.mark.stress)])
def test_under_load_none_is_lost_and_memory_is_flat(
    requests: int, export: Path, serve: Callable, good: list[bytes], bad_requests: Bad
) -> None:
    with serve(export, "--max-body", "8") as server:
        load = Load(server, good, bad_requests)
        asyncio.run(load.send(requests))
        assert not load.lost and load.answers.total() == requests and load.answers[200] == requests * 19 // 20
        before = resident(server)
        asyncio.run(load.send(requests))
        grown = resident(server) - before
        print(f"{requests} requests twice: {before:.0f} MB after the first, {grown:+.1f} after the second")
        assert not load.lost and load.answers.total() == 2 * requests and grown < 32
        counted = get(f"{server.address}/metrics").decode()
        assert f'mspose_answers_total{{code="200"}} {2 * requests * 19 // 20 + len(good)}.0' in counted
        server.stop()


@pytest.mark.parametrize("after", [50, pytest.param(500, marks=pytest.mark.stress)])
def test_what_was_accepted_before_the_end_is_answered(
    after: int, export: Path, serve: Callable, good: list[bytes], bad_requests: Bad
) -> None:
    async def run(load: Load, server: Running) -> None:
        sending = asyncio.ensure_future(load.send(100_000))
        while load.answers.total() < after:
            await asyncio.sleep(0.001)
        server.process.terminate()
        await sending

    with serve(export, "--max-body", "8") as server:
        load = Load(server, good, bad_requests)
        already = len(good)
        asyncio.run(run(load, server))
        said, _ = server.process.communicate(timeout=60)
    assert server.process.returncode == 0
    answered = already + load.answers.total()
    assert f"stopped: {answered} predict requests accepted, {answered} answered" in said
    assert load.answers[200] > after / 2 and len(load.lost) == CLIENTS  # each client ends by finding nobody there


def test_the_web_page_where_the_export_has_one(export: Path, serve: Callable, tmp_path: Path) -> None:
    shutil.copytree(export, tmp_path / "with_page")
    web = tmp_path / "with_page/web"
    web.mkdir()
    (web / "index.html").write_text("the page")
    (web / "model.wasm").write_bytes(b"code")
    with serve(tmp_path / "with_page") as server:
        assert get(server.address + "/") == b"the page"
        with urllib.request.urlopen(server.address + "/model.wasm") as answer:
            assert answer.headers["Content-Type"] == "application/wasm"
        for outside in ("/../export.json", "/%2e%2e/export.json", "/export.json"):
            with pytest.raises(urllib.error.HTTPError) as missing:
                get(server.address + outside)
            assert missing.value.code in (403, 404) and b"skeleton" not in missing.value.read()
        assert json.loads(get(f"{server.address}/healthz")) == {"status": "ok"}


def test_it_starts_fast_and_without_tensorflow(export: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from export.serving.app import Limits, Server;"
        "from export.serving import artefact, serve_run; Server(artefact.read(Path(sys.argv[1])), Limits()).app();"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code, str(export)], check=True)
    assert time.monotonic() - started < 10  # 1 s alone; what else runs here is not known


def test_what_is_no_export_is_refused(
    export: Path, server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(folder: Path, *options: str) -> str:
        assert cli.main(["serve", str(folder), *options]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    index = json.loads((export / "export.json").read_text())
    assert "not an export" in refused(tmp_path)
    (tmp_path / "export.json").write_text("{")
    assert "damaged" in refused(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps({**index, "formats": {}}))
    assert "has no onnx/model_float32.onnx" in refused(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps(index))
    assert "missing" in refused(tmp_path)
    for file in index["formats"]["onnx"].values():
        network = tmp_path / file["path"]
        network.parent.mkdir(exist_ok=True)
        network.write_bytes(b"no network")
    assert "not the network of this export" in refused(tmp_path)
    assert "expected 0 to 65535" in refused(export, "--port", "70000")
    assert "cannot be had" in refused(export, "--port", server.address.rsplit(":", 1)[1])
