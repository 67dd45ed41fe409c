"""Cheap pictures: tests that train look at other things than the curves and dots of a report.

Drawing them by matplotlib takes most of the time of a tiny training.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from PIL import Image

from sngan.report import charts, evaluations, svg
from sngan.runs import sample_grid

_drawn: dict[tuple[str, int], str] = {}


@contextmanager
def drawn_once() -> Generator[None]:
    """Let every report show the first chart of each name, and points be their bytes in grey."""
    really_draw = svg.draw_panels

    def draw(name: str, titles: Sequence[str], panel: Callable[[Any, str], None]) -> str:
        key = name, len(titles)
        if key not in _drawn:
            _drawn[key] = really_draw(name, titles, panel)
        return _drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (charts, evaluations):
            patch.setattr(module, "draw_panels", draw)
        patch.setattr(sample_grid, "scatter", bytes_of_points)
        yield


def bytes_of_points(
    points: torch.Tensor, *, reference: torch.Tensor | None = None, **_: Any
) -> Image.Image:
    """A picture that changes with each bit of each point, so equal pictures have equal points."""
    rows = points if reference is None else torch.cat([points, reference])
    content = rows.detach().contiguous().numpy()
    return Image.frombytes("L", (content.strides[0], len(content)), content.tobytes())
