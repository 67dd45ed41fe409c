"""CPU seconds of each test, with a limit that a test of the quick suite must not pass.

CPU time is the process's own and that of its child processes, living and ended. Unlike wall time
it depends little on what else the machine does. The set-up of a test, where its fixtures are made,
and its call are measured apart. A fixture that a package shares serves many tests, so a set-up may
take three times as long as a call. JUnit files hold the seconds as properties.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

LIMIT = 10.0
SHARE = {"set-up": 3, "call": 1}
UNLIMITED = ("slow", "faults")


def cpu_seconds() -> float:
    times = os.times()
    ended = times.user + times.system + times.children_user + times.children_system
    return ended + sum(map(_seconds_of, _children("self")))


def _seconds_of(pid: str) -> float:
    """The CPU time of a process, of its ended children and of its living ones."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # as in proc(5): user and system time, then those of the ended children
    ticks = sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(_seconds_of, _children(pid)))


def _children(pid: str) -> list[str]:
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return " ".join(lists).split()


class CpuLimit:
    """A pytest plugin; tests marked as in ``UNLIMITED`` are measured only."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.limit = limit

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        yield from self._measure(item, "set-up")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        yield from self._measure(item, "call")

    def _measure(self, item: pytest.Item, phase: str) -> Generator[None]:
        start = cpu_seconds()
        yield
        seconds, limit = cpu_seconds() - start, SHARE[phase] * self.limit
        item.user_properties.append((f"cpu seconds of {phase}", round(seconds, 2)))
        is_limited = not any(item.get_closest_marker(mark) for mark in UNLIMITED)
        if is_limited and seconds > limit:
            pytest.fail(
                f"{phase} of {item.nodeid}: expected at most {limit:g} s of CPU time in the"
                f" quick suite, got {seconds:.1f} s; shrink the test or mark it slow",
                pytrace=False,
            )
