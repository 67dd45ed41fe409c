"""House rules of the source tree: lengths, places, ignored checks, private names in tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "sngan").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))

TOP_LEVEL = {"__init__", "__main__", "augment", "losses", "penalties"}
# {(test file, private name): reason}
ALLOWED_PRIVATE_NAMES: dict[tuple[str, str], str] = {}

PRIVATE_IN_TEXT = re.compile(r"\bsngan(?:\.\w+)*\._[a-zA-Z]\w*")
BARE_IGNORE = re.compile(r"#\s*(?:pyright|type):\s*ignore(?!\[)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Names that a file binds by its imports, with the full names that they stand for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of ``a.b.c`` where ``a`` is imported; empty for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def private_names(source: str) -> set[str]:
    """Private names of sngan that a test file imports, reads or patches."""
    tree = ast.parse(source)
    names = imported_names(tree)
    used = set(names.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            used.add(full_name(node, names))
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            # a call such as setattr, getattr or patch.object with an owner and a name
            owner, attribute = full_name(node.args[0], names), node.args[1]
            if owner and isinstance(attribute, ast.Constant) and isinstance(attribute.value, str):
                used.add(f"{owner}.{attribute.value}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            used |= set(PRIVATE_IN_TEXT.findall(node.value))
    found: set[str] = set()
    for name in used:
        first, *parts = name.split(".")
        for count, part in enumerate(parts):
            if first == "sngan" and is_private(part):
                found.add(".".join([first, *parts[: count + 1]]))
                break
    return found


def too_long(paths: list[Path], limit: int) -> dict[str, int]:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in paths}
    return {name: length for name, length in lengths.items() if length > limit}


def test_source_files_have_at_most_300_lines():
    assert too_long([*SOURCES, *BENCHMARKS], 300) == {}


def test_test_files_have_at_most_400_lines():
    assert too_long(TESTS, 400) == {}


def test_few_modules_stand_outside_packages():
    assert {path.stem for path in (ROOT / "src" / "sngan").glob("*.py")} - TOP_LEVEL == set()


def test_every_ignored_check_is_named():
    bare = [
        f"{name_of(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if BARE_IGNORE.search(line)
    ]
    assert bare == []


def test_no_test_imports_a_test_file():
    test_files = {path.stem for path in TESTS if path.stem.startswith("test_")}
    found = {
        name_of(path): name
        for path in TESTS
        for name in imported_names(ast.parse(path.read_text())).values()
        if name.startswith("tests.") or (test_files | {"conftest"}) & set(name.split("."))
    }
    assert found == {}


def test_private_names_are_used_only_in_the_tests_of_their_package():
    found = {
        (name_of(path), name)
        for path in TESTS
        for name in private_names(path.read_text())
        if not name.startswith(f"sngan.{path.relative_to(ROOT / 'tests').parts[0]}.")
    }
    assert found == set(ALLOWED_PRIVATE_NAMES)


# @ stands for sngan: this file must pass its own check
@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from @.a import b\nb._c()\n", {"@.a.b._c"}),
        ("from @.a.b import _c as d\n", {"@.a.b._c"}),
        ("import @.a\n@.a._c.d\n", {"@.a._c"}),
        ("import @.a as z\nz.K._c\n", {"@.a.K._c"}),
        ("def f():\n    from @ import _a\n", {"@._a"}),
        ("from @.a import b\nmonkeypatch.setattr(b, '_c', 1)\n", {"@.a.b._c"}),
        ("monkeypatch.setattr('@.a.b._c', 1)\n", {"@.a.b._c"}),
        ("code = f'import @.a; @.a._c({x})'\n", {"@.a._c"}),
        ("import torch\ntorch._dynamo\nself._x\nimport @\n@.__all__\n", set()),
        ("from @.a import b\nb.c_d\n", set()),
    ],
)
def test_the_reader_of_private_names_sees_all_forms(source, found):
    assert private_names(source.replace("@", "sngan")) == {n.replace("@", "sngan") for n in found}


def test_the_pattern_of_ignored_checks():
    assert BARE_IGNORE.search("x = 1  # pyright: ignore")
    assert BARE_IGNORE.search("x = 1  # type: ignore  # why")
    assert not BARE_IGNORE.search("x = 1  # pyright: ignore[reportPrivateUsage]")
