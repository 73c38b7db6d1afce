"""The server of `mspose app`: its page, and what the whole network sees in the photograph that the page sends.

GET /     GET /model.json     POST /look[?box=CX,CY,SIDE]   (a photograph's bytes; answers JSON)
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from aiohttp import ClientPayloadError, web

from export.listening import address_of, check_port, listen, told_to_end, warn_if_open
from keras_mspose import geometry, strips
from keras_mspose.all_heads import AllHeads, Box, Seen
from keras_mspose.box_text import parse_box
from keras_mspose.crops import Damaged, NotAnImage, Photograph, TooManyPixels
from keras_mspose.errors import MsposeError
from keras_mspose.image_files import FORMATS

PAGE = Path(__file__).parent / "page"
SHARED = Path(__file__).parents[1] / "page" / "drawing.js"  # the exported page draws the same
PICTURE = 1280  # longer side of the photograph that goes back to the page, pixels
SECONDS = 30.0  # that a client may take to send its photograph
WAITING = 4  # photographs at a time; the page itself sends one after the other
STATUS = {NotAnImage: 415, TooManyPixels: 413, Damaged: 422}
HEADERS = {
    # the page needs nothing from elsewhere, and the browser holds it to that
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LOG = logging.getLogger("mspose.app")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class App:
    """A network and its page.

    Args:
        model: run folder, `.keras` file or released name.
        max_body: bytes of a photograph's file.

    Raises:
        MsposeError: no such network, or a damaged file.
    """

    def __init__(self, model: Path, max_body: int = 32 << 20):
        self._network = AllHeads(model)
        self.name, self._max_body = str(model), max_body
        self._worker = ThreadPoolExecutor(1, "look")
        self._at_work = 0

    def application(self) -> web.Application:
        """The application, ready for a runner."""
        app = web.Application(middlewares=[self._answers], client_max_size=self._max_body)
        app.router.add_get("/", _file(PAGE / "index.html"))
        app.router.add_get("/drawing.js", _file(SHARED))
        app.router.add_get("/model.json", self._about)
        app.router.add_post("/look", self._look)
        app.router.add_static("/", PAGE)
        return app

    def warm_up(self) -> None:
        """Begin to trace the network, so that the first photograph waits less."""
        self._worker.submit(self._network.warm_up)

    def close(self) -> None:
        """Let go of the worker; what it is at ends first."""
        self._worker.shutdown(cancel_futures=True)

    @web.middleware
    async def _answers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPRequestEntityTooLarge:
            response = _error(413, f"larger than {self._max_body >> 20} MB; `mspose app --max-body` allows more")
        except web.HTTPException as error:
            response = _error(error.status, f"{request.method} {request.path:.80}: {error.reason}")
        except MsposeError as error:
            response = _error(STATUS.get(type(error), 400), str(error))
        except Exception:
            LOG.exception("%s %s failed", request.method, request.path)
            response = _error(500, "the server failed at this photograph; the terminal says where")
        response.headers.update(HEADERS)
        return response

    async def _about(self, _: web.Request) -> web.Response:
        skeleton = self._network.facts.skeleton.to_dict()
        about = {"name": self.name, "skeleton": skeleton, "max_body": self._max_body, "formats": FORMATS}
        return web.json_response(about)

    async def _look(self, request: web.Request) -> web.Response:
        box = parse_box(request.query.get("box"))
        if self._at_work >= WAITING:
            return _error(503, f"{WAITING} photographs are in work already; try again in a moment")
        self._at_work += 1
        try:
            try:
                data = await asyncio.wait_for(request.read(), SECONDS)
            except asyncio.TimeoutError:
                return _error(408, f"the photograph did not arrive within {SECONDS:g} s")
            except (ClientPayloadError, ConnectionError) as error:
                raise MsposeError("the photograph did not arrive whole") from error
            loop = asyncio.get_running_loop()
            return web.json_response(await loop.run_in_executor(self._worker, self._seen, data, box))
        finally:
            self._at_work -= 1

    def _seen(self, data: bytes, box: Box | None) -> dict:
        started = time.perf_counter()
        photograph = Photograph(data)
        seen = self._network.look(photograph, box)
        seconds = time.perf_counter() - started
        width, height = photograph.size
        return {
            "width": width,
            "height": height,
            "box": seen.box,
            "seconds": seconds,
            "answer": seen.answer,
            "picture": _picture(photograph),
            "heads": [_head(seen, name) for name in seen.heatmaps],
        }


def _picture(photograph: Photograph) -> str:
    """The photograph, upright and no larger than a page shows, as an address: browsers read fewer formats."""
    width, height = photograph.size
    scale = min(1, PICTURE / max(width, height))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    center, side = geometry.image_box(np.float32(width), np.float32(height))
    picture = photograph.crop(np.float32([*center, side]), size)
    _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _head(seen: Seen, name: str) -> dict:
    """A head for the page: heatmaps (h, w, K) in 255 steps up to their peak."""
    maps = np.maximum(np.nan_to_num(seen.heatmaps[name]), 0)
    peak = float(maps.max())
    steps = np.round(maps * (255 / peak if peak > 0 else 0)).astype(np.uint8)
    return {
        "name": name,
        "label": strips.label(name),
        "stack": strips.stack(name),
        "rows": maps.shape[0],
        "columns": maps.shape[1],
        "peak": peak,
        "heatmaps": base64.b64encode(steps.tobytes()).decode(),
        "keypoints": np.nan_to_num(seen.keypoints[name]).round(4).tolist(),
    }


def _file(path: Path) -> Handler:
    async def answer(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    return answer


def _error(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)


def serve(model: Path, host: str = "127.0.0.1", port: int = 8502, *, max_body: int = 32 << 20) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Args:
        model: run folder, `.keras` file or released name.
        host, port: to listen at; port 0 takes a free one, which is printed.
        max_body: bytes of a photograph's file.

    Raises:
        MsposeError: no such network, a damaged file, or an address that cannot be had.
    """
    check_port(port)
    if max_body < 1 << 20:
        raise MsposeError(f"--max-body {max_body >> 20}: expected at least 1 MB")
    asyncio.run(_listen(App(model, max_body), host, port))


async def _listen(app: App, host: str, port: int) -> None:
    runner = web.AppRunner(app.application(), access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await listen(runner, host, port)
        told = told_to_end()
        app.warm_up()
        print(f"{app.name}: open {address_of(runner)}/ in a browser; Ctrl-C ends", flush=True)
        warn_if_open(runner)
        await told.wait()
    finally:
        await runner.cleanup()
        app.close()
