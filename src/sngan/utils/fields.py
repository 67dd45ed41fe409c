"""Fields of settings: the text of their flag, their choices, and their spelling of "off"."""

from dataclasses import field
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
    for name, kind in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        for part in (kind, *get_args(kind)):
            # other types of a union, such as None or an integer, check their own values
            is_other = part is not kind and isinstance(value, _others(kind))
            if get_origin(part) is Literal and not is_other:
                off = () if part is kind else ("none",)
                require_one_of(value, f"{prefix}{name}", choices=[*off, *get_args(part)])


def _others(kind: Any) -> tuple[type, ...]:
    """The plain types of a union, next to its literals."""
    return tuple(part for part in get_args(kind) if isinstance(part, type))
