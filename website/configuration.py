"""The reference of the settings, made from the dataclasses of `sngan.config`."""

import dataclasses
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sngan.config import Config
from sngan.utils.families import FamilyDefault

_INTRODUCTION = """\
# Configuration

A run's `config.yaml`, the flags of `sngan train`, and the fields of `sngan.Config` are the same
settings. `--data.resolution 64`, `--resolution 64`, `--set resolution=64`, the lines `data:` and
`  resolution: 64` of a YAML file, and `Config(resolution=64)` all mean the same. A name that stands
in several groups needs its group. Where points have another default than images, both are shown.
"""


def page() -> str:
    """Return the Markdown of the page: a table for each group of settings."""
    lines = [_INTRODUCTION, "## Run", "", *_table(Config(), "")]
    for one in dataclasses.fields(Config):
        value = getattr(Config(), one.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            lines += ["", f"## {one.name.capitalize()}", "", *_table(value, f"{one.name}.")]
    return "\n".join(lines) + "\n"


def _table(settings: Any, prefix: str) -> list[str]:
    rows = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    kinds = get_type_hints(type(settings))
    for one in dataclasses.fields(settings):
        text = one.metadata.get("help")
        value = getattr(settings, one.name)
        if text is None or dataclasses.is_dataclass(value):
            continue
        key = f"{prefix}{one.name}"
        cells = [f"`{key}`", _kind(kinds[one.name]), _default(value), _cell(str(text))]
        rows.append(f'| <span id="{key}"></span>{" | ".join(cells)} |')
    return rows


def _default(value: Any) -> str:
    if isinstance(value, FamilyDefault):
        return f"{_value(value.images)}; points: {_value(value.points)}"
    return _value(value)


def _value(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _kind(kind: Any) -> str:
    return " or ".join(dict.fromkeys(_kinds(kind)))


def _kinds(kind: Any) -> Iterator[str]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        yield from (f"`{one}`" for one in parts)
    elif origin in (Union, types.UnionType):
        for part in parts:
            yield from _kinds(part)
    elif kind is type(None):
        yield "none"
    else:
        words = {int: "integer", float: "number", str: "text", bool: "true or false"}
        yield words.get(kind, "list" if origin in (tuple, list) else "text")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
