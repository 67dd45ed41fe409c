"""Consent to run code that is named by a text, such as ``package.module:name``.

Importing a module runs its code. A name that the user writes, in a command, in Python or in a file
of settings of their own, may be imported. A name that stands only in a run folder may not, because
the folder may come from a stranger. All consent is kept for this process, by the whole name.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sngan.utils.importing import import_object


class Consent(NamedTuple):
    """The names that are allowed, those that only files hold, and whether all are allowed."""

    given: frozenset[str] = frozenset()
    from_files: frozenset[str] = frozenset()
    is_for_all: bool = False


_consent = Consent()


class NoConsentError(ValueError):
    """A run folder names code, and the user has not allowed it."""


def consent() -> Consent:
    """Return the consent of this process, to be passed on to a process that it starts."""
    return _consent


def restore(other: Consent) -> None:
    """Give this process the consent of the process that started it, or that of before."""
    global _consent
    _consent = other


def allow(names: Iterable[str]) -> None:
    """Allow names that the user has written.

    >>> allow(["math:sqrt"])
    >>> allowed_object("math:sqrt", argument="loss")(9.0)
    3.0
    """
    restore(_consent._replace(given=_consent.given.union(names)))


def allow_words(argv: Iterable[str]) -> None:
    """Allow each name that stands on a command line, also behind ``--flag=`` or ``key=``."""
    for word in argv:
        parts = {word, word.partition("=")[2], word.rpartition("=")[2]}
        allow(name.strip() for part in parts for name in (part, *part.split(",")))


def allow_all() -> None:
    """Allow every name in this process, as ``--allow-code`` asks."""
    restore(_consent._replace(is_for_all=True))


def note_from_file(names: Iterable[str], *, allowed: bool = False) -> None:
    """Remember names that a run folder holds: :func:`allow_own` does not allow these.

    Parameters
    ----------
    names
        The names.
    allowed
        Whether the user allows the names of this file, as ``allow_code=True`` does.
    """
    names = frozenset(names)
    restore(_consent._replace(from_files=_consent.from_files.union(names)))
    if allowed:
        allow(names)


def allow_own(names: Iterable[str]) -> None:
    """Allow names of settings made in Python, except those that were read from a run folder."""
    allow(name for name in names if name not in _consent.from_files)


def require_allowed(name: str, *, argument: str) -> None:
    """Raise unless the user has allowed a name.

    Parameters
    ----------
    name
        ``package.module:name``, or another text that names code.
    argument
        The setting that has the name, for the message.

    Raises
    ------
    NoConsentError
        If nobody has allowed it.
    """
    if not (_consent.is_for_all or name in _consent.given):
        raise NoConsentError(
            f"{argument}: expected consent to run code that only a run folder names: --allow-code, "
            f"the same name on this command line, or allow_code=True in Python; got none for "
            f"{name!r}"
        )


def allowed_object(name: str, *, argument: str) -> object:
    """Import and return the object of a name, if the user has allowed it.

    Parameters
    ----------
    name
        ``package.module:name``.
    argument
        The setting that has the name, for the message.

    Raises
    ------
    ValueError
        If nobody has allowed the name, or it cannot be imported.
    """
    require_allowed(name, argument=argument)
    return import_object(name, argument=argument)
