"""What `mspose serve` does: listen until SIGTERM or Ctrl-C, then answer what was accepted, and end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from aiohttp import web

from export.listening import address_of, check_port, listen, told_to_end, warn_if_open
from export.serving import artefact
from export.serving.app import Limits, Server

LISTEN_ON = 0.5  # s after the signal: what the kernel took for us by then is answered too, and health says 503


def serve(
    export: Path,
    host: str = "127.0.0.1",
    port: int = 8501,
    *,
    threads: int = 0,
    limits: Limits | None = None,
    patience: float = 60.0,
) -> None:
    """Serve an export until told to stop.

    Args:
        export: folder that `mspose export` wrote, with an ONNX network in it.
        host, port: to listen at; port 0 takes a free one, which is printed.
        threads: of the network; 0 as many as there are cores.
        limits: what requests may take.
        patience: seconds that accepted requests have to end in after the signal.

    Raises:
        MsposeError: no such export, a damaged one, or an address that cannot be had.
    """
    check_port(port)
    started = time.monotonic()
    server = Server(artefact.read(export), limits or Limits(), threads)
    asyncio.run(_listen(server, host, port, patience, started))


async def _listen(server: Server, host: str, port: int, patience: float, started: float) -> None:
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=patience, keepalive_timeout=75)
    await runner.setup()
    try:
        site = await listen(runner, host, port, backlog=1024)
        told = told_to_end()
        _announce(server, runner, time.monotonic() - started)
        await told.wait()
        server.stopping = True
        print("stopping: answering what was accepted", flush=True)
        await asyncio.sleep(LISTEN_ON)
        await site.stop()
        until = time.monotonic() + patience
        while server.answered < server.accepted and time.monotonic() < until:
            await asyncio.sleep(0.02)
    finally:
        await runner.cleanup()
    print(f"stopped: {server.accepted} predict requests accepted, {server.answered} answered", flush=True)


def _announce(server: Server, runner: web.AppRunner, seconds: float) -> None:
    address = address_of(runner)
    print(f"serving {server.artefact.name} at {address}/v1/models/{server.artefact.name}:predict ({seconds:.1f} s)")
    print(f"health {address}/healthz  metrics {address}/metrics", end="")
    print(f"  page {address}/" if server.artefact.page else "", flush=True)
    warn_if_open(runner)
