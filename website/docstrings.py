"""Docstrings for the site: cross-references of Sphinx become links, formulas become LaTeX."""

import re
from typing import Any

import griffe

from website.formulas import latex

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|obj|exc):`~?([\w.]+)`")
_INLINE_MATH = re.compile(r":math:`([^`]+)`")
# the formula stands behind the directive, and goes on in the indented lines below it
_DISPLAY_MATH = re.compile(r"^( *)\.\. math:: ?(.*\n(?:\s*\n)?(?:\1 +\S.*(?:\n|$))*)", re.MULTILINE)
_PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_CODE = re.compile(r"``([^`]+)``")
# a table of reStructuredText: rules of "=" above and below its head, and at its end
_TABLE = re.compile(r"^( *)(=+(?: +=+)+)\n(.*\n)\1\2\n((?:.*\n)+?)\1\2$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before mkdocstrings reads its sections."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    r"""Return a docstring with the markup of Sphinx replaced by that of Markdown.

    Examples
    --------
    >>> print(as_markdown("The norm ``‖x‖`` of :class:`~sngan.data.Batch`, in ``float32``."))
    The norm \(\Vert x\Vert\) of `Batch`, in `float32`.
    """
    text = _TABLE.sub(_table, text)
    text = _DISPLAY_MATH.sub(_display, text)
    text = _INLINE_MATH.sub(lambda m: rf"\({m[1]}\)", text)
    text = _PAPER.sub(r"[arXiv:\1](../bibliography.md#arxiv-\1)", text)
    text = _ROLE.sub(lambda m: f"`{m[1].rpartition('.')[2]}`", text)
    return _CODE.sub(lambda m: _code(" ".join(m[1].split())), text)


def _table(match: re.Match[str]) -> str:
    margin, rule, head, body = match.groups()
    starts = [len(margin) + column.start() for column in re.finditer("=+", rule)]
    rows: list[list[str]] = []
    for line in [head, *body.splitlines()]:
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        if cells[0]:
            rows.append(cells)
        else:  # the line goes on with the row above it
            rows[-1] = [f"{old} {more}".strip() for old, more in zip(rows[-1], cells, strict=True)]
    rows.insert(1, ["---"] * len(starts))
    return "\n".join(f"{margin}| {' | '.join(cells)} |" for cells in rows)


def _display(match: re.Match[str]) -> str:
    return f"{match[1]}\\[ {' '.join(match[2].split())} \\]\n"


def _code(text: str) -> str:
    formula = latex(text)
    return f"`{text}`" if formula is None else rf"\({formula}\)"
