"""Short names of settings: without the group, if no other group has a setting of this name."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, TypeVar, get_type_hints

from sngan.utils.checks import require, require_one_of

T = TypeVar("T")


@cache
def keys_by_short_name(kind: type) -> dict[str, tuple[str, ...]]:
    """Return the dotted keys of all settings of a dataclass by the last parts of their names.

    Examples
    --------
    >>> from sngan import Config
    >>> keys_by_short_name(Config)["lr"], keys_by_short_name(Config)["name"]
    (('method.lr',), ('method.name', 'model.name'))
    """
    found: dict[str, list[str]] = {}
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        if one.metadata.get("internal"):
            continue
        inner = hints[one.name]
        if dataclasses.is_dataclass(inner):
            for name, keys in keys_by_short_name(inner).items():  # pyright: ignore[reportArgumentType]
                found.setdefault(name, []).extend(f"{one.name}.{key}" for key in keys)
        else:
            found.setdefault(one.name, []).append(one.name)
    return {name: tuple(keys) for name, keys in found.items()}


def accepts_short_names(cls: type[T]) -> type[T]:
    """Let a frozen dataclass of groups take settings of its groups by their short names."""
    plain_init: Callable[..., None] = cls.__init__

    @wraps(plain_init)
    def init(self: Any, *args: Any, **given: Any) -> None:
        fields = [one.name for one in dataclasses.fields(self)]
        own = {**dict(zip(fields, args, strict=False)), **given}
        require(len(args) <= len(fields), "Config", expected=f"{len(fields)} groups", got=len(args))
        short = {name: own.pop(name) for name in given if name not in fields}
        plain_init(self, **own)
        _set_short(self, short)
        if short:
            # the settings are checked again, together; a folder that was left out gets its name
            settings = {name: getattr(self, name) for name in fields}
            plain_init(self, **{**settings, "out": own.get("out", "")})

    cls.__init__ = init
    return cls


def _set_short(settings: Any, short: Mapping[str, Any]) -> None:
    """Set the settings of these short names in the groups of a dataclass."""
    known = keys_by_short_name(type(settings))
    changed: dict[str, dict[str, Any]] = {}
    for name, value in short.items():
        require_one_of(name, "config", choices=known)
        keys = known[name]
        is_unique = len(keys) == 1
        groups = " or ".join(key.rpartition(".")[0] for key in keys)
        require(
            is_unique, "config", expected=f"{name} inside its group, {groups}", got=f"{name} alone"
        )
        group, _, leaf = keys[0].rpartition(".")
        changed.setdefault(group, {})[leaf] = value
    for group, values in changed.items():
        new = dataclasses.replace(getattr(settings, group), **values)
        object.__setattr__(settings, group, new)
