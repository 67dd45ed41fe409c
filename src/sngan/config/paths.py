"""Paths among the settings."""

from sngan.utils.checks import require
from sngan.utils.files import expand_home


def require_path(value: str, name: str) -> str:
    """Check that a path is text, and replace ``~`` by the home folder."""
    require(isinstance(value, str), name, expected="text", got=repr(value))
    return expand_home(value)
