"""Markers in the guide's Markdown: figures with their code, things to move, computed numbers."""

import html
import json
import re
from pathlib import Path
from typing import Any

from website.figures import themed

_FIGURE = re.compile(r"<!-- figure: (?P<name>[\w-]+) \| (?P<text>.+?) -->")
_WIDGET = re.compile(r"<!-- widget: (?P<name>[\w-]+) -->")
_NUMBER = re.compile(r"\{\{ *(?P<name>[\w-]+)\.(?P<key>[\w.-]+?)(:(?P<format>[^}]*?))? *\}\}")


def replaced(markdown: str, *, folder: Path, computed: Path) -> str:
    """Return the page's Markdown with its markers replaced.

    Parameters
    ----------
    markdown
        The page.
    folder
        Where the page and its scripts lie.
    computed
        Where the scripts' results lie: ``NAME.svg`` and ``NAME.json``.

    Raises
    ------
    ValueError
        If a marker names a file or a number that does not exist.
    """
    markdown = _FIGURE.sub(
        lambda m: _figure(m["name"], m["text"], folder=folder, computed=computed), markdown
    )
    markdown = _NUMBER.sub(
        lambda m: _number(computed / f"{m['name']}.json", m["key"], m["format"]), markdown
    )
    return _WIDGET.sub(lambda m: _widget(m["name"], computed=computed), markdown)


def shown_code(script: Path) -> str:
    """Return the part of a script that a page shows: everything but its docstring."""
    return re.sub(r'\A""".*?"""\s*', "", script.read_text(), flags=re.DOTALL)


def _figure(name: str, text: str, *, folder: Path, computed: Path) -> str:
    script = _existing(folder / f"{name}.py")
    picture = themed(_existing(computed / f"{name}.svg").read_text())
    return (
        '<div class="sngan-figure" markdown>\n\n'
        f'<div role="img" aria-label="{html.escape(text)}">{picture}</div>\n\n'
        f"```python\n{shown_code(script).rstrip()}\n```\n\n</div>"
    )


def _widget(name: str, *, computed: Path) -> str:
    data = json.loads(_existing(computed / f"{name}.json").read_text())
    # "</" would end the script element; "<\/" is the same string in JSON
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return (
        f'<div class="sngan-widget" id="{html.escape(name)}" data-widget="{html.escape(name)}">'
        f'<script type="application/json">{text}</script>'
        "<noscript>This figure needs JavaScript.</noscript></div>\n"
        f'<script defer src="{html.escape(name)}.js"></script>'
    )


def _number(path: Path, key: str, form: str | None) -> str:
    value: Any = json.loads(_existing(path).read_text())
    for part in key.split("."):
        if isinstance(value, list):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise ValueError(f"{path.name} has no number {key!r}: {part!r} is missing")
    return format(value, form or "")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ValueError(f"a marker of the guide names {path.name}, but {path} does not exist")
    return path
