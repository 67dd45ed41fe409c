"""Pages from templates, written in one piece, with embedded pictures."""

import base64
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sngan.runs.layout import PAGE_MARK
from sngan.runs.saved_grids import read_inside
from sngan.utils.checks import require
from sngan.utils.files import write_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

_MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF8"}


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill in ``template`` and write it to ``path`` in one piece; every value is escaped.

    Parameters
    ----------
    path
        The file of the page.
    template
        The name of the template in this package.
    values
        The variables of the template.

    Raises
    ------
    ValueError
        If another program's file is at ``path``.
    """
    require(_is_page(path), "report", expected=f"no other program's file at {path}", got="one")
    text = _templates().get_template(template).render(**values)
    # a file name may hold bytes that are no text
    write_bytes(path, text.encode(errors="backslashreplace"))
    return path


def embedded(folder: Path, name: str) -> str | None:
    """Return a URI that holds the picture ``name`` below ``folder`` itself.

    The result is ``None`` for a file that :func:`sngan.runs.saved_grids.read_inside` does not
    read, and for one that is no PNG or GIF.
    """
    content = read_inside(folder, name)
    return None if content is None else data_uri(content)


def data_uri(content: bytes) -> str | None:
    """Return a URI that holds a PNG or a GIF; ``None`` for other content."""
    kind = next((kind for kind, magic in _MAGIC.items() if content.startswith(magic)), None)
    return kind and f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@cache
def _templates() -> "Environment":
    """Return the templates of this package; each is compiled once, and a live page is rewritten."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    return Environment(
        loader=PackageLoader("sngan.report", "."),
        autoescape=select_autoescape(),
        auto_reload=False,
    )


def _is_page(path: Path) -> bool:
    """Whether ``path`` is free, or a page that sngan wrote."""
    if not os.path.lexists(path):
        return True
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return PAGE_MARK in file.read(2**16)
