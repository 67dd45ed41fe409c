"""Signals SIGINT, SIGTERM and SIGHUP: stop after a step, stop at once, or call a handler."""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_on_interrupt() -> Generator[Callable[[], bool]]:
    """Yield a function that tells whether a signal has asked the program to stop.

    The first signal only sets a flag and restores the former handlers, so that a second signal
    stops at once. A closed terminal may send SIGHUP several times: after the first one, SIGHUP is
    ignored, also after this context, while a report is written. Outside the main thread no signal
    is handled.
    """
    stop, is_hung_up = threading.Event(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    former = {number: signal.getsignal(number) for number in _stop_signals()}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        stop.set()
        if number == hangup():
            is_hung_up.set()
        else:
            restore()

    for number in former:
        signal.signal(number, ask_to_stop)
    try:
        yield stop.is_set
    finally:
        restore()
        if is_hung_up.is_set():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


def interrupt_at_once() -> AbstractContextManager[None]:
    """Let SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, so that unfinished work is undone."""
    return handle_interrupts(signal.default_int_handler)


def exit_at_once() -> AbstractContextManager[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the program in one line, with the status 130.

    This is for imports: an exception in the middle of one ends torch's C++ code by an abort.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        os.write(2, b"sngan: interrupted\n")
        os._exit(130)

    return handle_interrupts(end)


@contextmanager
def handle_interrupts(handler: Callable[[int, FrameType | None], Any]) -> Generator[None]:
    """Call a handler for SIGINT, SIGTERM and SIGHUP; do nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, handler) for number in _stop_signals()}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


def hangup() -> signal.Signals | None:
    """Return the signal of a closed terminal, which Windows does not have."""
    return getattr(signal, "SIGHUP", None)


def _stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a program to stop, without SIGHUP if ``nohup`` ignores it."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    number = hangup()
    if number is not None and signal.getsignal(number) != signal.SIG_IGN:
        numbers.append(number)
    return numbers
