"""Which stage of the input pipeline the time goes to, from TensorFlow's profiler."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# In the profiler's names of events; the first that fits.
STAGES = {
    "read": r"TFRecord|Interleave",
    "shuffle": r"Shuffle|BatchV2|Unbatch",
    "parse": r"ParseExample",
    "decode": r"DecodeImage|DecodeAndCropJpeg|ExtractJpegShape",
    "colour": r"clamp_convert_fusion",
    "smooth and resample": r"fusion|CpuExecutable|:ConcatV2$",
}
REST = "small operations, batches, tf.data"
WAITING = r"^Iterator::Root(::Prefetch(::ParallelMapV2(::MapAndBatch)?)?)?$|IteratorGetNext|Eager|TFE_|KernelAndDevice"


def measure(batches: Iterator, steps: int, images: int) -> dict[str, float]:
    """Milliseconds of one core that an image costs, by stage.

    Args:
        batches: of the input pipeline, warm; `steps` of them are taken.
        images: of a batch.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, options=options)
        cpu = time.process_time()
        for _ in range(steps):
            next(batches)
        cpu = time.process_time() - cpu
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    found = dict.fromkeys((*STAGES, REST), 0.0)
    for name, seconds in own_times(space).items():
        if not re.search(WAITING, name):
            found[next((stage for stage, sign in STAGES.items() if re.search(sign, name)), REST)] += seconds
    # The profiler's clock runs on while another process has the core: its shares are right, its sums are not.
    scale = 1000 * cpu / (steps * images) / sum(found.values())
    return {stage: seconds * scale for stage, seconds in found.items()}


def own_times(space: Any) -> Counter[str]:
    """Seconds that each event of a profile took, without the events inside it."""
    own: Counter[str] = Counter()
    for plane in space.planes:
        names = {key: entry.name.split("#")[0] for key, entry in plane.event_metadata.items()}
        for line in plane.lines:
            around: list[tuple[str, int]] = []
            for event in sorted(line.events, key=lambda e: (e.offset_ps, -e.duration_ps)):
                while around and around[-1][1] <= event.offset_ps:
                    around.pop()
                name, seconds = names[event.metadata_id], event.duration_ps / 1e12
                own[name] += seconds
                if around:
                    own[around[-1][0]] -= seconds
                around.append((name, event.offset_ps + event.duration_ps))
    return own
