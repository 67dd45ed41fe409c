"""The flags of ``sngan train``, made from the fields of ``Config``."""

import dataclasses
import json
from argparse import SUPPRESS
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from sngan import config as configs
from sngan.cli.parser import CommandParser
from sngan.config import Config
from sngan.utils.checks import require_one_of
from sngan.utils.files import expand_home
from sngan.utils.plain import flatten

_PLAIN_NAMES = {"data": "data.source", "model": "model.name", "method": "method.name"}


class Flag(NamedTuple):
    """One setting: its dotted key, type, default and help text (``None``: not for people)."""

    key: str
    kind: Any
    default: Any
    text: str | None


def add_config_flags(parser: CommandParser, *, without: Collection[str] = ()) -> None:
    """Add ``--config FILE`` and a flag for every setting but those ``without``."""
    parser.add_argument("--config", action="config", help="YAML file of settings, before others")
    for flag in _flags_of(Config()):
        if flag.key in without:
            continue
        text = SUPPRESS if flag.text is None else flag.text
        parser.flag(f"--{flag.key}", flag.kind, text, default=flag.default)


def expand(argv: Sequence[str]) -> list[str]:
    """Write short forms out: ``--data X``, ``--n-critic 1``, ``--set key=value …``.

    A setting may go without its group (``width`` for ``model.width``), and with dashes. The
    settings of ``--config FILE`` take its place, read with limits and with every name as text.

    Raises
    ------
    ValueError
        What follows ``--set`` is not ``key=value``, or the file is none of settings.
    """
    short = short_names()
    expanded: list[str] = []
    in_set = False
    tokens = iter(argv)
    for token in tokens:
        if token == "--config":
            expanded += settings_in(Path(next(tokens, "")))
        elif token.startswith("--config="):
            expanded += settings_in(Path(token.removeprefix("--config=")))
        elif token == "--set":
            in_set = True
        elif in_set and not token.startswith("--"):
            key, equals, value = token.partition("=")
            if not equals:
                raise ValueError(f"set: expected key=value, got {token!r}")
            expanded.append(f"--{short.get(key, key)}={value}")
        elif token.startswith("--"):
            in_set = False
            name, equals, value = token[2:].partition("=")
            name = name.replace("-", "_")
            expanded.append(f"--{short.get(name, name)}{equals}{value}")
        else:
            expanded.append(token)
    return expanded


def settings_in(path: Path) -> list[str]:
    """The settings of a YAML file as flags; those that are null are left out."""
    values = flatten(configs.read(Path(expand_home(str(path)))))
    known = [flag.key for flag in _flags_of(Config())]
    for key in values:
        # not only the start of a name, which flags may be shortened to
        require_one_of(key, "config", choices=known)
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in values.items()
        if value is not None
    ]


def short_names() -> dict[str, str]:
    """``{short name: dotted key}`` of the settings that can be named without their group."""
    keys = [flag.key for flag in _flags_of(Config())]
    leaves = [key.rpartition(".")[2] for key in keys]
    unique = {leaf: key for leaf, key in zip(leaves, keys, strict=True) if leaves.count(leaf) == 1}
    return {**unique, **_PLAIN_NAMES}


def _flags_of(group: Any, *, prefix: str = "") -> Iterator[Flag]:
    types = get_type_hints(type(group))
    for field in dataclasses.fields(group):
        key, value = f"{prefix}{field.name}", getattr(group, field.name)
        kind, text = types[field.name], field.metadata.get("help")
        if dataclasses.is_dataclass(value):
            yield from _flags_of(value, prefix=f"{key}.")
        elif prefix == "method." and field.name != "name":
            # None stands for what the recipe says
            yield Flag(key, _of_text(kind) or kind | None, None, text)
        else:
            yield Flag(key, _of_text(kind) or kind, field.default, text)


def _of_text(kind: Any) -> Any:
    """Text that may be left out is text: a file may be named ``null``."""
    return str if kind in (str, str | None) else None
