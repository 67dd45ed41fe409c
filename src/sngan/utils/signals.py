"""SIGINT, SIGTERM and SIGHUP: let a step finish, end at once, or go to a handler for a while."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_on_interrupt() -> Generator[Callable[[], bool]]:
    """Yield a function that says whether a signal has come that ends programs.

    The first signal only sets the flag and puts the former handlers back, so that a second one
    acts at once. Outside the main thread signals are left alone.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    former = {number: signal.getsignal(number) for number in _numbers()}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        stop.set()
        # a terminal that is closed may send its signal twice, and nobody is there to press a key
        if number != hangup():
            restore()

    for number in former:
        signal.signal(number, ask_to_stop)
    try:
        yield stop.is_set
    finally:
        restore()


def interrupt_at_once() -> AbstractContextManager[None]:
    """Let these signals raise KeyboardInterrupt, so that what was begun is cleaned up."""
    return interrupts_to(signal.default_int_handler)


@contextmanager
def interrupts_to(handler: Callable[[int, FrameType | None], Any]) -> Generator[None]:
    """Give these signals to a handler; only the main thread can, others leave them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, handler) for number in _numbers()}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


def hangup() -> signal.Signals | None:
    """The signal of a terminal that was closed; Windows has none."""
    return getattr(signal, "SIGHUP", None)


def _numbers() -> list[signal.Signals]:
    """The signals that ask a program to end; not SIGHUP where ``nohup`` has it ignored."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    number = hangup()
    if number is not None and signal.getsignal(number) != signal.SIG_IGN:
        numbers.append(number)
    return numbers
