"""The arguments of Python functions, read from the frames in which they run."""

import inspect
from types import FrameType, FunctionType
from typing import Any


def is_call_of(function: FunctionType, frame: FrameType) -> bool:
    """Whether a frame runs the function itself, and no other one that was made by the same code."""
    if frame.f_code is not function.__code__ or frame.f_globals is not function.__globals__:
        return False
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    captured = {name: cell.cell_contents for name, cell in zip(names, cells, strict=True)}
    return all(frame.f_locals.get(name) is value for name, value in captured.items())


def arguments(frame: FrameType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a frame that has just begun: by place, and by name."""
    code, values = frame.f_code, frame.f_locals
    names = list(code.co_varnames)
    by_place = [values[name] for name in names[: code.co_argcount]]
    keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    by_name = {name: values[name] for name in keywords}
    rest = names[code.co_argcount + code.co_kwonlyargcount :]
    if code.co_flags & inspect.CO_VARARGS:
        by_place += values[rest.pop(0)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        by_name |= values[rest.pop(0)]
    return tuple(by_place), by_name
