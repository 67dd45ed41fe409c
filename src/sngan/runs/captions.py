"""Captions below images: lines of small text, cut off where they are too long."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

CAPTION_PIXELS = 72
"""The width of an image with a caption, if nobody chooses it."""

_SIZE, _LINE = 12, 15


def caption_height(captions: Sequence[str]) -> int:
    """Return the pixels that the longest caption needs; 0 without captions."""
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    return lines * _LINE + 2 if lines else 0


def draw_caption(picture: "Image", text: str, corner: tuple[int, int], *, width: int) -> None:
    """Draw the lines of a text into a picture, in the middle of their place.

    Parameters
    ----------
    picture
        The picture, which is changed.
    text
        The text; lines that are too long end with "…".
    corner
        The left and the upper end of the place.
    width
        The width of the place.
    """
    from PIL import ImageDraw

    left, top = corner
    draw = ImageDraw.Draw(picture)
    for line in text.split("\n"):
        draw.text(
            (left + width / 2, top + 1), _cut(line, width), fill="white", font=_font(), anchor="ma"
        )
        top += _LINE


def _cut(line: str, width: int) -> str:
    if _font().getlength(line) <= width:
        return line
    while line and _font().getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"


@lru_cache(maxsize=1)
def _font() -> Any:
    """Load the font that matplotlib brings, which has more alphabets than Pillow's own."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), _SIZE)
