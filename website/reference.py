"""Pages of the API reference: one for the names of `sngan` itself, and one for each package."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import sngan
from website.docstrings import as_markdown

_FORMULA = re.compile(r"\\\(.*?\\\)")


class Name(NamedTuple):
    """A public name: ``path`` is where people import it from, ``home`` where it is defined."""

    path: str
    home: str
    summary: str


def pages() -> dict[str, str]:
    """Return the Markdown of every page of the API reference, by its place in the site."""
    groups = [(one.__name__, str(one.__doc__), names(one)) for one in _packages()]
    top = ("sngan", "The names that `import sngan` gives.", names(sngan))
    # each definition is described on one page: that of a package, if one has it
    described: dict[str, str] = {}
    for path, _, found in (*groups, top):
        for one in found:
            described.setdefault(one.home, f"{path.removeprefix('sngan.')}.md")
    shortest = {one.home: one.path for _, _, found in (*groups, top) for one in found}
    made = {"reference/index.md": _index((top, *groups), described)}
    for path, introduction, found in (top, *groups):
        page = f"{path.removeprefix('sngan.')}.md"
        here = [one for one in found if described[one.home] == page]
        made[f"reference/{page}"] = _page(
            f"# `{path}`\n\n{_without_examples(introduction)}\n\n{_table(found, described, page)}",
            [(one.home, shortest[one.home]) for one in here],
        )
    return made


def names(package: ModuleType) -> list[Name]:
    """Return the public names of a package, in the order of its ``__all__``, without modules."""
    listed = getattr(package, "__all__", None) or _imported(package)
    found = [_name(package, name) for name in listed]
    return [one for one in found if one is not None]


def _imported(package: ModuleType) -> list[str]:
    """Return the names that a package imports as themselves: ``from x import y as y``."""
    nodes = ast.walk(ast.parse(inspect.getsource(package)))
    aliases = (one for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names)
    return [one.name for one in aliases if one.asname == one.name]


def _packages() -> Iterator[ModuleType]:
    for name in sorted(sngan.__all__):
        value = getattr(sngan, name)
        if inspect.ismodule(value):
            yield value
    yield importlib.import_module("sngan.lipschitz.blocks")


def _name(package: ModuleType, name: str) -> Name | None:
    value = getattr(package, name)
    if inspect.ismodule(value):
        return None
    path = f"{package.__name__}.{name}"
    home = _home(package, name)
    document = inspect.getdoc(value) if callable(value) or inspect.isclass(value) else None
    return Name(path, home, _first_line(document or _document_of(home)))


def _home(package: ModuleType, name: str) -> str:
    """Return the module and name where a name is defined, found in the package's own imports."""
    value = getattr(package, name)
    module = getattr(value, "__module__", None)
    defined = getattr(value, "__qualname__", None)
    if isinstance(module, str) and module.startswith("sngan.") and defined == name:
        return f"{module}.{name}"
    source = ast.parse(inspect.getsource(package))
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sngan"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _home(importlib.import_module(node.module), alias.name)
    return f"{package.__name__}.{name}"


def _document_of(home: str) -> str:
    """Return the text below an assignment ``NAME = …`` of a module."""
    module, _, name = home.rpartition(".")
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(isinstance(one, ast.Name) and one.id == name for one in targets):
            value = getattr(after, "value", None)
            return str(value.value) if isinstance(value, ast.Constant) else ""
    return ""


def _first_line(document: str) -> str:
    return " ".join(document.strip().split("\n\n")[0].split())


def _page(head: str, described: list[tuple[str, str]]) -> str:
    parts = [f'::: {home}\n    options:\n      heading: "{path}"\n' for home, path in described]
    return "\n\n".join([head, *parts])


def _without_examples(document: str) -> str:
    return as_markdown(document.split("Examples\n--------")[0].strip())


def _table(found: list[Name], described: dict[str, str], page: str = "") -> str:
    rows = ["| name | summary |", "|---|---|"]
    for one in found:
        target = "" if described[one.home] == page else described[one.home]
        name = one.path.rpartition(".")[2]
        rows.append(f"| [`{name}`]({target}#{one.home}) | {_cell(one.summary)} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    """Return the Markdown of a cell: a bar would end it, also one inside a formula."""
    return _FORMULA.sub(_without_bars, as_markdown(text)).replace("|", r"\|")


def _without_bars(formula: re.Match[str]) -> str:
    return formula[0].replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _index(groups: Sequence[tuple[str, str, list[Name]]], described: dict[str, str]) -> str:
    lines = ["# Reference", "Every public name, by the package that it is imported from."]
    for path, _, found in groups:
        page = path.removeprefix("sngan.") + ".md"
        lines += [f"## [`{path}`]({page})", _table(found, described)]
    return "\n\n".join(lines)
