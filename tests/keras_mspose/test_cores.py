"""What the processor can do: numbers that it multiplies by itself, and oneDNN in training where TensorFlow leaves it
out."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from keras_mspose import cores
from keras_mspose.quiet import X86


@pytest.mark.parametrize(
    ("said", "precision", "able"),
    [
        ("flags\t\t: fpu avx2 fma", "float32", True),
        ("flags\t\t: fpu avx2 fma", "mixed_bfloat16", False),
        ("flags\t\t: avx512f avx512_bf16", "mixed_bfloat16", True),
        ("flags\t\t: avx512f amx_bf16 amx_tile", "mixed_bfloat16", True),
        ("flags\t\t: avx512f avx512_bf16", "mixed_float16", False),
        ("flags\t\t: avx512f avx512_fp16", "mixed_float16", True),
        ("Features\t: fp asimd", "mixed_bfloat16", True),  # not x86: not known
    ],
)
def test_precisions_of_a_processor(said: str, precision: str, able: bool, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: Some avx512_bf16 name\n{said}\n")
    assert cores.multiplies(precision, file) is able
    assert cores.multiplies(precision, tmp_path / "none")


def test_a_slow_precision_is_said_and_not_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cores, "multiplies", lambda precision: precision == "float32")
    cores.warn_of_slow("mixed_bfloat16", ["/job:localhost/device:GPU:0"])
    cores.warn_of_slow("float32", ["/device:CPU:0"])
    assert not capsys.readouterr().out
    cores.warn_of_slow("mixed_bfloat16", ["/device:CPU:0"])
    assert "--set training.precision=float32" in capsys.readouterr().out


CONVOLVE = """
from keras_mspose.quiet import import_tensorflow
import_tensorflow(training=True)
import tensorflow as tf
tf.function(tf.nn.conv2d)(tf.ones((8, 32, 32, 16)), tf.ones((3, 3, 16, 16)), 1, "SAME")
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in X86, reason="TensorFlow's own choice is kept there")
def test_onednn_trains_on_every_x86_processor_unless_told_otherwise() -> None:
    def verbose(**more: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "TF_ENABLE_ONEDNN_OPTS"}
        command = [sys.executable, "-c", CONVOLVE]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**environment, "ONEDNN_VERBOSE": "1", **more}
        )
        return done.stdout

    assert "exec,cpu,convolution" in verbose()
    assert "convolution" not in verbose(TF_ENABLE_ONEDNN_OPTS="0")
