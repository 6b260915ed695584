"""Command lines: commands whose modules are imported only when they are typed, and one clear line for each mistake."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, NoReturn

from infra.config import ConfigError
from infra.default_run import default_run

PREFIX = "soul: "
"""Opens every line that says why a command did not do its work."""

SIGNALLED = 128
"""Exit statuses from this one on say that a signal ended the process: this plus the signal's number."""
SPEAKER_TIMEOUT_S = 20.0
"""How long a quiet process waits before it ends, so that the process that talks to people can print its line."""


TRAINING_MODULES = frozenset(
    {"torch", "safetensors", "diffusers", "transformers", "accelerate", "peft", "deepspeed", "ftfy", "faiss"}
    | {"sentencepiece", "webdataset", "pi_heif", "librosa", "tensorboard", "huggingface_hub"}
    | {"fastapi", "fastapi_offline", "python_multipart"}
)
"""What an environment that was built for curation alone does not have (the extra `train` of pyproject.toml)."""


MAX_PORT: Final = 65535
SHARED_PATHS: Final = "--shared-paths"


class CommandFailedError(Exception):
    """A command broke off, and what was typed is not the reason; the message is one line."""

    status: ClassVar[int] = 1
    """What the command exits with."""


Run = Callable[[argparse.Namespace], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command, as two modules: importing torch takes seconds, and neither `--help` nor a mistake waits for it."""

    about: str
    """What it is for, in half a line."""
    options: str
    """Module with `add_arguments`; imports nothing heavy."""
    run: str
    """Module with `run`; imported once the options are valid. It is the same module if that imports the rest late."""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in what was typed in one line, with the nearest known option."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message.removeprefix('argument ')}{self._nearest(message)}; see {self.prog} --help")

    def _nearest(self, message: str) -> str:
        _, found, words = message.partition("unrecognized arguments: ")
        typed = next((word.partition("=")[0] for word in words.split() if word.startswith("--")), None)
        if not found or typed is None:
            return ""
        known = [option for option in self._option_string_actions if option.startswith("--")]
        nearest = difflib.get_close_matches(typed, known, n=1)
        return f" (did you mean {nearest[0]}?)" if nearest else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """A part's commands: `python -m PART COMMAND`."""

    prog: str
    """The command as it is typed, e.g. `python -m model`."""
    description: str
    """Shown above the commands."""
    commands: Mapping[str, Command]
    """By name, in the order in which people need them."""
    interrupted: str
    """What to say after ctrl-C: what is kept, and how to go on."""
    mistakes: type[Exception] = ConfigError
    """The exception, besides `ConfigError`, that means a person's mistake; its message is one line."""
    quiet: Callable[[], bool] = bool
    """Whether this is one of several equal processes, and another one talks to people."""

    def main(
        self,
        arguments: Sequence[str] | None = None,
        *,
        prog: str | None = None,
        commands: Mapping[str, Command] | None = None,
    ) -> int:
        """Run the command that was typed; returns the exit status.

        0 done, 1 broken off, 2 a person's mistake, 130 interrupted.

        Args:
            arguments: what was typed after the program; by default this process's arguments.
            prog: the program as it was typed, in place of `self.prog`.
            commands: in place of `self.commands`, e.g. one of them under another name.
        """
        quiet, words = self.quiet(), sys.argv[1:] if arguments is None else arguments

        def work() -> None:
            run, options = parse_command(
                prog or self.prog, self.description, commands or self.commands, words, quiet=quiet
            )
            run(options)

        return exit_status(work, mistakes=self.mistakes, interrupted=self.interrupted, quiet=quiet)


def run_alone(
    module: str,
    about: str | None,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run `python -m MODULE`, a module that is one command by itself; returns the exit status, as `CommandLine.main`.

    The module calls this ahead of its imports that take seconds. Once the options are valid, the module is imported
    whole under its own name, and its `run` is called with the options. A ValueError is a person's mistake.

    Args:
        module: the module's name.
        about: shown above the options.
        add_arguments: adds the options; needs nothing heavy.
        arguments: what was typed after the program; by default this process's arguments.
    """

    def work() -> None:
        parser = Parser(
            prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add_arguments(parser)
        options = parser.parse_args(arguments)
        importlib.import_module(module).run(options)

    return exit_status(work, mistakes=ValueError, interrupted="")


def exit_status(
    work: Callable[[], None], *, mistakes: type[Exception] = ConfigError, interrupted: str, quiet: bool = False
) -> int:
    """Do the work of a command and, if it fails, say why in one line; returns the exit status.

    Args:
        work: parses what was typed and does the work.
        mistakes: the exception, besides `ConfigError`, that means a person's mistake.
        interrupted: what to say after ctrl-C: what is kept, and how to go on.
        quiet: whether another process talks to people.
    """
    try:
        try:
            work()
        finally:
            sys.stdout.flush()
    except (ConfigError, mistakes) as error:
        status = say(error, 2, quiet=quiet)
    except CommandFailedError as error:
        status = say(error, error.status, quiet=quiet)
    except KeyboardInterrupt as error:
        # A command that keeps part of its work says so in the message of its KeyboardInterrupt.
        kept = str(error) or interrupted
        status = say(f"interrupted; {kept}" if kept else "interrupted", 130, quiet=quiet)
    except BrokenPipeError:
        # The reader of standard output has gone, as with `| head`. Nobody is left to tell, and the rest is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in TRAINING_MODULES:
            raise
        status = say(f"this needs {package}, which curating alone does not: `make env` installs it", 2, quiet=quiet)
    except ConnectionError as error:
        # No cluster at RAY_ADDRESS, or no object store at its address.
        status = say(error, 2, quiet=quiet)
    except OSError as error:
        # A full disk, a read-only directory, a store that does not answer: the message names the file. A quiet process
        # says it too, because it may have happened to this process alone.
        status = say(error, 1)
    else:
        status = 0
    return status


def say(problem: object, status: int, *, quiet: bool = False) -> int:
    """Say why a command ends, in one line; returns the status.

    A quiet process prints nothing and waits before it ends, unless a signal ended it (128 and more): launchers stop all
    other processes as soon as one has failed, and the process that talks to people may not have printed its line yet.
    """
    if not quiet:
        lines = (line.strip() for line in str(problem).splitlines())
        print(f"{PREFIX}{' '.join(line for line in lines if line)}", file=sys.stderr)
    elif status < SIGNALLED:
        time.sleep(SPEAKER_TIMEOUT_S)
    return status


def parse_command(
    prog: str, description: str, commands: Mapping[str, Command], arguments: Sequence[str], *, quiet: bool = False
) -> tuple[Run, argparse.Namespace]:
    """The chosen command's `run` and its options; exits if help was asked for.

    What was typed is added to the options as `command_line`.

    Raises:
        ConfigError: there is no such command, or it does not take these options.
    """
    word, *rest = [*arguments, ""]
    if word in {"-h", "--help"}:
        if not quiet:
            print(overview(prog, description, commands))
        raise SystemExit(0)
    if word not in commands:
        raise ConfigError(f"{_no_command(word, commands)}; see {prog} --help")
    command = commands[word]
    parser = Parser(prog=f"{prog} {word}", description=f"{command.about[0].upper()}{command.about[1:]}.")
    importlib.import_module(command.options).add_arguments(parser)
    typed = shlex.join([*prog.split(), word, *rest[:-1]])
    options = parser.parse_args(rest[:-1], argparse.Namespace(command_line=typed))
    if "run" in options:
        _settle_run(options)
    return importlib.import_module(command.run).run, options


def overview(prog: str, description: str, commands: Mapping[str, Command]) -> str:
    """The text of a command line's own `--help`."""
    width = max(map(len, commands))
    listed = "\n".join(f"  {name:<{width}}  {command.about}" for name, command in commands.items())
    first, _, more = description.partition("\n")
    return f"usage: {prog} COMMAND ...\n\n{first}\n\n{listed}\n\n{more.lstrip()}{prog} COMMAND --help explains each."


def _no_command(word: str, commands: Mapping[str, Command]) -> str:
    known = ", ".join(commands)
    if not word or word.startswith("-"):
        return f"give a command first: {known}"
    nearest = difflib.get_close_matches(word, commands, n=1)
    return f"no command {word!r}, {f'did you mean {nearest[0]!r}? T' if nearest else 't'}here are {known}"


def add_run(
    parser: argparse.ArgumentParser, *, begins: bool = False, must_exist: bool = True, profile_option: bool = True
) -> None:
    """Add `--run`, and `--profile` for commands that need it only to find the default run.

    Args:
        parser: of the command.
        begins: whether the command begins a run from INPUT.
        must_exist: whether the command needs a run directory that exists.
        profile_option: whether to add `--profile` as well.
    """
    made = "runs/sample without INPUT, else runs/PROFILE"
    found = "runs/PROFILE; runs/sample where only the sample bucket has been curated"
    parser.add_argument("--run", metavar="RUN", help=f"run directory or URI (default: {made if begins else found})")
    parser.set_defaults(run_must_exist=must_exist and not begins)
    if profile_option:
        parser.add_argument(
            "--profile", default="local", help="whose run directory is meant without --run (default: local)"
        )


def add_profile(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--profile`, and `--set` to change a field of it."""
    parser.add_argument("--profile", default="local", help="a name in infra/profiles or a YAML file (default: local)")
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help=f"override a field, e.g. {example}; may be repeated",
    )  # fmt: skip


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add `--engine`: who does the work."""
    parser.add_argument(
        "--engine",
        choices=("ray", "inline"),
        default="ray",
        help="inline: in this process, for debugging (default: ray)",
    )
    add_shared_paths(parser)


def add_shared_paths(parser: argparse._ActionsContainer) -> None:
    """Add the option by which a person says that the nodes of a cluster share a file system."""
    parser.add_argument(
        SHARED_PATHS, action="store_true",
        help="with RAY_ADDRESS: paths that are no URIs mean the same files on every node (a shared file system)",
    )  # fmt: skip


def whole_number(of: str, *, least: int = 0) -> Callable[[str], int]:
    """The type of an option that takes a number of things, from `least` on."""

    def parsed(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {of}, from {least} on")
        return number

    return parsed


def port_number(text: str) -> int:
    """The type of an option that takes a port of TCP, 0 for any free one."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to {MAX_PORT}")
    return int(text)


def existing_file(text: str) -> Path:
    """The type of an option that names a file to read."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a directory, not a file")
    if not path.exists():
        raise argparse.ArgumentTypeError(f"no such file: {text}")
    return path


def existing_directory(text: str) -> Path:
    """The type of an option that names a directory to read."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text} is not a directory" if path.exists() else f"no such directory: {text}"
        )
    return path


def _settle_run(options: argparse.Namespace) -> None:
    """Fill in `--run`, whose default depends on the other options; refuse a run directory that does not exist."""
    if options.run is None:
        options.run = default_run(options.profile, options.input is None if "input" in options else None)
    if options.run_must_exist:
        check_run(options.run)


def check_run(run: str) -> None:
    """Refuse a run directory on this machine that does not exist.

    Raises:
        ConfigError: it does not exist.
    """
    if "://" not in run and not Path(run).is_dir():
        raise ConfigError(f"{run} is not a run directory: `make curate` makes one, or give another --run")
