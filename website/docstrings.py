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
    text = _DISPLAY_MATH.sub(_display, text)
    text = _INLINE_MATH.sub(lambda m: rf"\({m[1]}\)", text)
    text = _PAPER.sub(r"[arXiv:\1](../bibliography.md#arxiv-\1)", text)
    text = _ROLE.sub(lambda m: f"`{m[1].rpartition('.')[2]}`", text)
    return _CODE.sub(lambda m: _code(" ".join(m[1].split())), text)


def _display(match: re.Match[str]) -> str:
    return f"{match[1]}\\[ {' '.join(match[2].split())} \\]\n"


def _code(text: str) -> str:
    formula = latex(text)
    return f"`{text}`" if formula is None else rf"\({formula}\)"
