"""Docstrings of public names, from which the reference is made: examples, parameters, errors."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import sngan

# {public name: reason for having no example}
WITHOUT_EXAMPLES = {
    "sngan.lipschitz.InconsistentBoundsError": "no correct network raises it",
}
FEWEST_PARAMETERS = 3


class Public(NamedTuple):
    """A public name: its object, the docstring, and where a constant's docstring stands."""

    path: str
    value: Any
    document: str
    home: str = ""


def packages():
    """sngan and its public packages."""
    found = [one.name for one in pkgutil.iter_modules(sngan.__path__) if one.ispkg]
    names = [f"sngan.{name}" for name in found if not name.startswith("_")]
    # sngan itself comes last, because it gives names of its packages
    return [*names, "sngan.penalties", "sngan.lipschitz.blocks", "sngan"]


def listed(package):
    """The public names of a package: ``__all__``, or the names that it imports as themselves."""
    if hasattr(package, "__all__"):
        return package.__all__
    nodes = ast.walk(ast.parse(inspect.getsource(package)))
    aliases = (one for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names)
    return [one.name for one in aliases if one.asname == one.name]


@cache
def constants(module):
    """The strings below the assignments of a module, by the names of the constants."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        for one in targets:
            if isinstance(one, ast.Name):
                found[one.id] = inspect.cleandoc(str(after.value.value)) if is_text else ""
    return found


def home_of(module, name):
    """The module that assigns a constant, found along the imports, and its name there."""
    if name in constants(module):
        return module, name
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return home_of(node.module, alias.name)
    raise AssertionError(f"{module}.{name} is assigned nowhere")


@cache
def public_names():
    """All public names once, without modules; the imports take seconds, so only tests call it."""
    found, seen = [], set()
    for package in map(importlib.import_module, packages()):
        for name in listed(package):
            value, path = getattr(package, name), f"{package.__name__}.{name}"
            if inspect.ismodule(value):
                continue
            if (name, id(value)) in seen:
                continue
            seen.add((name, id(value)))
            if inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value)):
                found.append(Public(path, value, inspect.getdoc(value) or ""))
            else:
                module, assigned = home_of(package.__name__, name)
                found.append(Public(path, value, constants(module)[assigned], module))
    return found


def sections(document):
    """The sections of a docstring in numpy's style, by their titles."""
    parts = re.split(r"(?m)^([A-Z][a-z]+)\n-{4,}\n", document)
    return dict(zip(["", *parts[1::2]], parts[0::2], strict=True))


def described(document):
    """The names that ``Parameters`` and ``Attributes`` describe, also several in one line."""
    found = sections(document)
    text = found.get("Parameters", "") + "\n" + found.get("Attributes", "")
    lines = [line for line in text.splitlines() if line and not line.startswith(" ")]
    return {name.strip(" *") for line in lines for name in line.split(":")[0].split(",")}


def parameters(value):
    """The parameters that a person gives to a function or class of sngan, without settings.

    A setting has its description in its field, and the configuration reference shows it.
    """
    if inspect.isclass(value):
        owner = next((one for one in value.__mro__ if "__init__" in vars(one)), value)
        is_tuple = issubclass(value, tuple)
        if not is_tuple and not owner.__module__.startswith("sngan"):
            return []
    fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    skipped = {one.name for one in fields if one.metadata.keys() & {"help", "internal"}}
    given = inspect.signature(value).parameters
    return [name for name in given if name not in skipped and name not in ("self", "args")]


def has_example(one):
    """Whether a docstring has an example, or a name of the list above has none."""
    examples = sections(one.document).get("Examples", "")
    return (">>> " in examples) == (one.path not in WITHOUT_EXAMPLES)


def describes_all(one):
    """Whether three and more parameters are described one by one."""
    given = [] if one.home else parameters(one.value)
    return len(given) < FEWEST_PARAMETERS or set(given) <= described(one.document)


def says_when_it_raises(one):
    """Whether ``Raises`` names errors, each with a condition that begins with "If"."""
    text = sections(one.document).get("Raises", "")
    entries = re.findall(r"(?m)^(\S+)\n +(.*)", text)
    are_errors = all(error.endswith("Error") for error, _ in entries)
    return are_errors and all(condition.startswith("If ") for _, condition in entries)


CHECKS = [has_example, describes_all, says_when_it_raises]


def test_the_walk_finds_the_public_names():
    paths = {one.path for one in public_names()}
    assert {"sngan.config.Config", "sngan.losses.hinge", "sngan.models.CRITIC_NORMS"} <= paths
    assert len(paths) > 200
    assert set(WITHOUT_EXAMPLES) <= paths


@pytest.mark.parametrize("is_right", CHECKS)
def test_docstrings_of_public_names_are_whole(is_right):
    assert [one.path for one in public_names() if not is_right(one)] == []


def test_examples_of_constants_run():
    """pytest collects the examples of functions, classes and modules, but not these strings."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    parser, count = doctest.DocTestParser(), 0
    for one in public_names():
        if one.home:
            values = dict(vars(importlib.import_module(one.home)))
            test = parser.get_doctest(one.document, values, one.path, one.home, 0)
            assert runner.run(test).failed == 0, one.path
            count += len(test.examples)
    assert count > 30


def broken(first, second, third):
    """Do nothing.

    Parameters
    ----------
    first, second
        Two numbers.

    Raises
    ------
    ValueError
        When it fails.
    """
    return first, second, third


@pytest.mark.parametrize("is_right", CHECKS)
def test_the_checks_notice_a_bad_docstring(is_right):
    assert not is_right(Public("broken", broken, inspect.getdoc(broken) or ""))


def test_a_constant_without_text_is_noticed(tmp_path, monkeypatch):
    Path(tmp_path / "bare_constants.py").write_text('FIRST = 1\nSECOND = 2\n"""The second."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert constants("bare_constants") == {"FIRST": "", "SECOND": "The second."}
