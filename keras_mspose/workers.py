"""Who trains together: the devices of this machine, or several machines that `TF_CONFIG` names (docs/scaling.md)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from keras_mspose.errors import MsposeError
from keras_mspose.interruption import Interrupted

EXPECTED = 'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)
LOST_SIGNS = ("Connection reset", "Socket closed", "connect to all addresses", "heartbeat", "Collective ops is aborted")


@dataclass(frozen=True)
class Workers:
    """The processes of one training, from the point of view of one of them.

    Attributes:
        strategy: how their devices work together.
        index: of this process, from 0.
        count: of processes.
    """

    strategy: tf.distribute.Strategy
    index: int = 0
    count: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0

    @property
    def replicas(self) -> int:
        """Devices of all processes together."""
        return self.strategy.num_replicas_in_sync

    @property
    def place(self) -> tuple[int, int]:
        """(index, count) as `pipeline` takes it."""
        return self.index, self.count

    @classmethod
    def here(cls, devices: Sequence[str] | None = None) -> Workers:
        """This process alone.

        Args:
            devices: such as ["GPU:0", "GPU:1"]; all GPUs, or the CPU, where None.
        """
        _let_memory_grow()
        return cls(tf.distribute.MirroredStrategy(devices))

    @classmethod
    def join(cls, devices: Sequence[str] | None = None) -> Workers:
        """This process alone, or where the environment has `TF_CONFIG`, with the others that it names and all their
        GPUs. Waits until all are there. TensorFlow wants this before it computes anything.

        Raises:
            MsposeError: `TF_CONFIG` is not what TensorFlow expects, or both are given.
            Interrupted: not all came.
        """
        given = os.environ.get("TF_CONFIG")
        if not given:
            return cls.here(devices)
        if devices:
            raise MsposeError(
                "--devices: not together with TF_CONFIG; show each process its GPUs by CUDA_VISIBLE_DEVICES"
            )
        index, count = place(given)
        if count == 1:
            return cls.here()
        _let_memory_grow()
        print(f"worker {index} of {count}: waiting until all are there", file=sys.stderr, flush=True)
        try:
            return cls(tf.distribute.MultiWorkerMirroredStrategy(), index, count)
        except tf.errors.OpError as error:
            raise Interrupted(
                f"worker {index} of {count}: the workers of TF_CONFIG did not meet ({_line(error.message)}); see that "
                "its addresses are right and that all are started"
            ) from error

    def gathered(self, number: int) -> list[int]:
        """The `number` of every device of every process. All of them call this at the same point."""
        if self.count == 1:
            return [number]
        return self._gather(tf.constant([number], tf.int64)).numpy().tolist()

    @cached_property
    def _gather(self) -> Callable[[tf.Tensor], tf.Tensor]:
        @tf.function
        def gather(number: tf.Tensor) -> tf.Tensor:
            found = self.strategy.run(
                lambda own: tf.distribute.get_replica_context().all_gather(tf.identity(own), axis=0), args=(number,)
            )
            return self.strategy.experimental_local_results(found)[0]

        return gather

    def agree(self, what: str, value: object) -> None:
        """See that all processes have the same `value`, anything that JSON can hold.

        Raises:
            MsposeError: on all of them, naming `what`, where they do not.
        """
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
        if len(set(self.gathered(int.from_bytes(digest[:7], "big")))) > 1:
            raise MsposeError(
                f"worker {self.index} of {self.count}: the workers do not have the same {what}; give all the same "
                "recipe, --set, --data and --out, on a file system that they share"
            )

    def by_chief(self, action: Callable[[], None]) -> None:
        """The first process does something, the others wait until it is done.

        Raises:
            MsposeError: the first could not; on all of them.
        """
        failed = None
        if self.chief:
            try:
                action()
            except MsposeError as error:
                failed = error
        if any(self.gathered(failed is not None)):
            raise failed or MsposeError(f"worker {self.index} of {self.count}: stopped by worker 0, which says why")

    @contextmanager
    def lost_named(self, out: object) -> Iterator[None]:
        """Say in one line that another process is gone, where TensorFlow fails over it.

        Raises:
            Interrupted: it is; the same command on all goes on from the last checkpoint.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not (isinstance(error, LOST) or any(sign in error.message for sign in LOST_SIGNS)):
                raise
            peer = re.search(r"/job:(\w+)/replica:0/task:(\d+)", error.message.rsplit("remote target", 1)[-1])
            seen = f"while it waited for {peer[1]} {peer[2]}" if peer else type(error).__name__
            raise Interrupted(
                f"worker {self.index} of {self.count}: another worker is gone ({seen}); start all again with the same "
                f"command, they go on from the last checkpoint in {out}"
            ) from error


def place(tf_config: str) -> tuple[int, int]:
    """(index, count) of this process among the workers that `TF_CONFIG` names; a `chief` comes first.

    Raises:
        MsposeError: it is not JSON, or lacks what training needs.
    """
    try:
        config = json.loads(tf_config)
        cluster, task = config["cluster"], config["task"]
        sizes = {kind: len(cluster.get(kind, ())) for kind in ("chief", "worker")}
        kind, index = task["type"], int(task["index"])
        known = isinstance(cluster, Mapping) and set(cluster) <= set(sizes) and 0 <= index < sizes.get(kind, 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"TF_CONFIG: {error!r}; {EXPECTED}, got {tf_config[:200]}") from error
    if not known:
        raise MsposeError(
            f"TF_CONFIG: no place for this process among chief and workers; {EXPECTED}, got {tf_config[:200]}"
        )
    return index + (sizes["chief"] if kind == "worker" else 0), sum(sizes.values())


def _let_memory_grow() -> None:
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def _line(message: str) -> str:
    return " ".join(message.split())[:200]
