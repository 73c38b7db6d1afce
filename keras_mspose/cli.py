"""The `mspose` command. Each room of subcommands has a file of its own; what a subcommand needs is imported when it
runs."""

from __future__ import annotations

import argparse
import os
import sys

from keras_mspose import __version__, cli_data, cli_look, cli_measure, cli_ship, cli_train
from keras_mspose.cli_command import adder
from keras_mspose.errors import MsposeError
from keras_mspose.interruption import Interrupted


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0; 1 where an export is outside its tolerance, a record folder is broken, or nobody reads stdout any more; 2
        after bad input, said in one line on stderr (with `--debug`, the traceback); 75 where a training was asked to
        end and the same command goes on with it (130 after Ctrl-C).
    """
    options = _parser().parse_args(arguments)
    try:
        code = options.run(options) or 0
        sys.stdout.flush()
        return code
    except MsposeError as error:
        if options.debug:
            raise
        print(f"mspose {options.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has read enough
        if options.debug:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        return 1
    except Interrupted as why:
        print(f"mspose {options.command}: {why}", file=sys.stderr)
        return why.code
    except KeyboardInterrupt:
        print(f"mspose {options.command}: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mspose", description="Train, measure and ship single-person 2D pose networks with Keras."
    )
    parser.add_argument("--version", action="version", version=__version__)
    add = adder(parser.add_subparsers(dest="command", required=True, metavar="COMMAND"))
    for room in (cli_train, cli_data, cli_measure, cli_look, cli_ship):
        room.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
