"""TensorFlow's import without the lines that tell a person nothing."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import threading
from functools import cache

NOISE = (
    "All log messages before absl::InitializeLog",
    "cudart_stub.cc",
    "cuda_platform.cc",
    "cpu_feature_guard.cc",
    "To enable the following instructions",
    "oneDNN custom operations are on",
)

X86 = ("x86_64", "AMD64")

_one_at_a_time = threading.Lock()


def import_tensorflow(training: bool = False) -> None:
    """Import TensorFlow and list its devices, passing on what it writes to stderr but for the lines above.

    Those are written by its C++ parts before any log level is heeded. A machine with a GPU sees all of them: there
    they say why the GPU is not used. Threads may call it, and again: the second does nothing.

    Args:
        training: compute with oneDNN on every x86 processor, unless TF_ENABLE_ONEDNN_OPTS says otherwise. TensorFlow
            does so by itself where there is AVX512_VNNI. With AVX2 alone training gains by it (docs/training-speed.md),
            but a single crop's prediction takes 20 times as long: oneDNN then has no fast convolution with the batch
            normalisation in it.
    """
    with _one_at_a_time:
        if training and platform.machine() in X86 and "tensorflow" not in sys.modules:
            os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        _import_tensorflow()


@cache
def _import_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured:
        real = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            captured.seek(0)
            lines = captured.read().decode(errors="replace").splitlines(keepends=True)
            noisy = NOISE if not os.path.exists("/dev/nvidia0") else ()
            sys.stderr.writelines(line for line in lines if not any(part in line for part in noisy))
