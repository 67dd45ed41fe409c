"""Charts that are drawn once: tests that train look at other things than the curves of a report."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from sngan.report import charts, evaluations, svg

_drawn: dict[tuple[str, int], str] = {}


@contextmanager
def drawn_once() -> Generator[None]:
    """Let every report show the first chart of each name; drawing takes half of a tiny training."""
    really_draw = svg.draw_panels

    def draw(name: str, titles: Sequence[str], panel: Callable[[Any, str], None]) -> str:
        key = name, len(titles)
        if key not in _drawn:
            _drawn[key] = really_draw(name, titles, panel)
        return _drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (charts, evaluations):
            patch.setattr(module, "draw_panels", draw)
        yield
