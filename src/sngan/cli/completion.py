"""Command ``sngan completion``: a script with which a shell completes commands and flags."""

import argparse
from typing import Any, get_args, get_origin

from sngan.cli.main import COMMANDS, parser_of
from sngan.cli.parser import CommandParser
from sngan.methods import METHODS
from sngan.models import MODELS
from sngan.utils.checks import require_one_of

DESCRIPTION = (
    "Print a script with which a shell completes commands, flags and their values. In bash: "
    "sngan completion bash > ~/.local/share/bash-completion/completions/sngan; in zsh: "
    "sngan completion zsh > FOLDER/_sngan for a FOLDER of $fpath. It needs the package shtab "
    "(pip install 'sngan[completion]')."
)
_SHELLS = ("bash", "zsh")
_CHOICES = {"--method": METHODS, "--methods": METHODS, "--model": MODELS}
# flags and arguments whose values are files or folders
_PATHS = ("run", "source", "source_x", "source_y", "--out", "--data", "--config", "--json")


def add_arguments(parser: CommandParser) -> None:
    """Add the argument of ``sngan completion``."""
    parser.flag("shell", str, f"one of {', '.join(_SHELLS)}")


def run(values: dict[str, Any]) -> None:
    """Run ``sngan completion``."""
    require_one_of(values["shell"], "shell", choices=_SHELLS)
    try:
        import shtab  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "shell: expected the package `shtab`, got none; pip install 'sngan[completion]'"
        ) from error
    print(shtab.complete(_whole_parser(shtab.FILE), shell=values["shell"]))


def _whole_parser(path: Any) -> argparse.ArgumentParser:
    """Return one plain parser with all commands and all names of their flags."""
    whole = argparse.ArgumentParser(prog="sngan")
    whole.add_argument("--version", action="store_true", help="show the version")
    commands = whole.add_subparsers()
    for name, text in COMMANDS.items():
        plain = commands.add_parser(name, help=text, description=text)
        parser = parser_of(name)[1]
        for positional in parser.positional_names():
            choices = list(COMMANDS) if positional == "command" else None
            choices = list(_SHELLS) if positional == "shell" else choices
            added = plain.add_argument(positional, choices=choices)
            _complete_paths(added, positional, path)
        for flag, kind in parser.known_flags().items():
            if kind is None:
                plain.add_argument(flag, action="store_true")
            else:
                added = plain.add_argument(flag, choices=_choices(flag, kind))
                _complete_paths(added, flag, path)
    return whole


def _complete_paths(added: argparse.Action, name: str, path: Any) -> None:
    if name in _PATHS:
        # shtab looks for an attribute of this name
        vars(added)["complete"] = path


def _choices(flag: str, kind: Any) -> list[str] | None:
    """Return the words that a flag takes, or None for other values."""
    if flag in _CHOICES:
        return list(_CHOICES[flag])
    if kind is bool:
        return ["true", "false"]
    parts = get_args(kind) if get_origin(kind) is not None else ()
    words = [*parts, *(word for part in parts for word in get_args(part))]
    return [word for word in words if isinstance(word, str)] or None
