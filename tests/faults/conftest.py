"""One table at the end of the tests: how many faults of each kind were tried, and their harm."""

from collections.abc import Callable

import pytest

from helpers.tally import Tally, table

_TALLIES: list[Tally] = []


@pytest.fixture
def tally() -> Callable[[str], Tally]:
    """A new count of faults of one kind, which the table adds up."""

    def counted(kind: str) -> Tally:
        _TALLIES.append(Tally(kind))
        return _TALLIES[-1]

    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _TALLIES:
        terminalreporter.section("faults")
        for line in table(_TALLIES):
            terminalreporter.write_line(line)
