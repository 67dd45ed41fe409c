"""Settings of a run as YAML and as nested plain values, and whether they may change on resume."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_type_hints

from sngan.config.schema import (
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    PerformanceConfig,
)
from sngan.data.types import READING
from sngan.methods import named
from sngan.utils.checks import require, require_one_of
from sngan.utils.files import write_bytes
from sngan.utils.plain import flatten, parse_texts, parse_yaml, read_text, to_yaml
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")
MAY_CHANGE_ON_RESUME = frozenset(
    {
        "steps",
        "out",
        # taken over from the run: see as_begun
        "data.reading",
        "performance.compile",
        "performance.cuda_graphs",
        "performance.devices",
        "performance.nodes",
        "performance.strategy",
    }
)

_TYPES: dict[str, Any] = {
    "data": DataConfig,
    "model": ModelConfig,
    "evaluation": EvaluationConfig,
    "performance": PerformanceConfig,
}


def to_dict(config: Config) -> dict[str, Any]:
    """Return the settings as nested plain values (tuples as lists): what the YAML file holds."""
    values = dataclasses.asdict(config) | {"method": config.method.to_dict()}
    return cast(dict[str, Any], _plain(values))


def from_dict(values: Mapping[str, Any]) -> Config:
    """Build a ``Config`` from nested plain values; fields left out take their defaults.

    Raises
    ------
    ValueError
        An unknown key (the near ones are listed), or a value that its field refuses.
    """
    _require_known(values, Config, prefix="")
    arguments = dict(values)
    for key, kind in _TYPES.items():
        if isinstance(values.get(key), Mapping):
            _require_known(values[key], kind, prefix=f"{key}.")
            arguments[key] = kind(**values[key])
    if isinstance(values.get("method"), Mapping):
        arguments["method"] = named(**{"name": "sn", **values["method"]})
    return Config(**arguments)


def save(config: Config, path: Path) -> None:
    """Write the settings as YAML, in one piece."""
    write_bytes(path, to_yaml(to_dict(config)).encode())


def load(path: Path) -> Config:
    """Read settings written by :func:`save`.

    Raises
    ------
    ValueError
        No file there, no YAML mapping, an unknown key or a bad value.
    """
    require(path.is_file(), "run", expected=f"a run folder with {path.name}", got=path.parent)
    try:
        values = read(path)
        if isinstance(values.get("data"), dict):
            # a run from before the reading of files had a number
            values["data"].setdefault("reading", 1)
        return from_dict(values)
    except TypeError as error:
        # a value of a kind that no field takes
        raise ValueError(f"config: expected settings in {path}, got {first_line(error)}") from error


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings as nested plain values.

    Raises
    ------
    ValueError
        If it is no YAML mapping, or beyond the limits of :func:`sngan.utils.plain.read_yaml`.
    """
    values: Any
    text = ""
    try:
        text = read_text(path)
        values = parse_yaml(text)
    except (ValueError, OSError) as error:
        values = first_line(error)
    require(isinstance(values, Mapping), "config", expected=f"settings in {path}", got=values)
    return _with_texts(Config, values, parse_texts(text))


def _with_texts(kind: Any, values: dict[str, Any], texts: dict[str, Any]) -> dict[str, Any]:
    """Give settings that are names their text: ``1e3`` and ``007`` may be names of folders."""
    hints, kept = get_type_hints(kind), dict(values)
    for key, value in values.items():
        hint, text = hints.get(key), texts.get(key)
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            kept[key] = _with_texts(hint, cast(dict[str, Any], value), cast(dict[str, Any], text))
        elif (hint in (str, str | None) and isinstance(text, str) and value is not None) or (
            hint == tuple[str, ...] and isinstance(text, list)
        ):
            kept[key] = text
    return kept


def as_begun(config: Config, path: Path) -> Config:
    """Settings with the reading of files that the run of ``path`` began with."""
    reading = load(path).data.reading
    if reading != config.data.reading:
        _log.warning(
            "the run began with reading %d of files, this version has %d: it goes on with its own, "
            "which drops transparency, knows 8 and 16 bits, and makes each folder a class",
            reading, READING,
        )  # fmt: skip
    return dataclasses.replace(config, data=dataclasses.replace(config.data, reading=reading))


def differences(old: Config, new: Config) -> list[str]:
    """Return ``"key: old → new"`` for each setting that keeps a run from being resumed."""
    return changes(flatten(to_dict(old)), new)


def changes(old: Mapping[str, Any], new: Config) -> list[str]:
    """Return the :func:`differences` from settings of any version of sngan.

    ``old`` has the settings under dotted keys; those that this version does not have, or that an
    earlier one did not have, are not compared.
    """
    settings = flatten(to_dict(new))
    return [
        f"{key}: {old[key]!r} → {value!r}"
        for key, value in settings.items()
        if key in old and old[key] != value and key not in MAY_CHANGE_ON_RESUME
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _require_known(values: Mapping[str, Any], kind: Any, *, prefix: str) -> None:
    known = [f"{prefix}{f.name}" for f in dataclasses.fields(kind)]
    for key in values:
        require_one_of(f"{prefix}{key}", "config", choices=known)
