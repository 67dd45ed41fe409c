"""A page from a template, written in one piece."""

import base64
from pathlib import Path
from typing import Any


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill in ``template`` and write it to ``path``: to a temporary file, then renamed."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("sngan.report", "."), autoescape=select_autoescape()
    )
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(environment.get_template(template).render(**values))
    temporary.replace(path)
    return path


def embedded(path: Path) -> str:
    """The URI of a picture that holds the picture itself."""
    kind = path.suffix.removeprefix(".")
    return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode()
