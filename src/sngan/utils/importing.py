"""Objects named ``package.module:name``, from the current folder or an installed package."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from sngan.utils.text import class_and_line

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_OTHER_SOURCES = ("hf", "shards")


def is_object_name(text: str) -> bool:
    """Say whether a text has the form ``package.module:name``, and is no other kind of source.

    >>> [is_object_name(text) for text in ("parts.networks:build", "photos/cats", "hf:mnist")]
    [True, False, False]
    """
    return _NAME.fullmatch(text) is not None and text.partition(":")[0] not in _OTHER_SOURCES


def import_object(text: str, *, argument: str) -> Any:
    """Import the module before the colon, and return the object that the name after it means.

    The current folder is searched first, as `python -m` does. Importing a module runs its code, so
    only names that the user has given may come here, and never those that a run folder holds.

    Parameters
    ----------
    text
        ``package.module:name``; the name may have dots.
    argument
        The flag or argument that the user gave, for the message.

    Raises
    ------
    ValueError
        If the text has another form, the module cannot be imported, or it lacks the name.

    Examples
    --------
    >>> import_object("math:sqrt", argument="--loss")(9.0)
    3.0
    """
    if not is_object_name(text):
        raise ValueError(f"{argument} must have the form package.module:name, got {text!r}")
    module_name, _, name = text.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"{argument}: the module {module_name!r} cannot be imported ({class_and_line(error)})"
        ) from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{argument}: {module_name!r} has no {name!r}") from None
    return found
