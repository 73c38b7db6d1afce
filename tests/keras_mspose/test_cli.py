"""The command line: quick help, and bad input in one line with exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_mspose import cli
from keras_mspose.errors import MsposeError


def test_help_does_not_load_tensorflow() -> None:
    code = (
        "import sys; from keras_mspose import cli; cli._parser().format_help(); assert 'tensorflow' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "{tmp}"], "not a run"),
        (["evaluate", "{tmp}/none", "--data", "{tmp}"], "no such file or folder"),
        (["predict", "{tmp}", "{tmp}", "--out", "{tmp}/out"], "not a run"),
        (["train", "lsp_small", "--data", "{tmp}", "--out", "{tmp}/out"], "not a record folder"),
        (["train", "none", "--data", "{tmp}", "--out", "{tmp}/out"], "no recipe 'none'"),
        (["convert", "lsp", "{tmp}/none", "--out", "{tmp}/out"], "no such folder; give the one that holds"),
        (["convert", "lsp", "{tmp}", "--out", "{tmp}/out", "--crop-margin", "1.5"], "--crop-margin: is of --crop"),
        (["evaluate", "lsp14-small", "--data", "{tmp}", "--overwrite"], "--overwrite: is of an earlier --report"),
        (["export", "lsp14-small"], "lsp14-small: a released network lies in the package; give --out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([a.replace("{tmp}", str(tmp_path)) for a in arguments]) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "evaluate run --data data --persons 0",
        "evaluate run --data data --batch 0",
        "submit run --data data --out p.mat --batch -1",
        "compare a b --seed -1",
        "inspect data --persons -1",
        "inspect data --persons many",
        "convert lsp LSP --out out --workers -1",
        "app --max-body 0",
        "serve export --max-body 0",
        "serve export --threads -1",
    ],
)
def test_numbers_out_of_range_are_refused_by_argparse(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments.split())
    *_, option, value = arguments.split()
    assert ended.value.code == 2
    assert f"error: argument {option}: '{value}': expected a whole number from" in capsys.readouterr().err


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    code = (
        "import sys; from keras_mspose import cli, cli_measure\n"
        "cli_measure._compare = lambda options: [print('x' * 99) for _ in range(99999)] and None\n"
        "sys.exit(cli.main(['compare', 'a', 'b']))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "x" * 99 + "\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_every_data_set_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["convert", "--help"])
    listed = capsys.readouterr().out
    for name in ("custom", "lsp", "mpii", "flic", "coco", "synthetic"):
        assert f"\n    {name} " in listed or f"\n    {name}\n" in listed
        with pytest.raises(SystemExit):
            cli.main(["convert", name, "--help"])
        assert f"mspose convert {name} " in capsys.readouterr().out.split("example:")[1]


def test_debug_before_and_behind_the_data_set(tmp_path: Path) -> None:
    arguments = ["lsp", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    for line in (["convert", "--debug", *arguments], ["convert", *arguments, "--debug"]):
        with pytest.raises(MsposeError, match="no such folder"):
            cli.main(line)
