"""What every subcommand of `mspose` has: help with an example, and `--debug`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Run = Callable[[argparse.Namespace], "int | None"]
Add = Callable[[str, str, str, "Run | None"], argparse.ArgumentParser]


def adder(commands: argparse._SubParsersAction) -> Add:
    """A function that adds one subcommand: its name, what it does, an example, and what runs it (None where
    subcommands of its own do); it returns the parser for further arguments."""

    def add(name: str, about: str, example: str, run: Run | None) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(run=run)
        return command

    return add


def whole_from(least: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `least` on. argparse refuses others in a line, with exit code 2."""

    def number(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {least} on")
        return found

    return number


def load_tensorflow(training: bool = False) -> None:
    """Import TensorFlow as `quiet` does; for subcommands, once their arguments are known to be good."""
    from keras_mspose.quiet import import_tensorflow

    import_tensorflow(training)
