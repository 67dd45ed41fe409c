"""Nested structures of arguments: tuples, lists, mappings and slices with tensors in them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def map_structure(value: Any, change: Callable[[Any], Any]) -> Any:
    """Replace every part of a value by ``change(part)``; return the same object if none changes."""
    if isinstance(value, Mapping):
        pairs: dict[Any, Any] = {key: map_structure(part, change) for key, part in value.items()}
        return value if all(pairs[key] is value[key] for key in pairs) else pairs
    if isinstance(value, tuple | list):
        given: tuple[Any, ...] | list[Any] = value
        parts = [map_structure(part, change) for part in given]
        if all(new is old for new, old in zip(parts, given, strict=True)):
            return given
        return parts if isinstance(given, list) else tuple(parts)
    if isinstance(value, slice):
        ends = (value.start, value.stop, value.step)
        changed = [map_structure(end, change) for end in ends]
        return value if all(a is b for a, b in zip(ends, changed, strict=True)) else slice(*changed)
    return change(value)


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors in a value, also inside its tuples, lists, mappings and slices."""
    found: list[Tensor] = []

    def see(part: Any) -> Any:
        if isinstance(part, Tensor):
            found.append(part)
        return part

    map_structure(value, see)
    return found
