"""Who trains together: the devices of this machine, or several machines that `TF_CONFIG` names (docs/scaling.md)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import tensorflow as tf

from keras_mspose.errors import MsposeError
from keras_mspose.interruption import Interrupted

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

    @classmethod
    def join(cls, devices: Sequence[str] | None = None) -> Workers:
        """Use `devices` of this machine, or where the environment has `TF_CONFIG`, meet the other machines and use all
        their GPUs. Waits until all are there.

        Args:
            devices: such as ["GPU:0", "GPU:1"]; all GPUs, or the CPU, where None.

        Raises:
            MsposeError: `TF_CONFIG` is not what TensorFlow expects, or both are given.
        """
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        if not os.environ.get("TF_CONFIG"):
            return cls(tf.distribute.MirroredStrategy(devices))
        index, count = place(os.environ["TF_CONFIG"])
        if devices:
            raise MsposeError(
                "--devices: not together with TF_CONFIG; show each process its GPUs by CUDA_VISIBLE_DEVICES"
            )
        return cls(tf.distribute.MultiWorkerMirroredStrategy(), index, count)

    def agree(self, what: str, value: object) -> None:
        """See that all processes have the same `value`. Each of them calls this at the same point.

        Raises:
            MsposeError: on all of them, naming `what`, where they do not.
        """
        if self.count == 1:
            return
        own = int.from_bytes(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:7], "big")

        @tf.function
        def gathered() -> tf.Tensor:
            context = tf.distribute.get_replica_context
            found = self.strategy.run(lambda: context().all_gather(tf.constant([own], tf.int64), axis=0))
            return self.strategy.experimental_local_results(found)[0]

        if len(set(gathered().numpy().tolist())) > 1:
            raise MsposeError(
                f"TF_CONFIG: the workers do not have the same {what}; give all the same recipe, --set, --data and "
                "--out, on a file system that they share"
            )

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
            reason = " ".join(error.message.split())[:200]
            raise Interrupted(
                f"worker {self.index} of {self.count}: another worker is gone ({reason}); start all again with the "
                f"same command, they go on from the last checkpoint in {out}"
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
        known = (
            isinstance(cluster, Mapping) and kind in sizes and 0 <= index < sizes[kind] and set(cluster) <= set(sizes)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsposeError(f"TF_CONFIG: {error!r}; {EXPECTED}, got {tf_config[:200]}") from error
    if not known:
        raise MsposeError(
            f"TF_CONFIG: no place for this process among chief and workers; {EXPECTED}, got {tf_config[:200]}"
        )
    return index + (sizes["chief"] if kind == "worker" else 0), sum(sizes.values())


EXPECTED = 'expected {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
