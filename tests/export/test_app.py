"""`mspose app`: the page shows what `mspose predict` finds and what every head sees, and says which file is bad."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from export.app import server
from export.app.server import App, serve
from keras_mspose import cli
from keras_mspose.errors import MsposeError
from keras_mspose.skeleton import LSP14
from keras_mspose.visualization import SIDES
from tfrecords_tools.synthetic import make_person

NAME = "lsp14-small"
SECONDS = 120  # for what a browser does
HEADS = [f"stack{s}_gt{f}" for s in (1, 2) for f in (8, 4, 2, 1)] + ["regression"]


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A running app that takes 1 MB."""
    app, loop = App(Path(NAME), 1 << 20), asyncio.new_event_loop()
    runner = web.AppRunner(app.application(), access_log=None)

    async def start() -> tuple[str, int]:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0][:2]

    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
    app.close()
    loop.call_soon_threadsafe(loop.stop)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # of a PNG file `mspose predict` and the app average the same pixels; of JPEG the app decodes no more than it needs
    path = tmp_path_factory.mktemp("photographs") / "person.png"
    Image.open(io.BytesIO(make_person(("val", 2), size=200).image)).save(path)
    return path


def asked(address: tuple[str, int], body: bytes, query: str = "") -> tuple[int, dict]:
    connection = http.client.HTTPConnection(*address, timeout=SECONDS)
    connection.request("POST", f"/look{query}", body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_bad_files_and_boxes_are_said(address: tuple[str, int], photograph: Path) -> None:
    data, jpeg = photograph.read_bytes(), make_person(("val", 2), size=200).image
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    for body, query, status, said in (
        (b"", "", 415, "an empty file"),
        (b"hello", "", 415, "not an image; expected JPEG, PNG"),
        (jpeg[: len(jpeg) // 2], "", 422, "not a whole image"),
        (bomb.getvalue(), "", 413, "9000 x 9000 pixels, more than 80 megapixels"),
        (data, "?box=1,2", 400, "expected CX,CY,SIDE"),
        (data, "?box=900,2,50", 400, "lies outside of the photograph, 200 x 200"),
        (data + bytes(1 << 20), "", 413, "larger than 1 MB"),
    ):
        found, answer = asked(address, body, query)
        assert found == status and said in answer["error"], (said, answer)


def test_a_slow_client_does_not_keep_its_place(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SECONDS", 0.2)
    with socket.create_connection(address, timeout=SECONDS) as client:
        client.sendall(b"POST /look HTTP/1.1\r\nHost: app\r\nContent-Length: 1000\r\n\r\nslow")
        said = client.recv(4096)
    assert b" 408 " in said.splitlines()[0] and b"did not arrive within 0.2 s" in said
    assert asked(address, b"hello")[0] == 415


def test_what_cannot_be_served_is_said_before_anything_is_listened_to(tmp_path: Path) -> None:
    for arguments, said in (({"port": 70000}, "--port 70000"), ({"max_body": 0}, "--max-body 0")):
        with pytest.raises(MsposeError, match=said):
            serve(Path(NAME), **arguments)
    assert cli.main(["app", str(tmp_path)]) == 2


@pytest.fixture(scope="module")
def browser(address: tuple[str, int], chromium: Callable[[], Any]) -> Iterator[Any]:
    with chromium() as driver:
        driver.get("http://{}:{}/".format(*address))
        reached(driver, "ready")
        yield driver


def reached(browser: Any, state: str) -> str:
    """Wait until the page is in a state; what it says there."""
    from selenium.webdriver.support.ui import WebDriverWait

    ends = {state, "failed"}
    WebDriverWait(browser, SECONDS).until(lambda b: b.execute_script("return document.body.dataset.state") in ends)
    said = browser.find_element("id", "state").text + browser.find_element("id", "trouble").text
    assert browser.execute_script("return document.body.dataset.state") == state, said
    return said


def given(browser: Any, path: Path, state: str = "done") -> str:
    browser.execute_script("document.body.dataset.state = 'given'")
    browser.find_element("id", "file").send_keys(str(path))
    return reached(browser, state)


def chosen(browser: Any, identity: str, value: str) -> None:
    """Set a control as a person does."""
    script = "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
    browser.execute_script(
        script + "for (const k of ['input', 'change']) e.dispatchEvent(new Event(k))", identity, value
    )


def seen(browser: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(browser.find_element("id", "view").screenshot_as_png)).convert("RGB"), int)


@pytest.mark.slow
def test_the_page(browser: Any, photograph: Path, tmp_path: Path) -> None:
    assert cli.main(["predict", NAME, str(photograph), "--out", str(tmp_path)]) == 0
    expected = json.loads((tmp_path / "keypoints.json").read_text())["poses"][0]
    assert "person.png, 200 x 200 pixels" in given(browser, photograph)
    pose = browser.execute_script("return window.pose")
    assert [one["name"] for one in pose["keypoints"]] == list(LSP14.keypoints)
    pairs = zip(pose["keypoints"], expected["keypoints"], strict=True)
    apart = [np.hypot(a["x"] - b["x"], a["y"] - b["y"]) for a, b in pairs]
    assert np.median(apart) < 0.1 and max(apart) < 1
    assert set(pose["heads"]) == set(HEADS) and pose["image"] == "person.png"
    assert browser.find_element("id", "save").get_attribute("download") == "person.json"
    tiles = browser.find_elements("css selector", "#heads button")
    assert [tile.get_attribute("data-head") for tile in tiles] == HEADS
    assert tiles[0].text.startswith("stack 1, GT/8 (4 x 4), peak 0.")

    plain = seen(browser)  # the surest keypoint lies where it was found, in its side's colour
    best = max(pose["keypoints"], key=lambda one: one["score"])
    spot = [round((best[axis] + 0.5) * plain.shape[1] / 200) for axis in ("y", "x")]
    near = plain[spot[0] - 1 : spot[0] + 2, spot[1] - 1 : spot[1] + 2].mean((0, 1))
    assert np.abs(near - SIDES[LSP14.side(best["name"])]).sum() < 250 * (1.2 - min(1, best["score"]))

    above = len([one for one in pose["keypoints"] if one["score"] > 0.3])
    chosen(browser, "threshold", "0.3")
    assert f"{above} of 14 keypoints above 0.30" in browser.find_element("id", "view").get_attribute("aria-label")
    assert len(browser.find_elements("css selector", "tr.below")) == 14 - above
    chosen(browser, "threshold", "0")

    tiles[HEADS.index("stack2_gt1")].click()
    assert tiles[HEADS.index("stack2_gt1")].get_attribute("aria-pressed") == "true"
    every = seen(browser)
    chosen(browser, "keypoint", "head_top")
    one = seen(browser)
    assert np.abs(every - plain).mean() > 5 and np.abs(one - every).mean() > 1

    browser.find_element("id", "x").clear()
    browser.find_element("id", "x").send_keys("100")
    browser.execute_script("document.body.dataset.state = 'given'")
    browser.find_element("id", "look").click()
    reached(browser, "done")
    assert browser.execute_script("return window.pose.box.x") == 100
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]

    browser.set_window_size(500, 800)  # the least that Chromium has
    wide = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    browser.set_window_size(1200, 900)


@pytest.mark.slow
def test_bad_files_leave_the_page_as_it_was(browser: Any, photograph: Path, tmp_path: Path) -> None:
    given(browser, photograph)
    (tmp_path / "notes.jpg").write_text("hello")
    (tmp_path / "large.jpg").write_bytes(bytes(3 << 20))
    for name, said in (("notes.jpg", "notes.jpg: not an image"), ("large.jpg", "large.jpg: 3 MB, more than the 1 MB")):
        assert said in given(browser, tmp_path / name, "failed")
        assert browser.find_element("id", "trouble").get_attribute("role") == "alert"
    assert browser.execute_script("return window.pose.image") == "person.png"
    given(browser, photograph)
    assert not browser.find_element("id", "trouble").is_displayed()
