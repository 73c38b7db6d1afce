"""What the servers of `mspose serve` and `mspose app` share: an address to listen at, and the signals that end them."""

from __future__ import annotations

import asyncio
import signal

from aiohttp import web

from keras_mspose.errors import MsposeError

LOCAL = ("127.0.0.1", "::1", "localhost")


def check_port(port: int) -> None:
    """See that a port can be one.

    Raises:
        MsposeError: it is not between 0 and 65535.
    """
    if not 0 <= port < 65536:
        raise MsposeError(f"--port {port}: expected 0 to 65535")


async def listen(runner: web.AppRunner, host: str, port: int, backlog: int = 128) -> web.TCPSite:
    """Listen at an address; port 0 takes a free one.

    Args:
        runner: set up.
        backlog: connections that wait to be accepted.

    Raises:
        MsposeError: the address cannot be had.
    """
    site = web.TCPSite(runner, host, port, backlog=backlog)
    try:
        await site.start()
    except OSError as error:
        raise MsposeError(f"{host}:{port} cannot be had ({error.strerror}); give another --host or --port") from error
    return site


def told_to_end() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, told.set)
        except NotImplementedError:  # on Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(told.set))
    return told


def address_of(runner: web.AppRunner) -> str:
    """What is listened at, `http://host:port`."""
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def warn_if_open(runner: web.AppRunner) -> None:
    """Say so where other machines may reach the server."""
    if runner.addresses[0][0] not in LOCAL:
        print("whoever reaches this address can use it: there is no password and no encryption", flush=True)
