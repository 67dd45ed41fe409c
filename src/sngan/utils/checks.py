"""Checks of arguments, whose errors say the name, the expected value and the given value."""

import difflib
import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeGuard, TypeVar

if TYPE_CHECKING:
    # this import takes a second, which `sngan report` does not need
    from torch import Tensor

_LARGEST = 2**63

T = TypeVar("T")


def require(condition: bool, name: str, *, expected: str, got: object) -> None:
    """Raise ``ValueError("name: expected …, got …")`` unless ``condition`` holds.

    Parameters
    ----------
    condition
        Whether the value is accepted.
    name
        The name of the argument or setting.
    expected, got
        The words for the expected and for the given value.

    Examples
    --------
    >>> require(0 < 2, "width", expected="a positive number", got=2)
    """
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got}")


def require_given(value: T | None, name: str, *, expected: str) -> T:
    """Raise if ``value`` is None, else return it; a type checker then knows that it is not None.

    Parameters
    ----------
    value
        The value, which may be None.
    name, expected
        As for :func:`require`.
    """
    if value is None:
        raise ValueError(f"{name}: expected {expected}, got nothing")
    return value


def require_one_of(value: object, name: str, *, choices: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``choices``; the error also suggests near names.

    Parameters
    ----------
    value
        The value.
    name
        The name of the argument or setting.
    choices
        The accepted values.
    """
    names = sorted(choices)
    if value in names:
        return
    near = difflib.get_close_matches(str(value), names, n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise ValueError(f"{name}: expected one of {', '.join(names)}, got {value!r}{hint}")


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is an integer; Python also counts True and False among them."""
    return isinstance(value, int) and not isinstance(value, bool)


def require_count(value: int, name: str, *, minimum: int = 1) -> None:
    """Raise unless ``value`` is an integer of at least ``minimum``, and below 2⁶³.

    Parameters
    ----------
    value
        The value.
    name
        The name of the argument or setting.
    minimum
        The smallest accepted integer.
    """
    is_count = is_integer(value) and value >= minimum
    # no tensor can hold a larger number, and Python may refuse to print it
    require(not is_count or value < _LARGEST, name, expected="an integer below 2**63", got="more")
    require(is_count, name, expected=f"an integer of at least {minimum}", got=repr(value))


def require_index(value: int, name: str, *, count: int) -> None:
    """Raise unless ``value`` is an integer from 0 to ``count − 1``.

    Parameters
    ----------
    value
        The value.
    name
        The name of the argument or setting.
    count
        The number of accepted integers.
    """
    is_index = is_integer(value) and 0 <= value < count
    require(is_index, name, expected=f"an integer from 0 to {count - 1}", got=repr(value))


def require_number(
    value: float,
    name: str,
    *,
    above: float = -math.inf,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> None:
    """Raise unless ``value`` is finite, ``> above``, ``>= minimum`` and ``<= maximum``.

    Parameters
    ----------
    value
        The value.
    name
        The name of the argument or setting.
    above
        A lower limit that is not accepted itself.
    minimum, maximum
        The smallest and the largest accepted number.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # an integer may be too large for a float, and Python may refuse to print it
    is_finite = is_number and abs(value) <= sys.float_info.max
    inside = is_finite and above < value and minimum <= value <= maximum
    limits = [(above, "above"), (minimum, "of at least"), (maximum, "of at most")]
    said = [f"{word} {limit:g}" for limit, word in limits if math.isfinite(limit)]
    expected = " ".join(["a finite number", " and ".join(said)]).strip()
    is_long = is_integer(value) and abs(value) >= _LARGEST
    require(inside, name, expected=expected, got="a longer integer" if is_long else repr(value))


def require_same_shape(left: "Tensor", right: "Tensor", names: tuple[str, str]) -> None:
    """Raise unless two tensors have equal shapes.

    Parameters
    ----------
    left, right
        The tensors.
    names
        Their names; the error is about the second one.
    """
    require(
        left.shape == right.shape,
        names[1],
        expected=f"the shape of {names[0]}, {tuple(left.shape)}",
        got=tuple(right.shape),
    )
