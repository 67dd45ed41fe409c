"""Iterators that can be read once: elements that were taken for a trial are given again."""

import copy
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any


class OneTimeIterator:
    """An iterator that gives the elements of another one, and can give some of them again.

    Parameters
    ----------
    iterator
        The iterator of the caller.
    """

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self._again: deque[Any] = deque()
        self._kept: list[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        element = self._again.popleft() if self._again else next(self._iterator)
        if self._kept is not None:
            # the caller's iterator may write its next batch into the same memory
            self._kept.append(copy.deepcopy(element))
        return element

    @contextmanager
    def given_again(self) -> Generator[None]:
        """Give the elements that are taken inside once more afterwards, in their order."""
        kept = self._kept = []
        try:
            yield
        finally:
            self._kept = None
            self._again.extendleft(reversed(kept))
