"""Ctrl-C that lets a step finish and a checkpoint be saved; a second one that does not."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_interrupt() -> Generator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT or SIGTERM has come.

    The first signal only sets the flag and puts the former handlers back, so that a second one
    acts at once. Outside the main thread signals are left alone.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in former:
        signal.signal(number, ask_to_stop)
    try:
        yield stop.is_set
    finally:
        restore()


@contextmanager
def interrupt_at_once() -> Generator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, so that what was begun is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    former = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
