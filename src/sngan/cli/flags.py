"""Flags of ``sngan train`` and ``sngan compare``, made from the fields of ``Config``."""

import dataclasses
import json
from argparse import SUPPRESS
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from sngan import config as configs
from sngan.cli.parser import CommandParser
from sngan.config import Config
from sngan.methods import METHODS, Schedule
from sngan.runs.chosen import LAST
from sngan.utils.checks import require_one_of
from sngan.utils.families import FamilyDefault
from sngan.utils.files import expand_home
from sngan.utils.plain import flatten

# the texts of these flags end with the names of a registry
_NAMES: dict[str, Iterable[str]] = {"method.name": METHODS}
_PLAIN_NAMES = {"data": "data.source", "model": "model.name", "method": "method.name"}


class Flag(NamedTuple):
    """A setting: its dotted key, type, default, and text for ``--help`` (``None``: no flag).

    ``note`` is more text for ``--help``, which errors do not repeat.
    """

    key: str
    kind: Any
    default: Any
    text: str | None
    note: str = ""


def add_config_flags(parser: CommandParser, *, without: Collection[str] = ()) -> None:
    """Add ``--config FILE`` and a flag for every setting except those in ``without``."""
    parser.expand, parser.short_names = expand, short_names()
    parser.add_argument(
        "--config", action="config", help="YAML file of settings; flags after it change them"
    )
    for flag in _flags_of(Config()):
        if flag.key in without:
            continue
        text = SUPPRESS if flag.text is None else flag.text
        parser.flag(f"--{flag.key}", flag.kind, text, note=flag.note, default=flag.default)


def add_flags_of(parser: CommandParser, settings: Any, *, names: Collection[str]) -> None:
    """Add flags for some settings of a dataclass, without the name of their group.

    Parameters
    ----------
    parser
        The parser of the command.
    settings
        The dataclass with the defaults.
    names
        The settings that get a flag.
    """
    for flag in _flags_of(settings):
        if flag.key in names:
            parser.flag(f"--{flag.key}", flag.kind, flag.text or SUPPRESS, default=flag.default)


def add_checkpoint_flag(parser: CommandParser) -> None:
    """Add ``--checkpoint``, which chooses the weights of a run that is read."""
    text = "weights of the run: last, best (by its evaluations), or the step of a kept checkpoint"
    parser.flag("--checkpoint", str, text, default=LAST)


def expand(argv: Sequence[str]) -> list[str]:
    """Replace short forms by full flags: ``--data X``, ``--n-critic 1``, ``--set key=value …``.

    The group of a setting may be left out (``width`` for ``model.width``), and dashes may stand
    for underscores. ``--config FILE`` is replaced by the settings in the file.

    Raises
    ------
    ValueError
        If a value after ``--set`` is not ``key=value``, or the file does not hold settings.
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
    """Return the settings of a YAML file as flags; a setting that is null gets no flag."""
    values = flatten(configs.read(Path(expand_home(str(path)))))
    known = [flag.key for flag in _flags_of(Config())]
    for key in values:
        # a flag may be shortened to the start of its name, a key of a file may not
        require_one_of(key, "config", choices=known)
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in values.items()
        if value is not None
    ]


def short_names() -> dict[str, str]:
    """Return ``{short name: dotted key}`` for the settings that need no group."""
    keys = [flag.key for flag in _flags_of(Config())]
    leaves = [key.rpartition(".")[2] for key in keys]
    unique = {leaf: key for leaf, key in zip(leaves, keys, strict=True) if leaves.count(leaf) == 1}
    return {**unique, **_PLAIN_NAMES}


def _flags_of(group: Any, *, prefix: str = "") -> Iterator[Flag]:
    types = get_type_hints(type(group))
    for field in dataclasses.fields(group):
        key, value = f"{prefix}{field.name}", getattr(group, field.name)
        kind, text = types[field.name], field.metadata.get("help")
        if key in _NAMES:
            text = f"{text}: {', '.join(_NAMES[key])}"
        if dataclasses.is_dataclass(value):
            yield from _flags_of(value, prefix=f"{key}.")
        elif prefix == "method." and field.name != "name":
            # None stands for the value of the recipe
            yield Flag(key, _of_text(kind) or _or_off(_with_texts(kind)) | None, None, text)
        elif isinstance(field.default, FamilyDefault):
            # None stands for the default, which depends on the model family
            note = f" (default: {field.default.images}; points: {field.default.points})"
            yield Flag(key, _of_text(kind) or _with_texts(kind) | None, None, text, note)
        else:
            yield Flag(key, _of_text(kind) or _with_texts(kind), field.default, text)


def _or_off(kind: Any) -> Any:
    """Add the choice ``none`` to those of a setting that may be off."""
    for part in get_args(kind):
        if get_origin(part) is Literal:
            return Literal[("none", *get_args(part))]  # pyright: ignore[reportInvalidTypeForm]
    return kind


def _with_texts(kind: Any) -> Any:
    """Return a type with ``str`` for each schedule in it: its text is parsed with the settings."""
    if kind is Schedule:
        return str
    parts = tuple(map(_with_texts, get_args(kind)))
    if get_origin(kind) is tuple:
        return tuple[parts]
    return reduce(or_, parts) if isinstance(kind, UnionType) else kind


def _of_text(kind: Any) -> Any:
    """Return ``str`` for text, also if it may be None, so that ``null`` is read as a name."""
    return str if kind in (str, str | None) else None
