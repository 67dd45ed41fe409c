"""Dataclass fields that carry the text of their command-line flag."""

from dataclasses import field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sngan.utils.checks import require_one_of


def option(default: Any, text: str) -> Any:
    """A field with a flag; ``text`` is what ``--help`` says of it."""
    return field(default=default, metadata={"help": text})


def filled_in(default: Any) -> Any:
    """A field that the program fills in: in the YAML file, without a flag."""
    return field(default=default, metadata={"internal": True})


def is_off(value: object) -> bool:
    """Whether a setting is off, in the spelling of any version: None, ``none``, no text or 0."""
    return value is None or (value in ("none", "", 0) and not isinstance(value, bool))


def require_choices(settings: object, *, prefix: str = "") -> None:
    """Raise unless each field of the type ``Literal`` has one of the values that the type lists."""
    for name, kind in get_type_hints(type(settings)).items():
        if get_origin(kind) is Literal:
            choices = get_args(kind)
            require_one_of(getattr(settings, name), f"{prefix}{name}", choices=choices)
