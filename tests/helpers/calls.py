"""System calls that write: a test can kill the process, or let the disk fail, at each of them.

Inside the ``with`` block, Python's own functions are replaced: ``open`` with the files that it
returns, and the functions of ``os``. Nothing in sngan is replaced.
"""

import builtins
import io
import os
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

_NAMES = (
    *("fsync", "write", "pwrite", "replace", "rename", "link", "unlink", "remove", "mkdir"),
    *("rmdir", "ftruncate", "truncate", "chmod", "sendfile"),
)
_WRITES = frozenset(("write", "pwrite", "writelines"))

_WITHOUT_PATH = frozenset((*_WRITES, "fsync", "ftruncate", "truncate", "close", "sendfile"))

Act = Callable[["Call"], None]


class Call:
    """The ``number``-th call, counted from 1. ``half`` does the first half of a write."""

    def __init__(self, number: int, name: str, path: str, half: Callable[[], None] | None) -> None:
        self.number, self.name, self.path = number, name, path
        self.half = half or (lambda: None)
        self.is_write = half is not None

    def __repr__(self) -> str:
        return f"{self.number} {self.name} {self.path}"


@contextmanager
def interposed(act: Act) -> Generator[list[Call]]:
    """Call ``act`` before each call that writes; it may raise, or end the process."""
    calls: list[Call] = []

    def before(name: str, path: object, half: Callable[[], None] | None = None) -> None:
        calls.append(Call(len(calls) + 1, name, str(path), half))
        act(calls[-1])

    opened = _opened(io.open, before)
    with ExitStack() as stack:
        for name in _NAMES:
            changed = _wrapped(name, getattr(os, name), before)
            stack.enter_context(mock.patch.object(os, name, changed))
        stack.enter_context(mock.patch.object(os, "open", _os_open(os.open, before)))
        for module in (builtins, io):
            stack.enter_context(mock.patch.object(module, "open", opened))
        yield calls


def _wrapped(name: str, real: Callable[..., Any], before: Callable[..., None]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        half = None
        if name in _WRITES:
            data = bytes(args[1])
            half = partial(real, args[0], data[: len(data) // 2], *args[2:])
        before(name, args[0], half)
        return real(*args, **kwargs)

    return call


def _os_open(real: Callable[..., int], before: Callable[..., None]) -> Any:
    def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            before("os.open", path)
        return real(path, flags, *args, **kwargs)

    return call


def _opened(real: Callable[..., Any], before: Callable[..., None]) -> Any:
    def call(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+"):
            return real(file, mode, *args, **kwargs)
        before("open", file)
        return _File(real(file, mode, *args, **kwargs), before)

    return call


class _File:
    """A file that calls ``before`` ahead of each write, and flushes the data at once."""

    def __init__(self, file: Any, before: Callable[..., None]) -> None:
        self._file, self._before = file, before

    def write(self, data: Any) -> Any:
        self._before("write", self._file.name, lambda: self._put(data[: len(data) // 2]))
        return self._put(data)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def truncate(self, *args: Any) -> Any:
        self._before("truncate", self._file.name)
        return self._file.truncate(*args)

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            # some systems report a full disk only here
            self._before("close", self._file.name)

    def _put(self, data: Any) -> Any:
        count = self._file.write(data)
        self._file.flush()
        return count

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def killing(at: int, *, torn: bool = False) -> Act:
    """Kill this process at a call, after half of it if it is a write and ``torn``."""

    def act(call: Call) -> None:
        if call.number == at:
            if torn:
                call.half()
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def failing(at: int, number: int, *, torn: bool = False, for_ever: bool = False) -> Act:
    """Raise this error at a call; if ``for_ever``, also at all later calls that need space."""

    def act(call: Call) -> None:
        needs_space = call.name not in ("unlink", "remove", "rmdir", "close")
        if call.number == at or (for_ever and call.number > at and needs_space):
            if torn:
                call.half()
            # like errors of the system, with the path if the call has one
            path = [] if call.name in _WITHOUT_PATH else [call.path]
            raise OSError(number, os.strerror(number), *path)

    return act
