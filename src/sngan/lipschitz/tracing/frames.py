"""Frames of Python functions: a profiler observes the calls, and the functions do not change."""

import inspect
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType, FunctionType
from typing import Any, TypeVar

Call = TypeVar("Call")


@contextmanager
def observe_calls(
    functions: Sequence[FunctionType],
    on_call: Callable[[FunctionType, FrameType], Call | None],
    on_return: Callable[[Call, Any], None],
) -> Generator[None]:
    """Call ``on_call`` for each call of the functions, and ``on_return`` when it returns.

    ``on_return`` is skipped if ``on_call`` returned None. A profiler that was running stops until
    the end of the ``with`` block.

    Parameters
    ----------
    functions
        Python functions.
    on_call
        Gets the function and its frame, at the start of a call.
    on_return
        Gets the result of ``on_call`` and the result of the function.
    """
    if not functions:
        yield
        return
    by_code = {function.__code__: function for function in functions}
    running: dict[FrameType, Call] = {}

    def observe(frame: FrameType, event: str, result: Any) -> None:
        if event == "return" and frame in running:
            on_return(running.pop(frame), result)
        function = by_code.get(frame.f_code)
        if event == "call" and function is not None and is_call_of(function, frame):
            call = on_call(function, frame)
            if call is not None:
                running[frame] = call

    before: Any = sys.getprofile()
    sys.setprofile(observe)
    try:
        yield
    finally:
        sys.setprofile(None)
        # a profiler that is written in C starts through its own method
        (before.enable if hasattr(before, "enable") else partial(sys.setprofile, before))()


def is_call_of(function: FunctionType, frame: FrameType) -> bool:
    """Whether a frame runs this function, and not another closure of the same code."""
    if frame.f_code is not function.__code__ or frame.f_globals is not function.__globals__:
        return False
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    captured = {name: cell.cell_contents for name, cell in zip(names, cells, strict=True)}
    return all(frame.f_locals.get(name) is value for name, value in captured.items())


def call_arguments(frame: FrameType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a frame that has just started: by place, and by name."""
    code, values = frame.f_code, frame.f_locals
    names = list(code.co_varnames)
    positional = [values[name] for name in names[: code.co_argcount]]
    keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    by_name = {name: values[name] for name in keywords}
    rest = names[code.co_argcount + code.co_kwonlyargcount :]
    if code.co_flags & inspect.CO_VARARGS:
        positional += values[rest.pop(0)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        by_name |= values[rest.pop(0)]
    return tuple(positional), by_name
