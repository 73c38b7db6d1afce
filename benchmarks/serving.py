"""How many photographs a second does `mspose serve` answer, and how long does each wait?

    python benchmarks/serving.py EXPORT --images "$MSPOSE_DATA/lspet/images" --json figures.json

Starts the server on a free port of this machine and sends it photographs from 1, 8 and 32 clients at a time: each
without a box (as many looks as the export says), and each with one (one look). Clients run in this process and take
their share of the same cores. Latency is the client's, from sending to the last byte of the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="folder that `mspose export` wrote")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs; the last 100 are sent")
    parser.add_argument("--requests", type=int, default=400, help="of each row")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    files = sorted(options.images.glob("*.jpg"))[-100:]
    started = time.monotonic()
    command = [sys.executable, "-m", "keras_mspose.cli", "serve", str(options.export), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = re.search(r"http://\S+:predict", server.stdout.readline())[0]
    begun = time.monotonic() - started
    try:
        rows = [
            asyncio.run(measured(address, bodies(files, boxes), clients, options.requests, boxes))
            for boxes in (False, True)
            for clients in options.clients
        ]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    table = Table("box", "clients", "requests/s", "median ms", "p95 ms", "largest ms", title_justify="left")
    for row in rows:
        figures = (f"{row[key]:.1f}" for key in ("requests_s", "median_ms", "p95_ms", "largest_ms"))
        table.add_row("given" if row["box"] else "none", str(row["clients"]), *figures)
    Console().print(f"from the command to the first request that could be sent: {begun:.1f} s")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"start_s": begun, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def bodies(files: list[Path], boxes: bool) -> list[bytes]:
    """One request a photograph; its box, where wanted, is the middle of the photograph."""
    from keras_mspose.crops import Photograph

    made = []
    for file in files:
        data = file.read_bytes()
        instance: dict = {"image_bytes": {"b64": base64.b64encode(data).decode()}}
        if boxes:
            width, height = Photograph(data).size
            instance["boxes"] = [(width - 1) / 2, (height - 1) / 2, 0.8 * max(width, height)]
        made.append(json.dumps({"instances": [instance]}).encode())
    return made


async def measured(address: str, sent: list[bytes], clients: int, requests: int, box: bool) -> dict:
    """Figures of one row."""
    waits: list[float] = []

    async def client(session: aiohttp.ClientSession, numbers: iter) -> None:
        for number in numbers:
            started = time.perf_counter()
            async with session.post(address, data=sent[number % len(sent)]) as answer:
                await answer.read()
                assert answer.status == 200, await answer.text()
            waits.append(1000 * (time.perf_counter() - started))

    async with aiohttp.ClientSession() as session:
        await client(session, iter(range(10)))
        waits.clear()
        numbers, started = iter(range(requests)), time.perf_counter()
        await asyncio.gather(*(client(session, numbers) for _ in range(clients)))
        seconds = time.perf_counter() - started
    waits.sort()
    return {
        "box": box,
        "clients": clients,
        "requests": len(waits),
        "requests_s": len(waits) / seconds,
        "median_ms": statistics.median(waits),
        "p95_ms": waits[int(0.95 * len(waits))],
        "largest_ms": waits[-1],
    }


if __name__ == "__main__":
    main()
