"""Signals are noted, answered with an exit code that schedulers understand, and handed back afterwards."""

import os
import signal
import threading
from pathlib import Path

import pytest

from keras_mspose import cli, cli_train
from keras_mspose.interruption import Interrupted, wishes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with wishes() as wish:
        assert wish.signal is None
        os.kill(os.getpid(), number)
        assert wish.signal is number
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_ctrl_c_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), wishes():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_changes() -> None:
    found = []

    def work() -> None:
        with wishes() as wish:
            found.append((wish.signal, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, signal.getsignal(signal.SIGTERM))]


@pytest.mark.parametrize("code", [75, 130])
def test_the_command_ends_with_the_code(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(_options: object) -> None:
        raise Interrupted("stopped by SIGTERM", code)

    monkeypatch.setattr(cli_train, "_train", interrupted)
    assert cli.main(["train", "lsp_small", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == code
    assert capsys.readouterr().err == "mspose train: stopped by SIGTERM\n"
