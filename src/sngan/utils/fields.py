"""Fields of settings: the text of their flag, their choices, and their spelling of "off"."""

from dataclasses import field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sngan.utils.checks import require_one_of


def option(default: Any, text: str) -> Any:
    """Return a dataclass field that gets a flag; ``text`` is the help of the flag."""
    return field(default=default, metadata={"help": text})


def filled_in(default: Any) -> Any:
    """Return a dataclass field that the program fills in: the YAML file has it, no flag sets it."""
    return field(default=default, metadata={"internal": True})


def is_off(value: object) -> bool:
    """Whether a setting is off, in the spelling of any version: None, ``none``, no text or 0."""
    return value is None or (value in ("none", "", 0) and not isinstance(value, bool))


def none_for_off(settings: object, *names: str) -> None:
    """Replace every spelling of "off" in a frozen dataclass by None."""
    for name in names:
        if is_off(getattr(settings, name)):
            object.__setattr__(settings, name, None)


def require_choices(settings: object, *, prefix: str = "") -> None:
    """Raise unless each field of the type ``Literal`` has one of the values that the type lists.

    A field of the type ``Literal[…] | None`` may be off; the error then lists ``none`` as well.
    """
    for name, choices, others in _fields_with_choices(type(settings)):
        value = getattr(settings, name)
        if not isinstance(value, others):
            require_one_of(value, f"{prefix}{name}", choices=choices)


@cache
def _fields_with_choices(kind: type) -> list[tuple[str, list[Any], tuple[type, ...]]]:
    """Return each field with a ``Literal``: its name, its choices, and other types that it takes.

    Other types of a union, such as None or an integer, check their own values.
    """
    found: list[tuple[str, list[Any], tuple[type, ...]]] = []
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) is Literal:
            found.append((name, list(get_args(hint)), ()))
        others = tuple(part for part in get_args(hint) if isinstance(part, type))
        for part in get_args(hint):
            if get_origin(part) is Literal:
                found.append((name, ["none", *get_args(part)], others))
    return found
