"""Defaults by model family: settings whose default for points differs from that for images."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


class FamilyDefault:
    """A default that equals the value for images until the model family is known.

    It is a number, text or tuple like any other. It also remembers that nobody gave the setting,
    so :func:`of_family` may replace it.
    """

    images: Any
    points: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.images, self.points)


def by_family(images: T, *, points: Any) -> T:
    """Return a default with one value for images and another one for points.

    Until :func:`of_family` resolves it, the default is the value for images.

    Parameters
    ----------
    images
        The value for images: a float, an integer, text, a tuple or a frozen dataclass.
    points
        The value for points.

    Examples
    --------
    >>> lr = by_family(2e-4, points=2e-3)
    >>> lr == 2e-4, lr * 2, lr.points
    (True, 0.0004, 0.002)
    """
    kind = _kind(type(images))
    if is_dataclass(images):
        value = kind(**{one.name: getattr(images, one.name) for one in fields(images)})
    else:
        value = kind(images)
    # a frozen dataclass has no other way to set an attribute
    object.__setattr__(value, "images", images)
    object.__setattr__(value, "points", points)
    return value


def of_family(settings: T, family: str) -> T:
    """Replace each :func:`by_family` in a dataclass of settings by its plain value of a family.

    Parameters
    ----------
    settings
        A frozen dataclass, perhaps with others inside.
    family
        ``"images"`` or ``"points"``.

    Examples
    --------
    >>> from sngan import Config
    >>> of_family(Config(batch_size=32), "points").batch_size
    32
    """
    return _replaced(settings, lambda _, default: getattr(default, family))


def possible_values(value: Any) -> tuple[Any, ...]:
    """Return the values that a setting may get: that for images last, or the one that was given.

    Examples
    --------
    >>> possible_values(by_family(64, points=256)), possible_values(32)
    ((256, 64), (32,))
    """
    return (value.points, value.images) if isinstance(value, FamilyDefault) else (value,)


def left_out_as_in(settings: T, other: T) -> T:
    """Replace each :func:`by_family` in a dataclass of settings by the value of another dataclass.

    Parameters
    ----------
    settings
        A frozen dataclass, perhaps with others inside.
    other
        Settings of the same class, such as those of the run that is resumed.
    """
    return _replaced(settings, lambda key, _: attrgetter(key)(other))


def _replaced(
    settings: Any, value_of: Callable[[str, FamilyDefault], Any], *, prefix: str = ""
) -> Any:
    """Replace the defaults by family in a dataclass; ``value_of`` gets the dotted key of each."""
    changed: dict[str, Any] = {}
    for one in fields(settings):
        key, value = f"{prefix}{one.name}", getattr(settings, one.name)
        if isinstance(value, FamilyDefault):
            changed[one.name] = value_of(key, value)
        elif is_dataclass(value):
            resolved = _replaced(value, value_of, prefix=f"{key}.")
            if resolved is not value:
                changed[one.name] = resolved
    return replace(settings, **changed) if changed else settings


def _restored(images: Any, points: Any) -> Any:
    return by_family(images, points=points)


@cache
def _kind(of: type) -> Any:
    own = {"__eq__": _equals, "__hash__": _hashed} if is_dataclass(of) else {}
    return type(f"Family{of.__name__.title()}", (FamilyDefault, of), own)


def _equals(own: FamilyDefault, other: object) -> bool:
    """Compare as the value for images: a dataclass equals only those of its own class."""
    return own.images == (other.images if isinstance(other, FamilyDefault) else other)


def _hashed(own: FamilyDefault) -> int:
    return hash(own.images)
