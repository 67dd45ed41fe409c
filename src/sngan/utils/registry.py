"""Registry of parts: those of sngan, those of plug-ins, and those named ``package.module:name``.

A plug-in is an installed package that registers its parts as entry points, for example::

    [project.entry-points."sngan.losses"]
    pinball = "my_package.losses:pinball"

Its code is imported when the name is first used.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, TypeVar

from sngan.utils.checks import require, require_one_of
from sngan.utils.consent import require_allowed
from sngan.utils.importing import import_object, is_object_name
from sngan.utils.text import class_and_line

T = TypeVar("T")

PREFIX = "sngan."


class Registry(dict[str, T]):
    """A dictionary of sngan's own parts of one kind, which finds other parts when it lacks a name.

    Iteration and ``in`` see only sngan's own parts, so that help and tables need no plug-in.

    Parameters
    ----------
    kind
        The group of entry points after ``sngan.``, such as ``losses``.
    parts
        sngan's own parts.
    argument
        The setting that names a part, for messages.
    convert
        Checks a part of others, and makes it a part of this kind; it raises ``ValueError``.
    """

    def __init__(
        self,
        kind: str,
        parts: Mapping[str, T],
        *,
        argument: str,
        convert: Callable[[Any, str], T],
    ) -> None:
        super().__init__(parts)
        self._kind, self._argument, self._convert = kind, argument, convert
        self._found: dict[str, T] = {}

    def __missing__(self, name: str) -> T:
        """Import a part that is no own one.

        Raises
        ------
        ValueError
            If there is no such part, it cannot be imported, or nobody has allowed that.
        """
        if is_object_name(name):
            # a name that was allowed before need not be allowed now
            require_allowed(name, argument=self._argument)
        if name not in self._found:
            self.require(name, self._argument)
            self._found[name] = self._convert(self._imported(name), name)
        return self._found[name]

    def names(self) -> list[str]:
        """Return the names of own parts and of plug-ins; nothing is imported."""
        return [*self, *(name for name in plug_ins(self._kind) if name not in self)]

    def require(self, name: object, argument: str, *, also: Iterable[str] = ()) -> None:
        """Raise unless a name can be one of a part; nothing is imported.

        Parameters
        ----------
        name
            The name of an own part or of a plug-in, or ``package.module:name``.
        argument
            The argument or setting that has the name.
        also
            Other accepted words.

        Raises
        ------
        ValueError
            If it is none of these; the error suggests near names.
        """
        is_known = isinstance(name, str) and (name in self or is_object_name(name))
        if not is_known:
            require_one_of(name, argument, choices=[*also, *self.names()])

    def _imported(self, name: str) -> object:
        if is_object_name(name):
            return import_object(name, argument=self._argument)
        entry = plug_ins(self._kind)[name]
        try:
            return entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist is not None else "unknown"
            raise ValueError(
                f"{self._argument}: the plug-in {name!r} of the package {package} cannot be "
                f"imported from {entry.value} ({class_and_line(error)})"
            ) from error


@cache
def plug_ins(kind: str) -> dict[str, EntryPoint]:
    """Return the entry points ``sngan.KIND`` of installed packages; nothing is imported.

    The current folder is not searched: a package must be installed to be a plug-in.
    """
    here = Path.cwd()
    places = [place for place in sys.path if place and Path(place).absolute() != here]
    found: dict[str, EntryPoint] = {}
    for package in distributions(path=places):
        try:
            entries = package.entry_points
        except Exception:
            # a broken package must not stop the others
            continue
        for entry in entries.select(group=f"{PREFIX}{kind}"):
            found.setdefault(entry.name, entry)
    return found


def accepted(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the offered keyword arguments that a function accepts.

    >>> accepted(lambda shape, *, width: None, {"width": 2, "latent_dim": 8})
    {'width': 2}
    """
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        # some functions in C have no signature
        return {}
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        return dict(offered)
    by_name = {one.name for one in parameters if one.kind is not Parameter.POSITIONAL_ONLY}
    return {name: value for name, value in offered.items() if name in by_name}


def fitted(part: Any, count: int, argument: str) -> Callable[..., Any]:
    """Return a function that may be called with more arguments than the given one takes.

    Parameters
    ----------
    part
        A function that takes some of the first ``count`` arguments by position.
    count
        The number of arguments that it will be called with.
    argument
        The setting that names it, for the message.

    Raises
    ------
    ValueError
        If it cannot be called.

    Examples
    --------
    >>> fitted(lambda critic, real: real, 3, "penalty")("critic", "real", "fake")
    'real'
    """
    require(callable(part), argument, expected="a function", got=repr(part))
    try:
        parameters = signature(part).parameters.values()
    except (TypeError, ValueError):
        return part
    if any(one.kind is Parameter.VAR_POSITIONAL for one in parameters):
        return part
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    takes = sum(one.kind in kinds for one in parameters)
    return part if takes >= count else lambda *given: part(*given[:takes])
