"""A process that takes training steps when told to: one line in, one line out. Needs nothing but Python itself, so that
the side that has PyTorch need not have TensorFlow.

    step N     takes N steps and answers their seconds
    matmul     answers GFLOP/s of one multiplication of two 2048 x 2048 float32 matrices, by the side's own library
    memory     answers the megabytes that the process has grown by since before the network was built, at its peak
    profile    answers the core-seconds of a step by kind of operation, where the side can say
    bandwidth  answers 1e9 bytes a second that memory gives and takes, where the side can say
    facts      answers what the side has to say of itself, as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MATRIX = 2048


def resident() -> tuple[int, int]:
    """Resident memory of this process now and at its peak, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]


def serve(
    make: Callable[[], tuple[Callable[[], None], Callable[[], None], dict]],
    profile: Callable[[Callable[[], None]], dict[str, float]] | None = None,
    bandwidth: Callable[[], float] | None = None,
) -> None:
    """Build what `make` gives, a step, a multiplication and facts; take two steps; then do as the lines say."""
    before, _ = resident()
    started = time.perf_counter()
    step, multiply, facts = make()
    step()
    facts["first_step_seconds"] = time.perf_counter() - started
    step()
    _, peak = resident()  # before matrices are multiplied, which is not the step's memory
    multiply()
    print("ready", flush=True)
    for line in sys.stdin:
        command, *number = line.split()
        started = time.perf_counter()
        if command == "step":
            for _ in range(int(number[0])):
                step()
            answer = time.perf_counter() - started
        elif command == "matmul":
            multiply()
            answer = 2 * MATRIX**3 / (time.perf_counter() - started) / 1e9
        elif command == "memory":
            answer = (max(peak, resident()[0]) - before) / 1e6
        elif command == "profile":
            answer = profile(step) if profile else None
        elif command == "bandwidth":
            answer = bandwidth() if bandwidth else None
        else:
            answer = facts
        print(json.dumps(answer), flush=True)


class Side:
    """The parent's end of such a process."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def wait(self) -> None:
        """Until it is ready; its own words, and the end, where it cannot be."""
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(self.process.stderr.read())

    def ask(self, line: str) -> float | dict:
        """Send a line and read the answer."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """Close its input, which ends it."""
        self.process.stdin.close()
        self.process.wait()
