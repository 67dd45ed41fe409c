"""SIGINT and SIGTERM: let a step finish, end at once, or go to a handler for a while."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any


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


def interrupt_at_once() -> AbstractContextManager[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, so that what was begun is cleaned up."""
    return interrupts_to(signal.default_int_handler)


@contextmanager
def interrupts_to(handler: Callable[[int, FrameType | None], Any]) -> Generator[None]:
    """Give SIGINT and SIGTERM to a handler; only the main thread can, others leave them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)
