"""Command lines whose commands are modules of their own, imported only when they are asked for."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping, Sequence


class CommandFailedError(Exception):
    """A command broke off through nothing that was typed; its message is one line, its exit status 1."""


Run = Callable[[argparse.Namespace], None]


def parse_command(
    prog: str, description: str, commands: Mapping[str, tuple[str, str]], arguments: Sequence[str]
) -> tuple[Run, argparse.Namespace]:
    """The chosen command's `run`, and its options; exits where argparse does.

    Torch takes seconds to import, and `--help` should not wait for it.

    Args:
        prog: what is typed to get here.
        description: shown above the commands.
        commands: what each is for, and the module that has its `add_arguments` and `run`.
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parsers = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    by_name = {name: parsers.add_parser(name, help=about) for name, (about, _) in commands.items()}
    chosen = next((word for word in arguments if word in commands), None)
    if chosen is None:
        parser.parse_args(arguments)
        parser.error("no command")
    module = importlib.import_module(commands[chosen][1])
    module.add_arguments(by_name[chosen])
    return module.run, parser.parse_args(arguments)
