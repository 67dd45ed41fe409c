"""Paths among the settings."""

from sngan.utils.checks import require
from sngan.utils.files import expand_home


def require_path(value: str, name: str) -> str:
    """Return a path with the home folder in place of ``~``.

    Raises
    ------
    ValueError
        If the path is no text.
    """
    require(isinstance(value, str), name, expected="text", got=repr(value))
    return expand_home(value)
