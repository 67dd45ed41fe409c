"""Endings of files that a person names: which one it is, and an error that lists the known ones."""

import re
from collections.abc import Iterable
from pathlib import Path

from sngan.utils.checks import require

STILL = (".png", ".jpg", ".jpeg", ".webp")
"""The endings of one picture."""

MOVING = (".gif", ".mp4")
"""The endings of a moving picture."""

# a name such as samples-0.5 has no ending
_ENDING = re.compile(r"\.\d*[A-Za-z]\w*")


def ending_of(path: Path) -> str:
    """Return the ending of a file's name in small letters, or nothing for a folder's name.

    >>> [ending_of(Path(name)) for name in ("a.PNG", "a.tar.gz", "out", "samples-0.5")]
    ['.png', '.gz', '', '']
    """
    return path.suffix.lower() if _ENDING.fullmatch(path.suffix) else ""


def require_ending(path: Path, known: Iterable[str], *, argument: str = "out") -> str:
    """Return the ending of a file's name in small letters.

    Parameters
    ----------
    path
        The path of the file.
    known
        The endings that are known.
    argument
        The argument that has the path, for the error.

    Raises
    ------
    ValueError
        If the ending is unknown, or there is none.
    """
    found = ending_of(path)
    endings = list(known)
    expected = f"a file that ends with {', '.join(endings[:-1])} or {endings[-1]}"
    require(found in endings, argument, expected=expected, got=path)
    return found
