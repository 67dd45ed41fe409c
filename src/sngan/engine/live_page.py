"""Live page: the report of a run that is rewritten while the run goes on, at 1 % of its time."""

import time
from collections.abc import Callable
from pathlib import Path

WritePage = Callable[[Path], bool]
"""Writes the page of a run folder; returns whether it could."""

# the first page comes within a minute, and each next one when the pages took 1 % of the time
FIRST_PAGE, SHARE = 30.0, 0.01


class LivePage:
    """Writes a page again after new outputs, when enough time has passed.

    Parameters
    ----------
    write
        The function that writes the page; ``None``: there is no page.
    folder
        The run folder.
    """

    def __init__(self, write: WritePage | None, folder: Path) -> None:
        self._write, self._folder = write, folder
        self._started = time.monotonic()
        self._spent = self._last = 0.0

    def update(self) -> None:
        """Write the page if it is due. Only rank 0 calls this."""
        begin = time.monotonic()
        passed = begin - self._started
        if self._write is None or passed < max(FIRST_PAGE, (self._spent + self._last) / SHARE):
            return
        if not self._write(self._folder):
            # the error was logged, and would come again
            self._write = None
        self._last = time.monotonic() - begin
        self._spent += self._last
