"""The addresses that the server answers.

POST /v1/models/NAME:predict     GET /v1/models/NAME     GET /v1/models/NAME/metadata
GET /healthz     GET /metrics    GET /                   (the web page, where the export has one)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from export.serving import body
from export.serving.artefact import Artefact
from export.serving.batches import Batches
from export.serving.estimator import Estimator
from export.serving.metrics import Metrics
from export.serving.network import CROPS, HEATMAPS, KEYPOINTS, Network
from export.serving.refusal import Refused
from export.serving.room import Room
from keras_mspose.cores import own_cores
from keras_mspose.image_files import MAX_PIXELS

VERSION = "1"
LOG = logging.getLogger("mspose.serve")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take.

    Attributes:
        body: bytes of one request.
        bodies: bytes of all requests that are read or worked on.
        pixels: of all photographs that are worked on; one alone may have as many.
        instances: of one request.
        requests: in work; more are sent away with 503.
        batch: crops of one call of the network.
        seconds: that a client may take to send its body.
    """

    body: int = 32 << 20
    bodies: int = 256 << 20
    pixels: int = MAX_PIXELS
    instances: int = 64
    requests: int = 512
    batch: int = 16
    seconds: float = 30.0


class Server:
    """One network and its handlers.

    Args:
        artefact: what is served.
        limits: see there.
        threads: of the network; 0 as many as there are cores.

    Attributes:
        stopping: from SIGTERM on: health is 503, and every answer closes its connection.
        accepted, answered: predict requests whose head was read, and those of them that were answered, however.

    Raises:
        MsposeError: the network's file is damaged.
    """

    def __init__(self, artefact: Artefact, limits: Limits, threads: int = 0):
        self.artefact, self.limits, self.metrics = artefact, limits, Metrics()
        self.stopping, self.accepted, self.answered = False, 0, 0
        self._network = Network(artefact, threads)
        self._workers = ThreadPoolExecutor(len(own_cores()), "decode")
        self._batches = Batches(self._network.keypoints, limits.batch, self.metrics.batch.observe)
        self._estimator = Estimator(self._batches, self._workers, artefact.input_size, artefact.looks)
        self._bodies, self._pixels = Room(limits.bodies), Room(limits.pixels)

    def app(self) -> web.Application:
        """The application, ready for a runner."""
        app = web.Application(middlewares=[self._answers_json], client_max_size=self.limits.body)
        for version in ("", f"/versions/{VERSION}"):
            model = f"/v1/models/{{name:[^/:]+}}{version}"
            app.router.add_post(f"{model}:predict", self._predict)
            app.router.add_get(model, self._status)
            app.router.add_get(f"{model}/metadata", self._metadata)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        if page := self.artefact.page:
            app.router.add_get("/", lambda request: _page(page))
            app.router.add_static("/", page)
        return app

    @web.middleware
    async def _answers_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Refused as refused:
            response = _error(refused.status, refused.reason)
        except web.HTTPException as error:
            response = _error(error.status, _reason(error, request))
        except Exception:
            LOG.exception("%s %s failed", request.method, request.path)
            response = _error(500, "the server failed at this request; its log says where")
        if self.stopping:
            response.force_close()
        return response

    async def _predict(self, request: web.Request) -> web.Response:
        self.accepted += 1
        started, code = time.perf_counter(), 500
        self.metrics.in_work.inc()
        try:
            self._check_name(request)
            if self.accepted - self.answered > self.limits.requests:
                raise Refused(503, f"{self.limits.requests} requests are in work; try again later")
            response = web.json_response(await self._predictions(request))
            code = response.status
            return response
        except Refused as refused:
            code = refused.status
            raise
        except web.HTTPException as error:
            code = error.status
            raise
        except asyncio.CancelledError:
            code = 499  # the client went away
            raise
        finally:
            self.answered += 1
            self.metrics.in_work.dec()
            self.metrics.answers.labels(code).inc()
            self.metrics.seconds.observe(time.perf_counter() - started)

    async def _predictions(self, request: web.Request) -> dict:
        whole = request.content_length is not None and "Content-Encoding" not in request.headers
        announced = request.content_length if whole else self.limits.body
        if announced > self.limits.body:
            raise web.HTTPRequestEntityTooLarge(self.limits.body, announced)
        async with self._bodies.take(announced):
            try:
                data = await asyncio.wait_for(request.read(), self.limits.seconds)
            except asyncio.TimeoutError as error:
                raise Refused(408, f"the body did not arrive within {self.limits.seconds:g} s") from error
            except (ClientPayloadError, HttpProcessingError, ConnectionError) as error:
                raise Refused(400, "the body did not arrive whole, or not as its head says") from error
            size, most = self.artefact.input_size, self.limits.instances
            loop = asyncio.get_running_loop()
            asked = await loop.run_in_executor(self._workers, body.parse, data, size, most)
            if isinstance(asked, np.ndarray):
                return {"predictions": await self._of_crops(asked)}
            work = [self._of_photograph(one, f"instances[{i}]") for i, one in enumerate(asked)]
            found = await _all(work)
        self.metrics.persons.inc(len(found))
        return {"predictions": [_rounded(keypoints) for keypoints in found]}

    async def _of_photograph(self, instance: body.Instance, where: str) -> np.ndarray:
        width, height = instance.photograph.size
        async with self._pixels.take(width * height):
            try:
                return await self._estimator.find(instance, where)
            finally:
                instance.photograph.forget()

    async def _of_crops(self, crops: np.ndarray) -> list[dict]:
        found = []
        for start in range(0, len(crops), self.limits.batch):
            keypoints, heatmaps = await self._batches.call(
                self._network.answer, crops[start : start + self.limits.batch]
            )
            found += [{KEYPOINTS: k.tolist(), HEATMAPS: h.tolist()} for k, h in zip(keypoints, heatmaps, strict=True)]
        self.metrics.persons.inc(len(found))
        return found

    def _check_name(self, request: web.Request) -> None:
        if request.match_info["name"] != self.artefact.name:
            raise Refused(404, f"no model {request.match_info['name']!r:.80}; this server has {self.artefact.name}")

    async def _status(self, request: web.Request) -> web.Response:
        self._check_name(request)
        state = {"version": VERSION, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return web.json_response({"model_version_status": [state]})

    async def _metadata(self, request: web.Request) -> web.Response:
        self._check_name(request)
        height, width = self.artefact.input_size
        return web.json_response(
            {
                "model_spec": {"name": self.artefact.name, "version": VERSION},
                "metadata": {
                    "signatures": {
                        body.PHOTOGRAPHS: {"inputs": [body.IMAGE], "outputs": [KEYPOINTS]},
                        body.BOXED: {"inputs": [body.IMAGE, body.BOXES], "outputs": [KEYPOINTS]},
                        body.CROPS: {"inputs": [CROPS], "outputs": [KEYPOINTS, HEATMAPS]},
                    },
                    "crops": [height, width, 3],
                    "skeleton": self.artefact.skeleton.to_dict(),
                },
            }
        )

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"status": "stopping" if self.stopping else "ok"}, status=503 if self.stopping else 200
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _all(work: list[Awaitable[np.ndarray]]) -> list[np.ndarray]:
    """What all of them find; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _page(folder: Path) -> web.FileResponse:
    return web.FileResponse(folder / "index.html")


def _rounded(keypoints: np.ndarray) -> list[list[float]]:
    return [[round(x, 3), round(y, 3), round(score, 5)] for x, y, score in keypoints.tolist()]


def _error(status: int, reason: str) -> web.Response:
    headers = {"Retry-After": "1"} if status == 503 else {}
    return web.json_response({"error": reason}, status=status, headers=headers)


def _reason(error: web.HTTPException, request: web.Request) -> str:
    if error.status == 404:
        return f"nothing at {request.path!r:.120}; predictions are at /v1/models/NAME:predict"
    if error.status == 405:
        return f"{request.method} is not answered here; expected {', '.join(sorted(error.allowed_methods))}"
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"the body is larger than the server's {request.client_max_size >> 20} MB"
    return error.reason
