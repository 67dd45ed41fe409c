"""Flags of ``sngan train`` and ``sngan compare``, made from the fields of ``Config``."""

import dataclasses
import json
from argparse import SUPPRESS
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from sngan import config as configs
from sngan.cli.parser import CommandParser
from sngan.config import Config, DataConfig
from sngan.methods import METHODS, Schedule
from sngan.runs.chosen import LAST
from sngan.runs.managed import ManagedRunFolder
from sngan.utils import consent
from sngan.utils.checks import require_one_of
from sngan.utils.families import FamilyDefault
from sngan.utils.files import expand_home
from sngan.utils.plain import flatten

# the texts of these flags end with the names of a registry
_NAMES: dict[str, Iterable[str]] = {"method.name": METHODS}
_STEPS = Config().for_images.steps, Config().for_points.steps
COMMON = {
    "--data SOURCE": "digits (default), ring8 and other points, a folder or a zip of images, "
    "Parquet, shards:PATTERN, IDX, .npz, or hf:NAME",
    "--out RUN": "the run's folder; left out: runs/SOURCE-METHOD",
    "--method NAME": "how the critic is kept from becoming too steep; `sngan methods` lists them",
    "--model NAME": "the two networks; `sngan models` lists them",
    "--steps N": f"generator steps (default: {_STEPS[0]:,}; points: {_STEPS[1]:,})",
    "--seed S": "seed of all random numbers",
    "--preset NAME": "laptop, gpu or paper: how large and long the run is; before its first step "
    "the run says how long it takes",
    "--hours H": "train for this long: some steps are timed, and --steps follows",
    "--set KEY=VALUE ...": "any setting below, such as --set width=0.5 conditional=true",
    "--config FILE": "YAML file of settings, such as the config.yaml of a run",
}
"""The settings that most people need, by the names that they type, for the help."""

_PLAIN_NAMES = {"data": "data.source", "model": "model.name", "method": "method.name"}


READING_SETTINGS = (
    *("resolution", "channels", "split", "labels", "background", "fit", "cache", "workers"),
)
"""Settings of the data that decide how the files of a SOURCE are read."""


class Flag(NamedTuple):
    """A setting: its dotted key, type, default, and text for ``--help`` (``None``: no flag).

    ``note`` is more text for ``--help``, which errors do not repeat.
    """

    key: str
    kind: Any
    default: Any
    text: str | None
    note: str = ""


def add_config_flags(
    parser: CommandParser, *, without: Collection[str] = (), of_a_run: Collection[str] = ()
) -> None:
    """Add ``--config FILE`` and flags for the settings.

    Parameters
    ----------
    parser
        The parser of a command.
    without
        The settings that get no flag.
    of_a_run
        The settings and groups that are left out of a file that names a method, because they are
        those of a single run.
    """
    parser.expand, parser.short_names = partial(expand, of_a_run=of_a_run), short_names()
    parser.add_argument(
        "--config", action="config", help="YAML file of settings; flags after it change them"
    )
    for flag in _flags_of(Config()):
        if flag.key in without:
            continue
        text = SUPPRESS if flag.text is None else flag.text
        parser.flag(
            f"--{flag.key}",
            flag.kind,
            text,
            note=flag.note,
            group=_group_of(flag.key),
            default=flag.default,
        )


def add_reading_flags(parser: CommandParser) -> None:
    """Add the flags of ``READING_SETTINGS``, without their group, and ``--set key=value …``."""
    for flag in _flags_of(DataConfig()):
        if flag.key in READING_SETTINGS:
            parser.flag(f"--{flag.key}", flag.kind, flag.text or SUPPRESS, default=flag.default)
    parser.expand = _expand_reading
    parser.short_names = {name: name for name in READING_SETTINGS}


def reading_settings(values: Mapping[str, Any], source: str) -> DataConfig:
    """Return the settings of these flags, for a SOURCE."""
    return DataConfig(source=source, **{key: values[key] for key in READING_SETTINGS})


def without_group(message: str, *, source: str) -> str:
    """Replace the names of a training's settings in an error by those of these flags.

    Parameters
    ----------
    message
        The error.
    source
        The name of the argument that has the SOURCE.
    """
    name, colon, rest = message.partition(": ")
    is_source = name in ("data", "data.source")
    return f"{source if is_source else name.removeprefix('data.')}{colon}{rest}"


def _expand_reading(argv: Sequence[str]) -> list[str]:
    """Expand ``--set``; a setting may have its group, as in ``--set data.split=test``."""
    return [
        f"--{token.removeprefix('--data.')}" if token.startswith("--data.") else token
        for token in _expand_set(argv)
    ]


def _expand_set(argv: Sequence[str]) -> Iterator[str]:
    """Replace ``--set key=value key=value`` by a flag for each key."""
    in_set = False
    for token in argv:
        if token == "--set":
            in_set = True
        elif in_set and not token.startswith("--"):
            if "=" not in token:
                raise ValueError(f"set: expected key=value, got {token!r}")
            yield f"--{token}"
        else:
            in_set = False
            yield token


def add_checkpoint_flag(parser: CommandParser) -> None:
    """Add ``--checkpoint``, which chooses the weights of a run that is read."""
    text = "weights of the run: last, best (by its evaluations), or the step of a kept checkpoint"
    parser.flag("--checkpoint", str, text, default=LAST)


def add_code_flags(parser: CommandParser) -> None:
    """Add the flags of a command that reads a run, whose settings may name code.

    ``--model`` only repeats the name, as ``sngan.utils.consent`` asks for it.
    """
    text = "the run's networks, if they are code: the same package.module:factory as in training"
    parser.flag("--model", str, text, default=None)
    add_allow_code(parser)


def add_allow_code(parser: CommandParser) -> None:
    """Add ``--allow-code``; commands with short forms of settings read dashes as underscores."""
    parser.switch(
        "--allow-code" if parser.expand is list else "--allow_code",
        "import the code that the run folder names, which may do anything: not for a folder of a "
        "stranger",
    )


def expand(argv: Sequence[str], *, of_a_run: Collection[str] = ()) -> list[str]:
    """Replace short forms by full flags: ``--data X``, ``--n-critic 1``, ``--set key=value …``.

    The group of a setting may be left out (``width`` for ``model.width``), and dashes may stand
    for underscores. ``--config FILE`` is replaced by the settings in the file.

    Parameters
    ----------
    argv
        The arguments of the command.
    of_a_run
        As for :func:`add_config_flags`.

    Raises
    ------
    ValueError
        If a value after ``--set`` is not ``key=value``, or the file does not hold settings.
    """
    short = short_names()
    expanded: list[str] = []
    tokens = _expand_set(argv)
    for token in tokens:
        if token == "--config":
            expanded += settings_in(Path(next(tokens, "")), of_a_run=of_a_run)
        elif token.startswith("--config="):
            expanded += settings_in(Path(token.removeprefix("--config=")), of_a_run=of_a_run)
        elif token.startswith("--"):
            name, equals, value = token[2:].partition("=")
            name = name.replace("-", "_")
            expanded.append(f"--{short.get(name, name)}{equals}{value}")
        else:
            expanded.append(token)
    return expanded


def settings_in(path: Path, *, of_a_run: Collection[str] = ()) -> list[str]:
    """Return the settings of a YAML file as flags; a setting that is null gets no flag.

    Parameters
    ----------
    path
        The file.
    of_a_run
        As for :func:`add_config_flags`.
    """
    path = Path(expand_home(str(path)))
    values = flatten(configs.read(path))
    if _is_of_a_run(path, values):
        consent.note_from_file(configs.code_names_in(values))
    known = [flag.key for flag in _flags_of(Config())]
    for key in values:
        # the file is named in the error, and a flag such as --overwrite is no setting
        require_one_of(key, "config", choices=known)
    left_out = of_a_run if values.get("method.name") is not None else ()
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in values.items()
        if value is not None and not {key, key.partition(".")[0]} & {*left_out}
    ]


def _is_of_a_run(path: Path, values: dict[str, Any]) -> bool:
    """Whether sngan wrote these settings, and no person: then the names in them need consent."""
    return bool(values.get("model.sample_shape")) or ManagedRunFolder(path.parent).is_run()


def short_names() -> dict[str, str]:
    """Return ``{short name: dotted key}`` for the settings that need no group."""
    keys = configs.keys_by_short_name(Config).items()
    unique = {name: found[0] for name, found in keys if len(found) == 1}
    return {**unique, **_PLAIN_NAMES}


def _group_of(key: str) -> str:
    """Return the heading of a setting in the help."""
    group, dot, _ = key.rpartition(".")
    return f"{group} (`{group}.` may be left out)" if dot else "run"


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
