"""Dataclass fields that carry the text of their command-line flag."""

from dataclasses import field
from typing import Any


def option(default: Any, text: str) -> Any:
    """A field with a flag; ``text`` is what ``--help`` says of it."""
    return field(default=default, metadata={"help": text})


def filled_in(default: Any) -> Any:
    """A field that the program fills in: in the YAML file, without a flag."""
    return field(default=default, metadata={"internal": True})
